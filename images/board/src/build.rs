//! All of it through the compile path, and into one file.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use koboshi_sh4::link::{Elf, Layout as Placing, Options, Section, Source as Text, compile, link, raw_image};
use koboshi_sh4::program::{Artifact, Built, Program, build_helpers};
use koboshi_sh4::stack::{Bounds, Calls, Worst};
use koboshi_sh4::tools::{Gcc, Rust, Trouble, fingerprint, is_stopped, read, stopped, unwritable};
use koboshi_sh4::translate::{self, Segment, Trust, translate};
use koboshi_sh4_abi::PAGE;
use serde::{Deserialize, Serialize};

use crate::fit::{Fitting, judged};
use crate::generate;
use crate::interrupts::{Line, Mask};
use crate::layout::{self, Layout};
use crate::line_end::LineEnd;
use crate::request::Request;
use crate::unchanged::{self, Given, Note};

/// A component that was built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MadeComponent {
    /// Its name in the image.
    pub name: String,
    /// Its program, with symbols and lines.
    pub elf: Elf,
    /// Its first instruction.
    pub entry: u32,
    /// Pages of code.
    pub code: Range<u32>,
    /// Pages of constants.
    pub constants: Range<u32>,
    /// Pages of variables.
    pub data: Range<u32>,
    /// What its variables are at the beginning: whole words.
    pub initial: Vec<u8>,
    /// Where that is kept.
    pub kept_initial: u32,
    /// The first address behind variables that are zero at the beginning.
    pub zero_end: u32,
    /// Pages of the module's own stack.
    pub shadow: Range<u32>,
    /// Where that stack begins.
    pub shadow_pointer: u32,
    /// Pages of the machine's stack.
    pub stack: Range<u32>,
    /// What lies below both stacks, and is not mapped.
    pub guards: [Range<u32>; 2],
    /// The page that it reads, and its configuration.
    pub view: Range<u32>,
    /// The page with its kept state.
    pub kept: Range<u32>,
    /// What both stacks need.
    pub bounds: Bounds,
    /// Bytes of code and constants.
    pub size: u32,
}

/// An image that was built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// The file that boots.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The kernel, with symbols and lines.
    pub kernel: Elf,
    /// Bytes of the kernel's code.
    pub kernel_code: u32,
    /// The components.
    pub components: Vec<MadeComponent>,
    /// The outboxes, by their owner and by who reads them.
    // Found anew each time.
    #[serde(skip)]
    pub outboxes: BTreeMap<(usize, usize), Range<u32>>,
    /// The first address behind all memory that is used.
    pub end: u32,
    /// What runs, and may not be what was meant.
    pub warnings: Vec<String>,
}

impl MadeComponent {
    /// Words of its variables that begin anew with each incarnation: those that are copied, and those that become zero.
    pub(crate) fn anew(&self) -> (u32, u32) {
        let copied = self.initial.len() as u32 / 4;
        (copied, (self.zero_end - self.data.start) / 4 - copied)
    }

    /// The first address behind all of it.
    fn end(&self) -> u32 {
        (self.kept_initial + self.initial.len() as u32).next_multiple_of(PAGE)
    }
}

/// How often whoever waits for another build looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// Where a component's variables of C would lie, if it had any.
const OTHER: u32 = 0x7000_0000;

/// The entry of a program, and the assembler that it needs: its file's name, and its text.
type Kind = (&'static str, &'static str, &'static str);
const COMPONENT: Kind = ("koboshi_component", "traps.S", include_str!("../../../kernel/sh4/component/src/traps.S"));
const KERNEL: Kind = ("koboshi_boot", "start.S", include_str!("../../../kernel/sh4/src/start.S"));

/// A program before it is linked.
#[derive(Clone)]
struct Compiled {
    objects: Vec<PathBuf>,
    segments: Vec<Segment>,
    /// Who calls whom.
    calls: Calls,
    /// Where the module's own stack begins.
    shadow_pointer: u32,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It waits until another build of the same image is over.
    Waits,
    /// Of so many parts so many are made, and now this is done for the one of this name.
    Part {
        /// Parts that are made.
        made: usize,
        /// All parts: the components, and the kernel.
        of: usize,
        /// A component's name, or `the kernel`.
        name: &'a str,
        /// What is done: `compiling Rust` and the like.
        doing: &'static str,
    },
}

/// How a part is made, in this order.
pub(crate) const RUST: &str = "compiling Rust";
const C: &str = "compiling C";
const LINKING: &str = "linking";

/// Builds an image, unless what the last build left is the same. `say` is told of each step; if there is nothing to do, of none.
///
/// # Errors
/// A step failed: which, and why.
pub fn build(
    rust: &Rust,
    gcc: &Gcc,
    cache: &Path,
    request: &Request<'_>,
    say: &mut dyn FnMut(Step<'_>),
) -> Result<Made, Trouble> {
    let _lock = lock(&request.folder, say)?;
    let Fitting { image, ends, masks, lines } = judged(request)?;
    let request = &Request { image: &image, ..request.clone() };
    // Now: what is there afterwards may be newer than what has compiled.
    let compilers = (rust.identity(), gcc.identity());
    let crates = request.folder.join("crates");
    let names: Vec<String> = request.image.components.iter().map(|component| component.name.clone()).collect();
    let members: Vec<String> = names.iter().cloned().chain(["kernel".to_owned()]).collect();
    let mut texts = vec![(crates.join("Cargo.toml"), generate::workspace(&members))];
    for (at, (name, source)) in names.iter().zip(&request.sources).enumerate() {
        let at_line_end = ends.iter().any(|end| end.side(at).is_some());
        let wanted = [("line-end", at_line_end), ("knocks", request.knocks)];
        let (manifest, text) = generate::component(&request.koboshi, &wanted, name, source);
        texts.push((crates.join(name).join("Cargo.toml"), manifest));
        texts.push((crates.join(name).join("src/lib.rs"), text));
    }
    texts.push((crates.join("kernel/Cargo.toml"), generate::kernel_manifest(request)));
    let of_kernel = crates.join("kernel/src/lib.rs");
    let whole = |components: &mut [MadeComponent]| Whole::of(request, &ends, (&masks, &lines), components);
    // What a test changes, and what assembler includes, nobody notes.
    let is_noted = request.change.is_none() && request.sources.iter().all(|source| source.assembler.is_empty());
    let surroundings = if is_noted { unchanged::surroundings() } else { None };
    let made_of = |whole: &Whole| Some(given(surroundings.clone()?, &compilers, request, &texts, whole));
    if let Some(note) = Note::read(&request.folder) {
        let mut components = note.made().components.clone();
        if components.len() == names.len()
            && let Ok(whole) = whole(&mut components)
            && made_of(&whole).is_some_and(|given| note.holds(&given))
        {
            return Ok(Made { components, outboxes: whole.layout.outbox, ..note.made().clone() });
        }
    }
    let began = SystemTime::now();
    Note::remove(&request.folder)?;
    lay_down(&request.koboshi, &crates, &texts)?;
    // Cargo wants all members to be there; the tables come when the components' sizes are known.
    if !of_kernel.is_file() {
        put(&of_kernel, "#![no_std]\n")?;
    }
    let builder = Builder { rust, gcc, cache, request, crates: &crates };
    let mut components: Vec<MadeComponent> = Vec::new();
    let mut place = layout::places(request);
    let of = members.len();
    for (made, (name, source)) in names.iter().zip(&request.sources).enumerate() {
        let mut doing = |doing| say(Step::Part { made, of, name, doing });
        let component = builder.component(name, &source.assembler, place, &mut doing)?;
        place = component.end();
        components.push(component);
    }
    let whole = whole(&mut components)?;
    let tables = whole.tables.clone();
    put(&of_kernel, &request.change.map_or(tables.clone(), |change| change(tables)))?;
    let mut doing = |doing| say(Step::Part { made: names.len(), of, name: "the kernel", doing });
    let (kernel, bytes) = builder.kernel(&mut doing)?;

    let mut file = bytes;
    let base = request.board.load;
    let mut lay = |address: u32, bytes: &[u8]| {
        let at = (address - base) as usize;
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    for (component, view) in components.iter().zip(&whole.views) {
        lay(component.view.start, view);
        let (address, bytes) = builder.raw(&component.elf, &component.name)?;
        lay(address, &bytes);
        lay(component.kept_initial, &component.initial);
    }
    let path = request.folder.join(format!("{}.bin", request.name));
    std::fs::write(&path, &file).map_err(|error| unwritable(&path, &error))?;
    let kernel_code = kernel.sections.iter().filter(|section| section.code).map(|section| section.size).sum();
    let noted = made_of(&whole);
    let Layout { outbox: outboxes, end, .. } = whole.layout;
    let warnings = components.iter();
    let warnings =
        warnings.filter_map(|made| long_start(&made.name, made.anew(), request.board.instructions)).collect();
    let made = Made { file: path, size: file.len() as u64, kernel, kernel_code, components, outboxes, end, warnings };
    if let Some(given) = noted {
        let of_components = names.iter().map(|name| generate::crate_of(name));
        let crates: Vec<String> = of_components.chain([generate::KERNEL.to_owned()]).collect();
        Note::write(&request.folder, &crates, given, &made, began)?;
    }
    Ok(made)
}

/// Keeps others out of a folder until it is dropped: two who build into one would spoil each other's files.
pub(crate) fn lock(folder: &Path, say: &mut dyn FnMut(Step<'_>)) -> Result<File, Trouble> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let lock = folder.join("lock");
    let lock = File::create(&lock).map_err(|error| unwritable(&lock, &error))?;
    if lock.try_lock().is_err() {
        say(Step::Waits);
        // Where a system has no locks, there is one builder, or none who knows.
        while matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            if is_stopped() {
                return Err(stopped());
            }
            std::thread::sleep(LOOK);
        }
    }
    Ok(lock)
}

/// Writes generated crates, with the same versions of everything as in Koboshi itself.
pub(crate) fn lay_down(koboshi: &Path, crates: &Path, texts: &[(PathBuf, String)]) -> Result<(), Trouble> {
    for (path, text) in texts {
        put(path, text)?;
    }
    // Cargo takes out what these crates do not need, so the whole of it is remembered beside.
    if let Ok(text) = std::fs::read_to_string(koboshi.join("Cargo.lock"))
        && put(&crates.join("locked.toml"), &text)?
    {
        put(&crates.join("Cargo.lock"), &text)?;
    }
    Ok(())
}

/// What follows from the sizes of the components.
struct Whole {
    layout: Layout,
    /// The kernel's.
    tables: String,
    /// What each component reads.
    views: Vec<Vec<u8>>,
}

impl Whole {
    /// Finds a place for everything, and tells the components of theirs.
    fn of(
        request: &Request<'_>,
        ends: &[LineEnd],
        interrupts: (&[Mask], &[Line]),
        components: &mut [MadeComponent],
    ) -> Result<Self, Trouble> {
        let place = components.last().map_or(layout::places(request), MadeComponent::end);
        let layout = Layout::of(request, ends, place)?;
        for (at, component) in components.iter_mut().enumerate() {
            component.view = layout.views[at]..layout.views[at] + layout::VIEW;
            component.kept = layout.kept[at]..layout.kept[at] + PAGE;
        }
        let tables = generate::kernel(request, &layout, components, interrupts);
        let views = (0..components.len()).map(|at| generate::view(request, &layout, ends, at)).collect();
        Ok(Whole { layout, tables, views })
    }
}

/// All that a build comes of but files that others write. Of the image itself everything is in the texts.
fn given(
    mut given: Given,
    (rust, gcc): &(String, String),
    request: &Request<'_>,
    texts: &[(PathBuf, String)],
    whole: &Whole,
) -> Given {
    let Request { image: _, sources, devices, board, optimise, knocks, koboshi, folder, name, change: _ } = request;
    let options = format!("{sources:?} {devices:?} {board:?} {optimise:?} {knocks} {koboshi:?} {folder:?} {name:?}");
    let mut add = |name: String, text: &[u8]| given.insert(name, fingerprint([text]));
    add("rust".to_owned(), rust.as_bytes());
    add("gcc".to_owned(), gcc.as_bytes());
    add("options".to_owned(), options.as_bytes());
    add("tables".to_owned(), whole.tables.as_bytes());
    for (at, view) in whole.views.iter().enumerate() {
        add(format!("view {at}"), view);
    }
    for (path, text) in texts {
        add(path.display().to_string(), text.as_bytes());
    }
    given
}

/// Writes a file, unless it says that already: cargo goes by its time. Whether it did.
pub(crate) fn put(path: &Path, text: &str) -> Result<bool, Trouble> {
    if std::fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))?;
    Ok(true)
}

struct Builder<'a> {
    rust: &'a Rust,
    gcc: &'a Gcc,
    cache: &'a Path,
    request: &'a Request<'a>,
    crates: &'a Path,
}

impl Builder<'_> {
    fn program(&self, package: String, base: u32, stack: u32) -> Result<Built, Trouble> {
        let program = Program {
            folder: self.crates.to_path_buf(),
            package: Some(package),
            artifact: Artifact::Library,
            features: Vec::new(),
            exports: Vec::new(),
            base,
            stack,
            target_folder: self.request.folder.join("target"),
            optimise: Some(self.request.optimise),
        };
        program.build(self.rust)
    }

    fn component(
        &self,
        name: &str,
        assembler: &[PathBuf],
        place: u32,
        doing: &mut dyn FnMut(&'static str),
    ) -> Result<MadeComponent, Trouble> {
        let mut size = layout::SHADOW;
        let (built, compiled, bounds) = loop {
            doing(RUST);
            let built = self.program(generate::crate_of(name), place, size)?;
            doing(C);
            let mut compiled = self.compile(name, &built.wasm, COMPONENT)?;
            for (number, source) in assembler.iter().enumerate() {
                let object = self.request.folder.join(format!("{name}.{number}.o"));
                let options = Options { cpu: self.request.board.cpu, ..Options::default() };
                compiled.objects.push(compile(self.gcc, Text::File(source), &object, &options)?.object);
            }
            let stack = &built.extent.stack;
            let bounds = compiled.calls.bounds(COMPONENT.0)?;
            let need = bounds.shadow.bytes;
            if need <= stack.end - stack.start {
                break (built, compiled, bounds);
            }
            size = need;
        };
        let shadow_pointer = compiled.shadow_pointer;
        let extent = built.extent;
        let shadow = extent.stack.start..extent.stack.end.next_multiple_of(PAGE);
        let stack_size = bounds.machine.bytes.max(layout::STACK).next_multiple_of(PAGE);
        let stack = shadow.end + PAGE..shadow.end + PAGE + stack_size;
        let placing = Placing {
            code: stack.end,
            // Nothing comes there: a component has no variables of C.
            data: OTHER,
            memory: Some(extent.clone()),
            entry: Some(COMPONENT.0.to_owned()),
        };
        doing(LINKING);
        let elf = self.link(name, &compiled, &placing)?;
        if let Some(section) = elf.sections.iter().find(|section| section.address >= OTHER) {
            return Err(Trouble::new(
                format!("component `{name}` has variables outside of its module: {}", section.name),
                "this is a mistake of Koboshi: please report it.",
            ));
        }
        let end = |section: &Section| section.end() as u32;
        let code = stack.end..elf.sections.iter().map(end).max().unwrap_or(stack.end).next_multiple_of(PAGE);
        let of_module = || elf.sections.iter().filter(|section| section.address < extent.data.end);
        let constants = of_module().filter(|section| !section.writable).map(end).max().unwrap_or(place);
        let constants = place..constants.next_multiple_of(PAGE);
        let filled = of_module().filter(|section| section.writable && section.in_file).map(end).max();
        let data = constants.end..extent.data.end.next_multiple_of(PAGE).max(constants.end);
        let (first, raw) = self.raw(&elf, name)?;
        let filled = filled.unwrap_or(data.start).next_multiple_of(4);
        // One without constants and variables has nothing in its file below its code.
        let of_file = |address: u32| address.saturating_sub(first) as usize;
        let mut initial = raw.get(of_file(data.start)..of_file(filled)).unwrap_or(&[]).to_vec();
        // Zeros behind them need no place to be kept at: they are made.
        let words = initial.as_chunks::<4>().0.iter().rposition(|word| *word != [0; 4]).map_or(0, |last| last + 1);
        initial.truncate(4 * words);
        let size = elf.sections.iter().filter(|section| !section.writable).map(|section| section.size).sum();
        Ok(MadeComponent {
            name: name.to_owned(),
            entry: elf.entry,
            elf,
            kept_initial: code.end,
            code,
            constants,
            zero_end: extent.data.end.next_multiple_of(4).max(filled),
            data,
            initial,
            shadow_pointer,
            guards: [extent.guard, shadow.end..stack.start],
            view: 0..0,
            kept: 0..0,
            shadow,
            stack,
            bounds,
            size,
        })
    }

    fn kernel(&self, doing: &mut dyn FnMut(&'static str)) -> Result<(Elf, Vec<u8>), Trouble> {
        doing(RUST);
        let code = self.request.board.load | 0x8000_0000;
        let Built { wasm, extent, .. } =
            self.program(generate::KERNEL.to_owned(), code + layout::KERNEL_CODE, layout::SHADOW)?;
        let placing = Placing {
            code,
            data: extent.stack.end.next_multiple_of(PAGE),
            memory: Some(extent.clone()),
            entry: Some("koboshi_start".to_owned()),
        };
        doing(C);
        let mut compiled = self.compile("kernel", &wasm, KERNEL)?;
        // A trap runs on top of what the start has taken, which never comes back.
        let (begin, trap) = (compiled.calls.bounds(KERNEL.0)?, compiled.calls.bounds("koboshi_trap")?);
        suffices("the machine's", &[&begin.machine, &trap.machine], KERNEL_STACK)?;
        suffices("the module's own", &[&begin.shadow, &trap.shadow], extent.stack.end - extent.stack.start)?;
        let stack = code + layout::KERNEL;
        let filled = compiled.segments.iter().map(|segment| segment.address + segment.bytes.len() as u32).max();
        let text = start(stack, compiled.shadow_pointer, &(filled.unwrap_or(0)..extent.data.end));
        let object = self.request.folder.join("kernel.first.o");
        let options = Options { cpu: self.request.board.cpu, ..Options::default() };
        let first = Text::Text { name: "kernel-first.S", text: &text };
        compiled.objects.push(compile(self.gcc, first, &object, &options)?.object);
        doing(LINKING);
        let elf = self.link("kernel", &compiled, &placing)?;
        let last = elf.sections.iter().map(|section| section.end() as u32).max().unwrap_or(code);
        if last > stack - KERNEL_STACK {
            return Err(Trouble::new(
                format!("the kernel's tables reach to {last:#010x}"),
                "the image has too many components for the kernel's memory: take some out.",
            ));
        }
        let (_, bytes) = self.raw(&elf, "kernel")?;
        Ok((elf, bytes))
    }

    /// Translates a module, compiles it, and compiles the assembler that it needs.
    fn compile(&self, name: &str, wasm: &[u8], (_, assembler, text): Kind) -> Result<Compiled, Trouble> {
        let (gcc, cpu) = (self.gcc, self.request.board.cpu);
        let file = |ending: &str| self.request.folder.join(format!("{name}.{ending}"));
        let module =
            translate(wasm, &translate::Options { prefix: String::new(), trust: Trust::Compiler, lines: true })?;
        let options = Options::translated(cpu, self.request.optimise);
        let source = format!("{name}.c");
        // GCC takes most of the time, and most components stay as they were.
        let stamp = format!("{}\n{options:?}\n{}", gcc.path().display(), gcc.version());
        let (object, calls) = (file("o"), file("ci"));
        let is = |ending: &str, text: &str| std::fs::read_to_string(file(ending)).is_ok_and(|before| before == text);
        let done = is("stamp", &stamp) && is("c", &module.source) && object.is_file() && calls.is_file();
        if !done {
            // Should it be stopped halfway, nothing says that it was done.
            let _absent = std::fs::remove_file(file("stamp"));
            compile(gcc, Text::Text { name: &source, text: &module.source }, &object, &options)?;
            put(&file("stamp"), &stamp)?;
        }
        let plain = Options { cpu, ..Options::default() };
        let assembler = format!("{name}-{assembler}");
        let assembled = compile(gcc, Text::Text { name: &assembler, text }, &file("assembler.o"), &plain)?;
        let helpers = build_helpers(self.rust, gcc, cpu, self.cache)?;
        let texts: Result<Vec<String>, Trouble> = [&calls, &helpers.calls]
            .into_iter()
            .map(|path| read(path).map(|text| String::from_utf8_lossy(&text).into_owned()))
            .collect();
        let calls = Calls::new(&texts?, &[&module])?;
        let Some(shadow_pointer) = module.stack_pointer else {
            return Err(Trouble::new(
                format!("`{name}` has no stack of its own"),
                "this is a mistake of Koboshi: please report it.",
            ));
        };
        let objects = vec![object, assembled.object, helpers.object];
        Ok(Compiled { objects, segments: module.segments, calls, shadow_pointer })
    }

    fn link(&self, name: &str, compiled: &Compiled, placing: &Placing) -> Result<Elf, Trouble> {
        let elf = self.request.folder.join(format!("{name}.elf"));
        link(self.gcc, self.request.board.cpu, &compiled.objects, &compiled.segments, placing, &elf)
    }

    /// What a program has in memory from its first address on.
    fn raw(&self, elf: &Elf, name: &str) -> Result<(u32, Vec<u8>), Trouble> {
        let path = self.request.folder.join(format!("{name}.raw"));
        let first = elf.sections.iter().find(|section| section.in_file).map_or(0, |section| section.address);
        raw_image(self.gcc, elf, &path, first)?;
        Ok((first, read(&path)?))
    }
}

/// Instructions that the kernel takes to make eight words begin anew: of those that are copied, and of those that become zero.
/// (`reset` in `kernel/sh4/src/memory.rs`, built small.)
const ANEW: (u32, u32) = (40, 11);

/// How long a start may hold interrupts without a warning, in microseconds.
const LONG: u32 = 100;

/// Warns of a component whose variables take long to begin anew: nobody else runs meanwhile, and no interrupt comes.
fn long_start(name: &str, (copied, zeroed): (u32, u32), instructions: u32) -> Option<String> {
    let took = (copied / 8 * ANEW.0 + zeroed / 8 * ANEW.1) / instructions;
    (took > LONG).then(|| {
        format!(
            "each start of `{name}` holds interrupts for about {took} us: so long its variables take to begin anew ({} bytes \
             are copied, {} become zero). More than {LONG} us is long; make them smaller.",
            4 * copied,
            4 * zeroed
        )
    })
}

/// The kernel's own stack, in bytes.
const KERNEL_STACK: u32 = 0x2000;

/// What the kernel calls of `start.S`: nothing of it takes anything of a stack.
const OF_ASSEMBLER: [&str; 2] = ["koboshi_enter", "koboshi_idle"];

/// Refuses a kernel of which it is not known that its stack suffices: nothing lies below it that would trap.
fn suffices(which: &str, needs: &[&Worst], size: u32) -> Result<(), Trouble> {
    for need in needs {
        let unknown: Vec<&String> =
            need.unknown.iter().filter(|symbol| !OF_ASSEMBLER.contains(&symbol.as_str())).collect();
        if !unknown.is_empty() || !need.recursion.is_empty() || !need.pointers.is_empty() {
            return Err(Trouble::new(
                format!(
                    "nobody knows how much of {which} stack the kernel needs: {unknown:?} are unknown, {:?} call each other in a \
                     circle, {:?} call through pointers",
                    need.recursion, need.pointers
                ),
                "this is a mistake of Koboshi: please report it.",
            ));
        }
    }
    let bytes: u32 = needs.iter().map(|need| need.bytes).sum();
    if bytes > size {
        let paths: Vec<String> =
            needs.iter().map(|need| format!("{} by {}", need.bytes, need.path.join(", "))).collect();
        return Err(Trouble::new(
            format!("the kernel needs {bytes} bytes of {which} stack and has {size}: {}", paths.join("; ")),
            "this is a mistake of Koboshi: please report it. With `--fast` it needs more than without.",
        ));
    }
    Ok(())
}

/// Where the board enters: sets up the caches and both stacks, makes the zeros, and calls the kernel. A boot loader may enter
/// through any alias of the address.
fn start(stack: u32, pointer: u32, zeros: &Range<u32>) -> String {
    let from = zeros.start.next_multiple_of(4);
    let words = zeros.end.saturating_sub(from).div_ceil(4);
    format!(
        "/* Made by Koboshi. */
    .section .text.first, \"ax\"
    .global koboshi_start
koboshi_start:
    mov.l   .Lsr, r0            ! privileged, bank 1, no interrupts: whatever whoever entered us had
    ldc     r0, sr
    mov.l   .Lcaches, r0        ! in P2, before anything is stored
    jsr     @r0
    nop
    mov.l   .Lstack, r15
    mov.l   .Lshadow, r0
    ldc     r0, gbr
    mov.l   .Lzeros, r1
    mov.l   .Lwords, r2
    mov     #0, r0
    tst     r2, r2
    bt      2f
1:  mov.l   r0, @r1
    dt      r2
    bf/s    1b
    add     #4, r1
2:  mov.l   .Lboot, r0
    jsr     @r0
    nop
3:  bra     3b
    nop
    .balign 4
.Lsr:     .long 0x700000f0
.Lcaches: .long koboshi_caches + 0x20000000
.Lstack:  .long {stack:#x}
.Lshadow: .long {pointer:#x}
.Lzeros:  .long {from:#x}
.Lwords:  .long {words}
.Lboot:   .long koboshi_boot
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(bytes: u32) -> Worst {
        let path = vec!["koboshi_trap".to_owned(), "deepest".to_owned()];
        let unknown = vec!["koboshi_idle".to_owned()];
        Worst { bytes, path, recursion: vec![], indirect: vec![], unknown, pointers: vec![] }
    }

    #[test]
    fn a_component_whose_variables_take_long_to_begin_anew_is_warned_of_with_the_time() {
        // 101 us of each kind, and then one less.
        for (copied, zeroed) in [(8 * 101 * 240 / ANEW.0 + 8, 0), (0, 8 * 101 * 240 / ANEW.1 + 8)] {
            let said = long_start("large", (copied, zeroed), 240).expect("it takes long");
            assert!(said.contains("`large`") && said.contains("101 us"), "{said}");
            assert!(said.contains(&(4 * copied.max(zeroed)).to_string()), "{said}");
            assert_eq!(long_start("large", (copied, zeroed), 400), None, "a faster board");
        }
        assert_eq!(long_start("large", (8 * 100, 8 * 100), 240), None);
    }

    #[test]
    fn a_kernel_whose_stacks_may_not_suffice_is_refused() {
        let said = |needs: &[&Worst]| suffices("the machine's", needs, 0x2000).map_err(|trouble| trouble.to_string());
        assert_eq!(said(&[&worst(0x1000), &worst(0x1000)]), Ok(()));
        let too_much = said(&[&worst(0x1000), &worst(0x1004)]).expect_err("a trap comes on top of the start");
        assert!(too_much.contains("8196") && too_much.contains("8192") && too_much.contains("deepest"), "{too_much}");
        let circle = Worst { recursion: vec![vec!["round".to_owned()]], ..worst(8) };
        let pointer = Worst { pointers: vec!["anybody".to_owned()], ..worst(8) };
        let unknown = Worst { unknown: vec!["secret".to_owned()], ..worst(8) };
        for (wrong, name) in [(circle, "round"), (pointer, "anybody"), (unknown, "secret")] {
            let said = said(&[&worst(8), &wrong]).expect_err("there is no bound");
            assert!(said.contains(name), "{said}");
        }
    }
}
