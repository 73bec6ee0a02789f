//! C to an object, objects to an ELF at given addresses, an ELF to a raw image.
//!
//! The rules: everything lies where it was said to lie, and nothing lies on anything else; what is read-only has program
//! headers of its own.
//!
//! It must never: link machine code that an untested compiler has made. The C parts of libgcc are such code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, elf};

use crate::program::Extent;
use crate::tools::{Gcc, Trouble, output, printed, read, unwritable, write};
use crate::translate::Segment;

/// The processor that code is made for, and how it handles floating-point numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cpu {
    /// SH-4 with its floating-point unit: SH7751R.
    #[default]
    Sh4,
    /// SH-4A with its floating-point unit, and its own instructions, such as `movua.l`: SH7780.
    Sh4a,
    /// SH-4 or SH-4A, without a use of the floating-point unit: what never has to save its registers.
    Sh4NoFpu,
}

impl Cpu {
    /// The option of GCC.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Cpu::Sh4 => "-m4",
            Cpu::Sh4a => "-m4a",
            Cpu::Sh4NoFpu => "-m4-nofpu",
        }
    }
}

/// What every compilation is given, and why.
const FLAGS: [&str; 27] = [
    "-ml",
    "-O2",
    "-g",
    "-std=gnu11",
    "-ffreestanding",
    // What WebAssembly defines, C must not leave open: wrapping integers, addresses of any type, address 0, each
    // operation on floating-point numbers rounded by itself.
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-delete-null-pointer-checks",
    "-ffp-contract=off",
    // A square root is an instruction, not a function that could set errno.
    "-fno-math-errno",
    "-fno-common",
    "-fno-pic",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fomit-frame-pointer",
    // The implementation of memcpy is a loop too: it must not become a call of itself.
    "-fno-tree-loop-distribute-patterns",
    // What is not used is left out, one by one.
    "-ffunction-sections",
    "-fdata-sections",
    // Beside the object, a file .ci: who calls whom, and the stack that each takes.
    "-fcallgraph-info=su",
    // Functions that are equal stay two: the call graph does not tell that one has become a name of the other.
    "-fno-ipa-icf",
    // Mistakes that would only be warnings, and would become wrong code.
    "-Werror=implicit-function-declaration",
    "-Werror=implicit-int",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
    "-Werror=return-type",
    "-Werror=uninitialized",
    "-Wno-psabi",
];

/// All of them, for whoever keeps what was compiled.
pub(crate) fn flags() -> String {
    FLAGS.join(" ")
}

/// C or assembler to compile.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file: C in `.c`, assembler in `.s`, assembler for the preprocessor in `.S`.
    File(&'a Path),
    /// This text. It is written beside the object under this name, for the debugger.
    Text {
        /// The name of the file, without a directory: `module.c`.
        name: &'a str,
        /// What is in it.
        text: &'a str,
    },
}

/// How it is compiled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The processor.
    pub cpu: Cpu,
    /// Directories with headers.
    pub include: Vec<PathBuf>,
    /// Further options of GCC, behind all others.
    pub more: Vec<String>,
}

/// What a program is to be: both compilers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimise {
    /// Fast.
    Speed,
    /// Small.
    Size,
}

impl Optimise {
    /// `opt-level` of a profile of cargo, as TOML.
    #[must_use]
    pub const fn level(self) -> &'static str {
        match self {
            Optimise::Speed => "3",
            Optimise::Size => "'s'",
        }
    }
}

impl Options {
    /// For C that [`crate::translate`] has made.
    #[must_use]
    pub fn translated(cpu: Cpu, optimise: Optimise) -> Self {
        let more: &[&str] = match optimise {
            // It has a statement for each step, so GCC takes a function for larger than it is when it weighs whether to put
            // it in place of a call; the limit is that of -O3.
            Optimise::Speed => &["--param", "max-inline-insns-auto=30"],
            // What Rust has kept apart on purpose stays apart: a rare case then costs the frequent ones no registers.
            Optimise::Size => &["-Os", "-fno-inline-functions-called-once"],
        };
        Options { cpu, more: more.iter().map(|option| (*option).to_owned()).collect(), ..Options::default() }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The object.
    pub object: PathBuf,
    /// The call graph with the use of the stack, as `-fcallgraph-info=su` writes it; none for assembler.
    pub calls: Option<PathBuf>,
    /// What GCC warned of.
    pub warnings: String,
}

/// Refuses a file that is no source. GCC would take any other for the linker, and only warn that it does nothing with it.
///
/// # Errors
/// It is not there, or its name does not end in `.c`, `.S` or `.s`.
pub fn refuse_no_source(path: &Path) -> Result<(), Trouble> {
    let remedy = "name a .c, .S or .s file.";
    if !path.is_file() {
        return Err(Trouble::new(format!("there is no file {}.", path.display()), remedy));
    }
    if path.extension().is_some_and(|ending| ["c", "S", "s"].iter().any(|known| ending == *known)) {
        return Ok(());
    }
    Err(Trouble::new(
        format!("{} cannot be compiled: it is neither C nor assembler by its name.", path.display()),
        remedy,
    ))
}

/// Compiles one C or assembler source.
///
/// # Errors
/// It is no source: [`refuse_no_source`]. GCC found a mistake: all that it said. A file could not be written.
pub fn compile(gcc: &Gcc, source: Source<'_>, object: &Path, options: &Options) -> Result<Compiled, Trouble> {
    let (source, remedy) = match source {
        Source::File(path) => {
            refuse_no_source(path)?;
            (path.to_path_buf(), "correct it.")
        }
        Source::Text { name, text } => {
            let path = object.with_file_name(name);
            write(&path, text)?;
            (path, "this is a mistake of Koboshi, not of your program: please report it with the file.")
        }
    };
    // What is left of an earlier time must not be taken for what comes of this one.
    let calls = object.with_extension("ci");
    for old in [object, &calls] {
        match std::fs::remove_file(old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(old, &error)),
            _ => {}
        }
    }
    let mut command = gcc.command();
    command.arg(options.cpu.option()).args(FLAGS);
    for folder in &options.include {
        command.arg("-I").arg(folder);
    }
    command.args(&options.more).arg("-c").arg("-o").arg(object).arg(&source);
    let compiled = output(&mut command)?;
    let said = printed(&compiled.stderr);
    if !compiled.status.success() {
        return Err(Trouble::new(
            format!("GCC {} does not compile {}:\n{said}", gcc.version(), source.display()),
            remedy,
        ));
    }
    Ok(Compiled { object: object.to_path_buf(), calls: calls.is_file().then_some(calls), warnings: said })
}

/// Where things lie, as addresses in bytes, and what runs first.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The first byte of code; behind it, the constants of C and assembler. What is in a section `.text.first` comes first.
    pub code: u32,
    /// The first byte of the variables of C and assembler. Those that are zero at the start lie from the symbol `koboshi_bss`
    /// to `koboshi_bss_end`, in words.
    pub data: u32,
    /// The memory of the WebAssembly module: what is in no segment is zero at the start. The ELF then has sections
    /// `.wasm.zero` behind the last segment and `.wasm.stack`, and nothing at the guard. A start finds the former from the
    /// symbol `koboshi_zero` to `koboshi_zero_end`, in bytes.
    pub memory: Option<Extent>,
    /// The symbol of the first instruction. What it does not need is left out; without it, all is kept.
    pub entry: Option<String>,
}

/// A section of an ELF that lies in memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// The address of its first byte.
    pub address: u32,
    /// Its size in bytes.
    pub size: u32,
    /// May it be written?
    pub writable: bool,
    /// Has it machine code?
    pub code: bool,
    /// Is it in the file? If not, it is zero at the start.
    pub in_file: bool,
}

impl Section {
    /// The first address behind it. (It may be 4 GiB.)
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address as u64 + self.size as u64
    }
}

/// A program header: what a loader has to put where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Load {
    /// The address of its first byte.
    pub address: u32,
    /// Bytes that it has in the file.
    pub in_file: u32,
    /// Bytes that it has in memory; those that are not in the file are zero.
    pub in_memory: u32,
    /// May it be written?
    pub writable: bool,
}

/// A linked program.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Elf {
    /// The file.
    pub path: PathBuf,
    /// The linker's map beside it.
    pub map: PathBuf,
    /// The address of the first instruction.
    pub entry: u32,
    /// What lies in memory, by address.
    pub sections: Vec<Section>,
    /// What a loader has to load, by address.
    pub loads: Vec<Load>,
}

/// Links objects and archives with the segments of a module.
///
/// Of libgcc, only what is written in assembler is linked: the rest was compiled by nobody knows which compiler.
///
/// # Errors
/// Something is not defined, or only in C parts of libgcc: what, and who needs it. Two things lie on one address. Something
/// could not be written.
pub fn link(
    gcc: &Gcc,
    cpu: Cpu,
    objects: &[PathBuf],
    segments: &[Segment],
    layout: &Layout,
    elf: &Path,
) -> Result<Elf, Trouble> {
    let beside = |ending: &str| {
        let mut name = elf.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        elf.with_file_name(name)
    };
    let pieces = pieces(segments, layout);
    let mut command = gcc.binutil("ld");
    command.args(["-EL", "-nostdlib", "-static", "--no-check-sections", "--no-warn-rwx-segments"]);
    command.args(["-z", "max-page-size=4096", "-z", "noexecstack"]);
    if let Some(entry) = &layout.entry {
        // Unasked, the linker would begin anywhere if it is not there.
        command.arg("--gc-sections").arg(format!("--require-defined={entry}"));
    }
    let (script, map) = (beside(".ld"), beside(".map"));
    write(&script, linker_script(&pieces, segments, layout))?;
    command.arg("-Map").arg(&map).arg("-T").arg(&script).arg("-o").arg(elf);
    if !segments.is_empty() {
        command.arg(assemble_segments(gcc, segments, &beside(".segments.bin"), &beside(".segments.s"))?);
    }
    command.args(objects).arg(gcc.libgcc(cpu)?);
    let linked = output(&mut command)?;
    if !linked.status.success() {
        return Err(not_linked(elf, &printed(&linked.stderr)));
    }
    refuse_untested(&printed(&read(&map)?))?;
    let linked = read_elf(elf, map)?;
    refuse_overlaps(&linked.sections)?;
    refuse_strangers(&linked.sections, &pieces)?;
    Ok(linked)
}

/// A part of the program at an address of its own: one program header.
struct Piece {
    /// The first output section, and the name of the program header.
    name: String,
    address: u32,
    /// What may be done with it: `PF_X` 1, `PF_W` 2, `PF_R` 4.
    flags: u32,
    /// Output sections as the linker script says them, without the header.
    sections: Vec<String>,
}

/// The symbols of the first byte of `.bss` and of the first behind it. Both are multiples of 4.
pub(crate) const BSS: &str = "koboshi_bss";
pub(crate) const BSS_END: &str = "koboshi_bss_end";

const CODE: u32 = 5;
const CONSTANTS: u32 = 4;
const VARIABLES: u32 = 6;

/// The output section of a segment.
fn section_of(index: usize, segment: &Segment) -> String {
    let name = segment.name.as_deref().unwrap_or(".data");
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '_' };
    format!(".wasm.{}.{index}", name.trim_start_matches('.').chars().map(plain).collect::<String>())
}

/// Whether a segment holds constants.
#[must_use]
pub fn is_read_only(segment: &Segment) -> bool {
    segment.name.as_deref().is_some_and(|name| name.starts_with(".rodata"))
}

fn end_of(segment: &Segment) -> u64 {
    u64::from(segment.address) + segment.bytes.len() as u64
}

/// All that the program consists of, by address.
fn pieces(segments: &[Segment], layout: &Layout) -> Vec<Piece> {
    let mut pieces = vec![
        Piece {
            name: ".text".to_owned(),
            address: layout.code,
            flags: CODE,
            sections: vec![
                format!(".text {:#x} : {{ KEEP(*(.text.first)) *(.text .text.*) }}", layout.code),
                ".rodata : ALIGN(8) { *(.rodata .rodata.*) }".to_owned(),
            ],
        },
        Piece {
            name: ".data".to_owned(),
            address: layout.data,
            flags: VARIABLES,
            sections: vec![
                format!(".data {:#x} : {{ *(.data .data.*) }}", layout.data),
                // A start that clears it finds it by these.
                format!(
                    ".bss : ALIGN(8) {{ PROVIDE({BSS} = .); *(.bss .bss.* COMMON) . = ALIGN(4); PROVIDE({BSS_END} = .); }}"
                ),
            ],
        },
    ];
    for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| !segment.bytes.is_empty()) {
        let name = section_of(index, segment);
        pieces.push(Piece {
            address: segment.address,
            flags: if is_read_only(segment) { CONSTANTS } else { VARIABLES },
            sections: vec![format!("{name} {:#x} : {{ KEEP(*({name})) }}", segment.address)],
            name,
        });
    }
    for (name, place) in zeros(segments, layout) {
        pieces.push(Piece {
            name: name.to_owned(),
            address: place.start,
            flags: VARIABLES,
            // Unasked, the linker would put so many zeros into the file.
            sections: vec![format!("{name} {:#x} (NOLOAD) : {{ . += {:#x}; }}", place.start, place.end - place.start)],
        });
    }
    // The linker wants program headers by address.
    pieces.sort_by_key(|piece| piece.address);
    pieces
}

/// The bytes of the module's data behind the last segment.
fn behind(segments: &[Segment], data: &Range<u32>) -> Range<u32> {
    let filled = segments.iter().map(end_of).max().unwrap_or(0);
    u32::try_from(filled).unwrap_or(u32::MAX).clamp(data.start, data.end)..data.end
}

/// The parts of the module's memory that are in no segment.
fn zeros(segments: &[Segment], layout: &Layout) -> Vec<(&'static str, Range<u32>)> {
    let Some(Extent { data, stack, .. }) = &layout.memory else { return Vec::new() };
    let parts = [(".wasm.zero", behind(segments, data)), (".wasm.stack", stack.clone())];
    parts.into_iter().filter(|(_, place)| !place.is_empty()).collect()
}

fn linker_script(pieces: &[Piece], segments: &[Segment], layout: &Layout) -> String {
    let mut script = String::from("/* Made by Koboshi. */\nPHDRS {\n");
    for Piece { name, flags, .. } in pieces {
        let _ = writeln!(script, "  load{name} PT_LOAD FLAGS({flags});");
    }
    script.push_str("}\nSECTIONS {\n");
    for Piece { name, sections, .. } in pieces {
        for section in sections {
            let _ = writeln!(script, "  {section} :load{name}");
        }
    }
    script.push_str("  /DISCARD/ : { *(.comment .note.* .gnu.* .eh_frame .eh_frame_hdr) }\n}\n");
    if let Some(entry) = &layout.entry {
        let _ = writeln!(script, "ENTRY({entry})");
    }
    if let Some(Extent { data, .. }) = &layout.memory {
        let Range { start, end } = behind(segments, data);
        let _ = writeln!(script, "PROVIDE(koboshi_zero = {start:#x});\nPROVIDE(koboshi_zero_end = {end:#x});");
    }
    script
}

/// An object with a section for each segment.
fn assemble_segments(gcc: &Gcc, segments: &[Segment], bytes: &Path, assembler: &Path) -> Result<PathBuf, Trouble> {
    write(bytes, segments.iter().flat_map(|segment| segment.bytes.iter().copied()).collect::<Vec<u8>>())?;
    let file = bytes.file_name().unwrap_or_default().to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::new();
    let mut skip = 0;
    for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| !segment.bytes.is_empty()) {
        let flags = if is_read_only(segment) { "a" } else { "aw" };
        let (name, size) = (section_of(index, segment), segment.bytes.len());
        let _ = writeln!(text, "\t.section {name},\"{flags}\",@progbits\n\t.incbin \"{file}\",{skip},{size}");
        skip += size;
    }
    write(assembler, text)?;
    let object = assembler.with_extension("o");
    let mut command = gcc.binutil("as");
    command.args(["--little", "-isa=any", "-I"]).arg(bytes.parent().unwrap_or(Path::new("."))).arg("-o").arg(&object);
    let assembled = output(command.arg(assembler))?;
    if assembled.status.success() {
        return Ok(object);
    }
    Err(Trouble::new(
        format!("the data of the module cannot be assembled:\n{}", printed(&assembled.stderr)),
        "this is a mistake of Koboshi: please report it.",
    ))
}

/// Members of libgcc that are written in assembler, for every SuperH GCC since 4: `libgcc/config/sh/lib1funcs.S`.
const ASSEMBLER_MEMBERS: [&str; 12] = [
    "_ashiftrt.o",
    "_ashiftrt_n.o",
    "_ashiftlt.o",
    "_lshiftrt.o",
    "_movmem.o",
    "_movmem_i4.o",
    "_mulsi3.o",
    "_sdivsi3.o",
    "_sdivsi3_i4.o",
    "_udivsi3.o",
    "_udivsi3_i4.o",
    "_div_table.o",
];

/// Whether a symbol is in one of [`ASSEMBLER_MEMBERS`].
pub(crate) fn is_of_assembler(symbol: &str) -> bool {
    const STARTS: [&str; 9] = [
        "__ashiftrt_r4_",
        "__ashlsi3",
        "__ashrsi3",
        "__lshrsi3",
        "__movmem",
        "__movstr",
        "__mulsi3",
        "__sdivsi3",
        "__udivsi3",
    ];
    STARTS.iter().any(|start| symbol.starts_with(start))
}

/// Refuses a program with C parts of libgcc, as the linker's map tells of them.
pub(crate) fn refuse_untested(map: &str) -> Result<(), Trouble> {
    // Archive member included to satisfy reference by file (symbol)
    //
    // /usr/lib/.../libgcc.a(_udivdi3.o)
    //                               program.o (__udivdi3)
    let mut lines = map.lines().skip_while(|line| !line.starts_with("Archive member included")).skip(1).peekable();
    let mut untested = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) && !line.contains(".a(") {
            break; // the next part of the map
        }
        let Some((archive, member)) = line.split_once(".a(") else { continue };
        let (member, rest) = member.split_once(')').unwrap_or((member, ""));
        // The reason is on the same line if there is room for it.
        let reason = if rest.trim().is_empty() { lines.next().unwrap_or("").trim() } else { rest.trim() };
        let of_libgcc = Path::new(archive).file_name().is_some_and(|name| name.to_string_lossy().starts_with("libgcc"));
        // What it needs itself is no news.
        if of_libgcc && !reason.starts_with(archive) && !ASSEMBLER_MEMBERS.contains(&member) {
            let (user, symbol) = reason.rsplit_once(" (").unwrap_or((reason, member));
            untested.push(format!("{} (needed by {})", symbol.trim_end_matches(')'), short(user)));
        }
    }
    if untested.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(
        format!(
            "the program would need parts of libgcc that were compiled by an untested compiler: {}",
            untested.join(", ")
        ),
        "link the object of program::build_helpers with it, which has them; or define them.",
    ))
}

/// A file without its directories; members of archives too.
fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the linker said, in order.
pub(crate) fn not_linked(elf: &Path, said: &str) -> Trouble {
    // a.o: in function `f':
    // a.c:3: undefined reference to `g'
    let mut undefined: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    // b.o: in function `f':
    // b.c:7: multiple definition of `f'; a.o:a.c:5: first defined here
    let mut twice = Vec::new();
    let mut function = None;
    for line in said.lines() {
        if let Some((place, (symbol, first))) =
            line.split_once(": multiple definition of `").and_then(|(place, rest)| {
                let (symbol, first) = rest.split_once("'; ")?;
                Some((place, (symbol, first.trim_end_matches(": first defined here"))))
            })
        {
            twice.push(format!("{symbol} ({} and {})", short(first), short(place)));
        }
        if let Some((file, rest)) = line.split_once(": in function `") {
            function = Some((short(file), rest.trim_end_matches("':")));
        }
        if let Some((_, rest)) = line.split_once("required symbol `") {
            let symbol = rest.split('\'').next().unwrap_or(rest);
            undefined.entry(symbol).or_default().push("the start".to_owned());
        }
        let Some((place, symbol)) = line.split_once("undefined reference to `") else { continue };
        let user = match function {
            Some((file, function)) => format!("{function} in {}", short(file)),
            None => short(place.trim_end_matches([':', ' '])).to_owned(),
        };
        let users = undefined.entry(symbol.trim_end_matches('\'')).or_default();
        if !users.contains(&user) {
            users.push(user);
        }
    }
    if !twice.is_empty() {
        return Trouble::new(
            format!("{} cannot be linked, since this is defined twice: {}", elf.display(), twice.join("; ")),
            "leave one out, or make it `static`.",
        );
    }
    if undefined.is_empty() {
        return Trouble::new(
            format!("{} cannot be linked:\n{said}", elf.display()),
            "this is a mistake of Koboshi, if no object is from elsewhere: please report it.",
        );
    }
    let symbols: Vec<String> =
        undefined.iter().map(|(symbol, users)| format!("{symbol} (needed by {})", users.join(", "))).collect();
    Trouble::new(
        format!("{} cannot be linked, since this is not defined: {}", elf.display(), symbols.join("; ")),
        "define it: in C or assembler (koboshi sh4 build --source FILE), or in a module that exports it.",
    )
}

fn unreadable(path: &Path, why: &object::read::Error) -> Trouble {
    Trouble::new(
        format!("{} is not an ELF of the linker: {why}", path.display()),
        "do the binutils belong to this GCC?",
    )
}

fn read_elf(path: &Path, map: PathBuf) -> Result<Elf, Trouble> {
    let bytes = read(path)?;
    let parsed = parse_elf(&bytes).map_err(|why| unreadable(path, &why))?;
    let (entry, sections, loads) = parsed;
    Ok(Elf { path: path.to_path_buf(), map, entry, sections, loads })
}

fn has(flags: u64, flag: u64) -> bool {
    flags & flag != 0
}

fn parse_elf(bytes: &[u8]) -> object::read::Result<(u32, Vec<Section>, Vec<Load>)> {
    let header = elf::FileHeader32::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let table = header.sections(endian, bytes)?;
    let mut sections = Vec::new();
    for section in table.iter() {
        let flags = section.sh_flags(endian);
        let size = section.sh_size(endian);
        if !has(flags.0, elf::SHF_ALLOC.0) || size == 0 {
            continue;
        }
        sections.push(Section {
            name: String::from_utf8_lossy(table.section_name(endian, section)?).into_owned(),
            address: section.sh_addr(endian),
            size,
            writable: has(flags.0, elf::SHF_WRITE.0),
            code: has(flags.0, elf::SHF_EXECINSTR.0),
            in_file: section.sh_type(endian) != elf::SHT_NOBITS,
        });
    }
    sections.sort_by_key(|section| section.address);
    let mut loads: Vec<Load> = header
        .program_headers(endian, bytes)?
        .iter()
        .filter(|load| load.p_type(endian) == elf::PT_LOAD && load.p_memsz(endian) > 0)
        .map(|load| Load {
            address: load.p_vaddr(endian),
            in_file: load.p_filesz(endian),
            in_memory: load.p_memsz(endian),
            writable: has(load.p_flags(endian).0.into(), elf::PF_W.0.into()),
        })
        .collect();
    loads.sort_by_key(|load| load.address);
    Ok((header.e_entry(endian), sections, loads))
}

/// A section, with where it lies.
fn told(section: &Section) -> String {
    format!("{} ({:#010x} to {:#010x})", section.name, section.address, section.end() - 1)
}

/// Refuses a program of which two sections lie on one address.
fn refuse_overlaps(sections: &[Section]) -> Result<(), Trouble> {
    let overlap = sections.iter().zip(sections.iter().skip(1)).find(|(one, next)| one.end() > u64::from(next.address));
    match overlap {
        None => Ok(()),
        Some((one, next)) => Err(Trouble::new(
            format!("{} lies on {}", told(one), told(next)),
            format!("move what lies at {:#010x}, or make the other smaller.", next.address),
        )),
    }
}

/// Refuses a program with sections that nobody has given a place, or that are elsewhere.
fn refuse_strangers(sections: &[Section], pieces: &[Piece]) -> Result<(), Trouble> {
    for section in sections {
        match pieces.iter().find(|piece| piece.name == section.name) {
            Some(piece) if piece.address != section.address => {
                return Err(Trouble::new(
                    format!("{} should lie at {:#010x}", told(section), piece.address),
                    "this is a mistake of Koboshi: please report it.",
                ));
            }
            None if ![".rodata", ".bss"].contains(&section.name.as_str()) => {
                return Err(Trouble::new(
                    format!("an object has a section that has no place: {}", told(section)),
                    "put it into .text, .rodata, .data or .bss.",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The most that a raw image may be: a gap between two far addresses would be filled with zeros.
const MOST_IMAGE: u64 = 64 << 20;

/// Writes the memory of a program as a file without any header, as a boot loader wants it, and gives its size in bytes.
///
/// # Errors
/// The program does not begin at `base`, or reaches over more than 64 MiB.
pub fn raw_image(gcc: &Gcc, elf: &Elf, image: &Path, base: u32) -> Result<u64, Trouble> {
    let in_file = || elf.sections.iter().filter(|section| section.in_file);
    let (Some(first), Some(last)) = (in_file().next(), in_file().next_back()) else {
        return Err(Trouble::new(format!("there is nothing in {}", elf.path.display()), "link something."));
    };
    if first.address != base {
        return Err(Trouble::new(
            format!("the image should begin at {base:#010x}, but the first section is {}", told(first)),
            "the code comes first: place it (--code) below everything else (--base).",
        ));
    }
    let size = last.end() - u64::from(base);
    if size > MOST_IMAGE {
        return Err(Trouble::new(
            format!("the image would have {size} bytes: from {} to {}", told(first), told(last)),
            format!("place all within {MOST_IMAGE} bytes."),
        ));
    }
    let copied = output(gcc.binutil("objcopy").args(["-O", "binary"]).arg(&elf.path).arg(image))?;
    let said = printed(&copied.stderr);
    let written = image.metadata().map_or(0, |file| file.len());
    if copied.status.success() && written == size {
        return Ok(size);
    }
    Err(Trouble::new(
        format!("{} should have {size} bytes and has {written}; {said}", image.display()),
        "do the binutils belong to this GCC?",
    ))
}
