//! What Rust costs on SH-4: small programs beside the same ones in C, by the same GCC at -O2.
//!
//! Job: build `sh4-programs/kernels` both ways, run both on the emulated board, count guest instructions and bytes of code.
//!
//! Rules: both compute the same on the same data, or the numbers are void; counts are exact, so each run gives the same.
//!
//! It must never: call an instruction of the emulator a time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koboshi_sh4::board::{Board, Run, run};
use koboshi_sh4::link::{Cpu, Optimise, Options, Source, compile};
use koboshi_sh4::program::{Artifact, PAGE, Program, build_helpers};
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};
use koboshi_sh4::translate::{self, Translated, Trust, translate};
use serde::Serialize;

/// The kernels, as they are called in Rust; in C, `c_` comes before it.
const KERNELS: [&str; 15] = [
    "crc32",
    "sha256",
    "heap_sort",
    "insertion_sort",
    "varint",
    "cobs",
    "wide",
    "decimal",
    "matrix",
    "filter",
    "machine",
    "pairs",
    "recursion",
    "ring",
    "bytes",
];

/// The most that the middle of the ratios is to be, of instructions and of bytes.
pub const MEDIAN_AIM: f64 = 1.25;

/// The most that any of them is to be.
pub const WORST_AIM: f64 = 1.6;

/// The forms that are measured; the first aim is that of a fast program, the second that of a small one.
pub const FORMS: [Optimise; 2] = [Optimise::Speed, Optimise::Size];

/// Words of the buffer that each kernel works on, as the kernels say themselves.
const WORDS: u32 = 1024;

/// One kernel in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub kernel: &'static str,
    /// Guest instructions in Rust.
    pub rust: u32,
    /// Guest instructions in C.
    pub c: u32,
    /// Bytes of code in Rust, without what it calls of others.
    pub rust_text: u32,
    /// Bytes of code in C, likewise.
    pub c_text: u32,
    /// Both have computed the same.
    pub same: bool,
}

/// All kernels in one form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// What both compilers were told.
    pub form: Optimise,
    /// The kernels.
    pub rows: Vec<Row>,
}

/// The middle of some ratios, and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratios {
    /// The median.
    pub median: f64,
    /// The greatest.
    pub worst: f64,
}

impl Ratios {
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
        Ratios { median: f64::midpoint(low, high), worst: ratios[ratios.len() - 1] }
    }
}

impl Cost {
    /// Instructions in Rust for one in C.
    #[must_use]
    pub fn instructions(&self) -> Ratios {
        Ratios::of(self.rows.iter().map(|row| f64::from(row.rust) / f64::from(row.c)))
    }

    /// Have both computed the same, each time?
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.rows.iter().all(|row| row.same)
    }

    /// Bytes of code in Rust for one in C.
    #[must_use]
    pub fn text(&self) -> Ratios {
        Ratios::of(self.rows.iter().map(|row| f64::from(row.rust_text) / f64::from(row.c_text)))
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = match self.form {
            Optimise::Speed => "for speed (opt-level 3, then GCC at -O2)",
            Optimise::Size => "for size (opt-level s, then GCC at -Os)",
        };
        writeln!(f, "Rust on SH-4, built {told}, beside C by the same GCC at -O2")?;
        writeln!(f, "  kernel           guest instructions            ratio  bytes of code  ratio")?;
        writeln!(f, "                         Rust          C                Rust      C")?;
        for Row { kernel, rust, c, rust_text, c_text, same } in &self.rows {
            let (ratio, text) = (f64::from(*rust) / f64::from(*c), f64::from(*rust_text) / f64::from(*c_text));
            let wrong = if *same { "" } else { "  WRONG: they compute different things" };
            writeln!(
                f,
                "  {kernel:<15} {rust:>10} {c:>10} {ratio:>14.2} {rust_text:>7} {c_text:>6} {text:>6.2}{wrong}"
            )?;
        }
        for (what, Ratios { median, worst }, aimed_at) in
            [("instructions", self.instructions(), Optimise::Speed), ("bytes of code", self.text(), Optimise::Size)]
        {
            let verdict = |value: f64, aim: f64| match (self.form == aimed_at, value <= aim) {
                (false, _) => String::new(),
                (true, met) => format!(" (aim {aim}: {})", if met { "met" } else { "MISSED" }),
            };
            let (of_median, of_worst) = (verdict(median, MEDIAN_AIM), verdict(worst, WORST_AIM));
            writeln!(f, "  {what}: median {median:.2}{of_median}, worst {worst:.2}{of_worst}")?;
        }
        Ok(())
    }
}

/// Builds and measures the kernels in one form, in a directory of its own below `cache`.
///
/// # Errors
/// A tool is missing, or something could not be built or run.
pub fn measure(form: Optimise, cache: &Path) -> Result<Cost, Trouble> {
    let (rust, gcc) = (Rust::find()?, Gcc::find(cache)?);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sh4-programs/kernels");
    let directory = cache.join(format!("cost-{form:?}").to_lowercase());
    let program = Program {
        folder: folder.clone(),
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: Vec::new(),
        base: 0x1_0000,
        stack: 0x4000,
        target_folder: directory.join("target"),
        optimise: Some(form),
    };
    let built = program.build(&rust)?;
    let options = translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true };
    let module = translate(&built.wasm, &options)?;

    let board = Board::new(&gcc, &directory)?;
    let object = |name: &str| directory.join(name);
    let translated = Source::Text { name: "rust.c", text: &module.source };
    compile(&gcc, translated, &object("rust.o"), &Options::translated(Cpu::Sh4, form))?;
    compile(&gcc, Source::File(&folder.join("kernels.c")), &object("c.o"), &Options::default())?;
    let main = board.compile("main.c", &main_source(&module, built.extent.stack.end))?;
    let helpers = build_helpers(&rust, &gcc, Cpu::Sh4, cache)?;
    let image = board.image("cost", &[main, object("rust.o"), object("c.o"), helpers.object])?;
    let counted = Run { counted: true, time_limit: Duration::from_secs(120), ..Run::default() };
    let output = run(Qemu::find()?.path(), &image.raw, &counted)?;

    let (rust_sizes, c_sizes) = (sizes(&gcc, &object("rust.o"))?, sizes(&gcc, &object("c.o"))?);
    let lines: Vec<Vec<&str>> = output.text.lines().map(|line| line.split(' ').collect()).collect();
    let rows = KERNELS.into_iter().map(|kernel| {
        let line = lines.iter().find(|line| line.first() == Some(&kernel));
        let number = |at: usize| line.and_then(|line| line.get(at)?.parse::<u32>().ok());
        let (Some(rust), Some(c), Some(same)) = (number(1), number(2), number(3)) else {
            return Err(Trouble::new(
                format!("the board said nothing of the kernel `{kernel}`:\n{}", output.text),
                "this is a mistake of Koboshi: please report it.",
            ));
        };
        let of = |sizes: &[(String, u32)]| {
            sizes.iter().filter(|(name, _)| belongs(name, kernel)).map(|(_, size)| size).sum()
        };
        Ok(Row { kernel, rust, c, rust_text: of(&rust_sizes), c_text: of(&c_sizes), same: same == 1 })
    });
    Ok(Cost { form, rows: rows.collect::<Result<_, _>>()? })
}

/// The program that calls each kernel twice in each language, the second time counted: the first one fills the TLB.
fn main_source(module: &Translated, buffer: u32) -> String {
    let buffer = buffer.next_multiple_of(PAGE);
    let pages = (buffer + 4 * WORDS).div_ceil(0x1_0000);
    let mut text = String::from("#include \"board.h\"\n");
    for kernel in KERNELS {
        let _ = writeln!(text, "uint32_t {kernel}(uint32_t *), c_{kernel}(uint32_t *);");
    }
    for (index, segment) in module.segments.iter().enumerate() {
        let bytes: Vec<String> = segment.bytes.iter().map(u8::to_string).collect();
        let _ = writeln!(text, "static const uint8_t segment{index}[] = {{ {} }};", bytes.join(","));
    }
    let _ = write!(
        text,
        "uint32_t fill(uint32_t *);
static uint32_t c_buffer[{WORDS}];
struct kernel {{ const char *name; uint32_t (*rust)(uint32_t *), (*c)(uint32_t *); }};
struct call {{ uint32_t (*kernel)(uint32_t *); uint32_t *buffer, result; }};
static void call(void *argument) {{
    struct call *call = argument;
    call->result = call->kernel(call->buffer);
}}
static uint32_t count(struct call *this) {{
    fill(this->buffer);
    call(this);
    fill(this->buffer);
    return board_measure(call, this);
}}
uint32_t board_main(void) {{
    static const struct kernel kernels[] = {{ "
    );
    for kernel in KERNELS {
        let _ = write!(text, "{{ \"{kernel}\", {kernel}, c_{kernel} }}, ");
    }
    let _ = write!(
        text,
        "}};
    board_select(board_space({pages}, {pages}));
    __asm__ volatile(\"ldc %0, gbr\" ::\"r\"({}u));
",
        module.stack_pointer.unwrap_or_default()
    );
    for (index, segment) in module.segments.iter().enumerate() {
        let (size, address) = (segment.bytes.len(), segment.address);
        let _ = writeln!(
            text,
            "    for (uint32_t i = 0; i < {size}; i++) *(volatile uint8_t *)({address}u + i) = segment{index}[i];"
        );
    }
    let _ = write!(
        text,
        "    for (uint32_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {{
        struct call rust = {{ kernels[i].rust, (uint32_t *){buffer}u, 0 }}, c = {{ kernels[i].c, c_buffer, 0 }};
        uint32_t in_rust = count(&rust), in_c = count(&c);
        board_print(\"%s %u %u %u\\n\", kernels[i].name, in_rust, in_c, rust.result == c.result);
    }}
    return 0;
}}
"
    );
    text
}

/// The functions of an object, with their sizes in bytes.
fn sizes(gcc: &Gcc, object: &PathBuf) -> Result<Vec<(String, u32)>, Trouble> {
    let listed = gcc.binutil("nm").args(["--print-size", "--demangle", "--defined-only"]).arg(object).output();
    let listed = listed.map_err(|error| {
        Trouble::new(format!("nm cannot be run: {error}"), "install the binutils of the SuperH GCC: koboshi doctor.")
    })?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let sizes = text.lines().filter_map(|line| {
        // Address, size, kind, and a name that may have spaces.
        let mut parts = line.splitn(4, ' ');
        let (_, size, kind, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        kind.eq_ignore_ascii_case("t").then_some((name.to_owned(), u32::from_str_radix(size, 16).ok()?))
    });
    Ok(sizes.collect())
}

/// Is this function a kernel's own? `name`, `c_name`, `crate::name::inner`, `c_name_inner`, and what GCC makes of them.
fn belongs(function: &str, kernel: &str) -> bool {
    let plain = function.split('.').next().unwrap_or(function);
    plain == kernel
        || plain.split("::").any(|part| part == kernel)
        || plain.strip_prefix("c_").is_some_and(|rest| rest == kernel || rest.starts_with(&format!("{kernel}_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_inside_a_kernel_are_its_own_and_others_are_not() {
        for own in ["machine", "c_machine", "c_machine_idle", "kernels::machine::idle", "machine.constprop.0"] {
            assert!(belongs(own, "machine"), "{own}");
        }
        for other in ["memset", "c_machines", "machinery", "c_pairs_idle"] {
            assert!(!belongs(other, "machine"), "{other}");
        }
    }

    #[test]
    fn the_middle_of_an_even_number_of_ratios_lies_between_two() {
        assert_eq!(Ratios::of([4.0, 1.0, 2.0, 3.0].into_iter()), Ratios { median: 2.5, worst: 4.0 });
    }

    #[test]
    fn rust_costs_little_more_than_c_and_computes_the_same() {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/koboshi/sh4");
        for form in FORMS {
            let cost = measure(form, &cache).unwrap_or_else(|trouble| panic!("{trouble}\n{}", trouble.remedy));
            println!("{cost}");
            assert!(cost.is_right(), "{cost}");
            // Instructions are counted, not timed: each run gives the same numbers.
            let median = if form == Optimise::Speed { cost.instructions().median } else { cost.text().median };
            assert!(median <= MEDIAN_AIM, "{cost}");
        }
    }
}
