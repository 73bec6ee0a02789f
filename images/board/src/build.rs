//! All of it through the compile path, and into one file.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use koboshi_sh4::link::Elf;
use koboshi_sh4::stack::Bounds;
use koboshi_sh4::tools::{Gcc, Rust, Trouble, fingerprint, is_stopped, stopped, unwritable};
use koboshi_sh4_abi::PAGE;
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
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
    /// Others may take its place.
    pub room: Option<MadeRoom>,
}

/// Where a component is whose place others may take, and what fills it at first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MadeRoom {
    /// Bytes of each of both rooms.
    pub size: u32,
    /// The image's own program, as a package has it.
    pub program: Vec<u8>,
    /// Where that is kept.
    pub kept: u32,
    /// The first address of each room.
    pub at: [u32; 2],
    /// Where its variables are.
    pub variables: u32,
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

    /// The first address behind all of it that is in the image's file.
    fn end(&self) -> u32 {
        if let Some(room) = &self.room {
            return (room.kept + room.program.len() as u32).next_multiple_of(PAGE);
        }
        (self.kept_initial + self.initial.len() as u32).next_multiple_of(PAGE)
    }
}

/// How often whoever waits for another build looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

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
    let Request { board, optimise, folder, .. } = request;
    let builder = Builder { rust, gcc, cache, folder, crates: &crates, board, optimise: *optimise };
    let mut components: Vec<MadeComponent> = Vec::new();
    let mut place = layout::places(request);
    let of = members.len();
    for (made, (name, source)) in names.iter().zip(&request.sources).enumerate() {
        let mut doing = |doing| say(Step::Part { made, of, name, doing });
        let component = match request.room(made) {
            None => builder.component(name, &source.assembler, place, &mut doing)?,
            Some(room) => builder.own(name, &source.assembler, (place, room), &mut doing)?,
        };
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
        if let Some(room) = &component.room {
            lay(room.kept, &room.program);
            continue;
        }
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
            component.view = layout.views[at].clone();
            component.kept = layout.kept[at]..layout.kept[at] + PAGE;
            if let (Some(room), Some(placed)) = (&mut component.room, &layout.rooms[at]) {
                (room.at, room.variables) = (placed.at, placed.variables);
                (component.shadow, component.stack) = (placed.shadow.clone(), placed.stack.clone());
                component.shadow_pointer = placed.shadow.end;
                component.guards = placed.guards.clone();
            }
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
    let Request { image: _, sources, devices, rooms, board, optimise, knocks, koboshi, folder, name, change: _ } =
        request;
    let options =
        format!("{sources:?} {devices:?} {rooms:?} {board:?} {optimise:?} {knocks} {koboshi:?} {folder:?} {name:?}");
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
