//! `koboshi sh4`: Rust to SH-4, step by step or all at once.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use koboshi_sh4::build::{Made, Plan, Start, build};
use koboshi_sh4::link::{Cpu, Optimise, refuse_no_source};
use koboshi_sh4::place::{Place, Places, demangled};
use koboshi_sh4::program::{Artifact, Program};
use koboshi_sh4::stack::{Bounds, Worst};
use koboshi_sh4::tools::{Gcc, Rust, Trouble};
use koboshi_sh4::translate::{self, Trust, translate};
use serde::Serialize;

use super::check::print_json;
use super::needs::cache;
use super::{FINE, MISUSED, Paint, WRONG, complain, count, print_out, table};

/// Arguments of `koboshi sh4`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Build a no_std crate: an ELF, a raw image, and what both stacks need
    #[command(after_help = BUILD_HELP)]
    Build(Box<Build>),
    /// Translate the code of a WebAssembly module to C
    #[command(after_help = TRANSLATE_HELP)]
    Translate(Translate),
    /// Say which line of source an address comes from
    #[command(after_help = WHERE_HELP)]
    Where(Where),
}

// No line is longer than 76 columns: so it is not broken where it would no longer be a command.
const BUILD_HELP: &str = "Addresses are hexadecimal. NAME is the package's. The defaults are those of
the R2D-PLUS board as QEMU emulates it:

  koboshi sh4 build images/sh4/examples/hello
  qemu-system-sh4 -M r2d -nic none -display none -monitor none \\
    -serial null -serial stdio -no-reboot \\
    -kernel target/koboshi/sh4/hello/hello.bin

A program for --cpu sh4a needs -cpu sh7785 besides.

Exit codes:
  0    it is built
  1    it cannot be built
  2    the command was not used as it can be";

const TRANSLATE_HELP: &str = "What comes out is the code alone. `Translated` of the crate koboshi-sh4 has
the rest: data that has to lie in memory, and where the pointer to the
module's own stack (GBR) begins. `koboshi sh4 build` puts all together.

Exit codes:
  0    it is translated
  1    it cannot be translated
  2    the command was not used as it can be";

const WHERE_HELP: &str = "Exit codes:
  0    all addresses lie in the program
  1    one does not, or the ELF cannot be read
  2    the command was not used as it can be";

#[derive(Debug, clap::Args)]
struct Build {
    /// The crate's directory
    folder: PathBuf,
    /// Which package of a workspace
    #[arg(long)]
    package: Option<String>,
    /// The function that is called first
    #[arg(long, default_value = "main", value_name = "FUNCTION")]
    entry: String,
    /// A symbol in one of the sources that begins in its place, and sets up everything by itself: first in .text.first
    #[arg(long, value_name = "SYMBOL", requires = "sources", conflicts_with_all = ["entry", "stack_top"])]
    start: Option<String>,
    /// C or assembler (.S) to link with it
    #[arg(long = "source", value_name = "FILE")]
    sources: Vec<PathBuf>,
    /// A directory with headers of these
    #[arg(long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Where code and the raw image begin
    #[arg(long, default_value = "0x8c800000", value_parser = address)]
    code: u32,
    /// Where the crate's constants and variables begin, with its own stack behind them
    #[arg(long, default_value = "0x8c900000", value_parser = address)]
    base: u32,
    /// The end of the machine's stack, which grows down from there: a multiple of 4
    #[arg(long, default_value = "0x8cf00000", value_parser = address)]
    stack_top: u32,
    /// The size of the crate's own stack, in bytes; 0x4000 is hexadecimal
    #[arg(long, default_value = "16384", value_parser = size)]
    shadow_stack: u32,
    /// The processor
    #[arg(long, value_enum, default_value_t = CpuName::Sh4)]
    cpu: CpuName,
    /// Small rather than fast
    #[arg(long)]
    small: bool,
    /// Where the files go [default: target/koboshi/sh4/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CpuName {
    /// SH-4 with its floating-point unit: SH7751R
    Sh4,
    /// SH-4A with its floating-point unit: SH7780
    Sh4a,
    /// Either, without a use of the floating-point unit
    Sh4Nofpu,
}

#[derive(Debug, clap::Args)]
struct Translate {
    /// The module
    module: PathBuf,
    /// The C file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What every symbol that is not imported begins with
    #[arg(long, default_value = "", value_parser = prefix)]
    prefix: String,
    /// Alignment hints may lie and offsets may wrap, as the WebAssembly standard permits
    #[arg(long)]
    trust_nothing: bool,
    /// Do not write the lines of the module's source
    #[arg(long)]
    no_lines: bool,
}

#[derive(Debug, clap::Args)]
struct Where {
    /// The ELF
    elf: PathBuf,
    /// Addresses, hexadecimal
    #[arg(required = true, value_parser = address)]
    addresses: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches("0x").replace('_', "");
    u32::from_str_radix(&digits, 16).map_err(|error| format!("{error}; write it as in 0x8c800000"))
}

fn size(text: &str) -> Result<u32, String> {
    if text.starts_with("0x") {
        return address(text);
    }
    text.replace('_', "").parse().map_err(|error| format!("{error}; write it as in 16384 or 0x4000"))
}

/// The beginning of names in C.
fn prefix(text: &str) -> Result<String, String> {
    let is_name = |(at, letter): (usize, char)| {
        letter.is_ascii_alphabetic() || letter == '_' || at > 0 && letter.is_ascii_digit()
    };
    match text.chars().enumerate().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("a name of C begins with it: letters, digits and _ only, no digit first".to_owned()),
    }
}

/// Does it, and gives the exit code.
pub(super) fn run(arguments: &Arguments) -> i32 {
    let done = match &arguments.step {
        Step::Build(step) => step.run(),
        Step::Translate(step) => step.run(),
        Step::Where(step) => step.run(),
    };
    done.unwrap_or_else(|trouble| {
        complain(&trouble.what, &trouble.remedy);
        WRONG
    })
}

impl Build {
    fn run(&self) -> Result<i32, Trouble> {
        if !self.folder.join("Cargo.toml").is_file() {
            complain(
                &format!("there is no Cargo.toml in {}.", self.folder.display()),
                "name the directory of a crate.",
            );
            return Ok(MISUSED);
        }
        for source in &self.sources {
            if let Err(trouble) = refuse_no_source(source) {
                complain(&trouble.what, &trouble.remedy);
                return Ok(MISUSED);
            }
        }
        let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let Some(name) = self.package.clone().or_else(|| package_of(&folder)) else {
            complain(
                &format!("{} is a workspace without a package of its own.", self.folder.join("Cargo.toml").display()),
                "name one of its packages (--package).",
            );
            return Ok(MISUSED);
        };
        let out = self.out.clone().unwrap_or_else(|| Path::new("target/koboshi/sh4").join(&name));
        let plan = Plan {
            program: Program {
                folder,
                package: self.package.clone(),
                artifact: Artifact::Library,
                features: Vec::new(),
                exports: Vec::new(),
                base: self.base,
                stack: self.shadow_stack,
                target_folder: out.join("target"),
                optimise: Some(self.optimise()),
            },
            cpu: match self.cpu {
                CpuName::Sh4 => Cpu::Sh4,
                CpuName::Sh4a => Cpu::Sh4a,
                CpuName::Sh4Nofpu => Cpu::Sh4NoFpu,
            },
            optimise: self.optimise(),
            code: self.code,
            data: None,
            start: match &self.start {
                Some(symbol) => Start::Own { symbol: symbol.clone() },
                None => Start::Called { function: self.entry.clone(), stack_top: self.stack_top },
            },
            sources: self.sources.clone(),
            include: self.include.clone(),
            folder: out,
            name,
        };
        let tools = cache(Path::new("."));
        let made = build(&Rust::find()?, &Gcc::find(&tools)?, &tools, &plan)?;
        if !made.warnings.is_empty() {
            eprintln!("{}", made.warnings);
        }
        if self.json {
            return Ok(print_json(&Report::of(&made), FINE));
        }
        print_out(&shown(&made));
        Ok(FINE)
    }

    fn optimise(&self) -> Optimise {
        if self.small { Optimise::Size } else { Optimise::Speed }
    }
}

/// The name of the package in a directory; `None` if there is only a workspace. (Of a manifest that cannot be read, cargo will
/// say what is wrong.)
fn package_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = text.parse().unwrap_or_default();
    let package = manifest.get("package");
    if package.is_none() && manifest.contains_key("workspace") {
        return None;
    }
    let name = package.and_then(|package| package.get("name")?.as_str());
    Some(name.unwrap_or("program").to_owned())
}

/// With symbols as Rust calls them.
fn readable(bounds: &Bounds) -> Bounds {
    let names = |symbols: &[String]| symbols.iter().map(|symbol| demangled(symbol)).collect::<Vec<_>>();
    let worst = |worst: &Worst| Worst {
        bytes: worst.bytes,
        path: names(&worst.path),
        recursion: worst.recursion.iter().map(|circle| names(circle)).collect(),
        indirect: names(&worst.indirect),
        unknown: names(&worst.unknown),
        pointers: names(&worst.pointers),
    };
    Bounds { entry: demangled(&bounds.entry), machine: worst(&bounds.machine), shadow: worst(&bounds.shadow) }
}

/// What `build --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    elf: &'a Path,
    image: &'a Path,
    image_bytes: u64,
    sections: Vec<Section<'a>>,
    stacks: Vec<Bounds>,
}

#[derive(Serialize)]
struct Section<'a> {
    name: &'a str,
    address: u32,
    bytes: u32,
    writable: bool,
}

impl<'a> Report<'a> {
    fn of(made: &'a Made) -> Self {
        let sections = made.elf.sections.iter().map(|section| Section {
            name: &section.name,
            address: section.address,
            bytes: section.size,
            writable: section.writable,
        });
        Report {
            elf: &made.elf.path,
            image: &made.image,
            image_bytes: made.image_size,
            sections: sections.collect(),
            stacks: made.bounds.iter().map(readable).collect(),
        }
    }
}

fn shown(made: &Made) -> String {
    let paint = Paint::stdout();
    let mut rows = vec![["section", "address", "bytes", "may be"].map(str::to_owned).to_vec()];
    for section in &made.elf.sections {
        let may = match (section.code, section.writable) {
            (true, _) => "run",
            (_, true) => "written",
            _ => "read",
        };
        let address = format!("{:#010x}", section.address);
        rows.push(vec![section.name.clone(), address, count(section.size.into()), may.to_owned()]);
    }
    let mut stacks = vec![["entry point", "machine's stack", "module's stack", ""].map(str::to_owned).to_vec()];
    let most =
        |worst: &Worst| format!("{}{}", count(worst.bytes.into()), if worst.is_bound() { "" } else { " or more" });
    for bounds in &made.bounds {
        let (machine, shadow) = (&bounds.machine, &bounds.shadow);
        stacks.push(vec![bounds.entry.clone(), most(machine), most(shadow), why(bounds)]);
    }
    format!(
        "{} {}\n{} {} ({} bytes)\n\n{}\n{}\n",
        paint.strong("program"),
        made.elf.path.display(),
        paint.strong("image  "),
        made.image.display(),
        count(made.image_size),
        table(&rows),
        table(&stacks),
    )
}

/// Why one of the two bounds is none, or what they rely on.
fn why(Bounds { machine, shadow, .. }: &Bounds) -> String {
    if machine.is_bound() && !shadow.is_bound() { reason(shadow) } else { reason(machine) }
}

/// Why a bound is none, or what it relies on.
fn reason(worst: &Worst) -> String {
    let name = |symbol: &String| demangled(symbol);
    if let Some(unknown) = worst.unknown.first() {
        return format!("what {} needs is not known", name(unknown));
    }
    if let Some(caller) = worst.pointers.first() {
        return format!("{} is C that calls through a pointer, whom is not known", name(caller));
    }
    if let Some(circle) = worst.recursion.first() {
        let others = worst.recursion.len() - 1;
        let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
        return format!("recursion: {}{more}", circle.iter().map(name).collect::<Vec<_>>().join(" -> "));
    }
    match worst.indirect.len() {
        0 => String::new(),
        1 => format!("{} calls through the table", name(&worst.indirect[0])),
        some => format!("{some} functions call through the table"),
    }
}

impl Translate {
    fn run(&self) -> Result<i32, Trouble> {
        let module = std::fs::read(&self.module).map_err(|error| {
            Trouble::new(
                format!("the module {} cannot be read: {error}.", self.module.display()),
                "name a .wasm file, as cargo build --target wasm32v1-none makes it.",
            )
        })?;
        let trust = if self.trust_nothing { Trust::Nothing } else { Trust::Compiler };
        let options = translate::Options { prefix: self.prefix.clone(), trust, lines: !self.no_lines };
        let translated = translate(&module, &options)?;
        match &self.out {
            None => print_out(&translated.source),
            Some(path) => std::fs::write(path, &translated.source).map_err(|error| {
                Trouble::new(format!("{} cannot be written: {error}.", path.display()), "name a file that can.")
            })?,
        }
        Ok(FINE)
    }
}

impl Where {
    fn run(&self) -> Result<i32, Trouble> {
        let places = Places::read(&self.elf)?;
        let found: Vec<(u32, Option<Place>)> =
            self.addresses.iter().map(|address| (*address, places.at(*address))).collect();
        let code = if found.iter().all(|(_, place)| place.is_some()) { FINE } else { WRONG };
        if self.json {
            let rows: Vec<_> = found
                .iter()
                .map(|(address, place)| serde_json::json!({ "address": address, "place": place }))
                .collect();
            return Ok(print_json(&rows, code));
        }
        for (address, place) in &found {
            let place = place.as_ref().map_or("not in this program".to_owned(), Place::to_string);
            say!("{address:#010x} {place}");
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::Arguments as Whole;

    #[test]
    fn a_start_of_its_own_has_no_entry_and_no_stack_to_be_told() {
        let parsed = |more: &[&str]| {
            let first = ["koboshi", "sh4", "build", "crate", "--source", "start.S", "--start", "begin"];
            Whole::try_parse_from(first.iter().chain(more))
        };
        assert!(parsed(&[]).is_ok());
        for more in [["--entry", "main"], ["--stack-top", "0x8cf00000"]] {
            let error = parsed(&more).map(|_| ()).expect_err("one of them counts for nothing");
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{more:?}");
        }
    }

    #[test]
    fn the_reason_that_is_shown_is_that_of_the_stack_that_has_no_bound() {
        let worst = |unknown: &[&str], indirect: &[&str]| Worst {
            bytes: 8,
            path: Vec::new(),
            recursion: Vec::new(),
            indirect: indirect.iter().map(|&symbol| symbol.to_owned()).collect(),
            unknown: unknown.iter().map(|&symbol| symbol.to_owned()).collect(),
            pointers: Vec::new(),
        };
        let why = |machine, shadow| why(&Bounds { entry: "main".to_owned(), machine, shadow });
        let through_table = || worst(&[], &["f"]);
        assert_eq!(why(through_table(), worst(&["strange"], &[])), "what strange needs is not known");
        assert_eq!(why(worst(&["odd"], &[]), worst(&["strange"], &[])), "what odd needs is not known");
        assert_eq!(why(through_table(), worst(&[], &[])), "f calls through the table");
        let pointers = Worst { pointers: vec!["c".to_owned()], ..through_table() };
        assert_eq!(why(pointers, worst(&[], &[])), "c is C that calls through a pointer, whom is not known");
    }
}
