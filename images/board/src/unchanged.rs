//! Whether what the last build of an image left in its folder is what a build would make now.
//!
//! Job: note what a build was made of and what it made, and say later whether all of that is still so. Asking cargo would
//! take much longer.
//!
//! Rules: what decides is compared by its content, not by its time. A file that is new in a package counts too: cargo may
//! take it. In doubt it is built. What may have changed while it was built is not noted.
//!
//! It must never: take for done what was made of anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use koboshi_sh4::tools::{TARGET, Trouble, fingerprint, unwritable};
use serde::{Deserialize, Serialize};

use crate::build::Made;

/// The note's name in the image's folder.
const NAME: &str = "made.json";

/// What decides beside a package's own files, in its directory and each one around it.
const AROUND: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain"];

/// Variables of the environment that compilers go by: their names begin so.
const VARIABLES: [&str; 13] = [
    "CARGO_BUILD_",
    "CARGO_HOME",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
    "COMPILER_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "KOBOSHI_SH4_",
    "LIBRARY_PATH",
    "RUSTC",
    "SOURCE_DATE_EPOCH",
];

/// A file system's clock may be so much behind.
const BEHIND: Duration = Duration::from_millis(20);

/// Numbers for the content of files; `None`: such a file is not there.
type Files = BTreeMap<PathBuf, Option<u64>>;

/// What is no file, each under its name.
pub(crate) type Given = BTreeMap<String, u64>;

/// What a build was made of, and what it has made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Note {
    given: Given,
    /// As cargo tells of them.
    sources: BTreeSet<PathBuf>,
    /// Those, and all else that could make a difference.
    files: Files,
    products: Files,
    made: Made,
}

impl Note {
    /// What the last build of the image in this folder noted, if it was whole.
    pub(crate) fn read(folder: &Path) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(folder.join(NAME)).ok()?).ok()
    }

    /// What was made.
    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    /// Whether a build would make the same, and what was made is still there. `given`: what it would be made of now.
    pub(crate) fn holds(&self, given: &Given) -> bool {
        self.given == *given
            && files_of(&self.sources) == self.files
            && self.products.iter().all(|(path, before)| before.is_some() && number_of(path) == *before)
    }

    /// From now on there is nothing that a note could be about.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(folder: &Path) -> Result<(), Trouble> {
        let path = folder.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Notes what was made of these crates in this folder by a build that began then; or nothing, if it is not sure of what.
    ///
    /// # Errors
    /// The note cannot be written.
    pub(crate) fn write(
        folder: &Path,
        crates: &[String],
        given: Given,
        made: &Made,
        began: SystemTime,
    ) -> Result<(), Trouble> {
        let Some(sources) = crates.iter().map(|name| sources_of(folder, name)).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        if goes_by_the_environment(&folder.join("target")) {
            return Ok(());
        }
        let sources: BTreeSet<PathBuf> = sources.into_iter().flatten().collect();
        let files = files_of(&sources);
        let since = began.checked_sub(BEHIND).unwrap_or(began);
        // There the build itself writes, and nobody else while it does.
        let own = ["crates", "target"].map(|name| folder.join(name));
        let others = files.keys().filter(|path| !own.iter().any(|own| path.starts_with(own)));
        if others.filter_map(|path| path.metadata().ok()?.modified().ok()).any(|changed| changed >= since) {
            return Ok(());
        }
        let elves = made.components.iter().map(|component| &component.elf.path);
        let products = elves.chain([&made.kernel.path, &made.file]);
        let products = products.map(|path| (path.clone(), number_of(path))).collect();
        let note = Note { given, sources, files, products, made: made.clone() };
        let path = folder.join(NAME);
        let text = serde_json::to_vec(&note).map_err(|error| unwritable(&path, &error.into()))?;
        // One that is not whole cannot be read.
        std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))
    }
}

/// What is no file of the build's own: the translator, which is this very program, and the environment. `None`: it cannot be known.
pub(crate) fn surroundings() -> Option<Given> {
    // The name may by now be that of a newer one.
    let own = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(std::env::current_exe()?)).ok()?;
    let mut given = Given::from([("koboshi".to_owned(), fingerprint([own.as_slice()]))]);
    given.extend(variables(std::env::vars_os()));
    Some(given)
}

/// Those by which compilers go.
fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (String, u64)> {
    all.filter_map(|(name, value)| {
        let name = name.to_string_lossy();
        let decides = VARIABLES.iter().any(|start| name.starts_with(start));
        decides.then(|| (format!("${name}"), fingerprint([value.as_encoded_bytes()])))
    })
}

/// A number for what is in a file.
fn number_of(path: &Path) -> Option<u64> {
    std::fs::read(path).ok().map(|bytes| fingerprint([bytes.as_slice()]))
}

/// The sources that cargo names, in the dependencies that it wrote when it built this crate: all but those of the registry, which the
/// lock names by their content. `None`: they are not known.
fn sources_of(folder: &Path, name: &str) -> Option<Vec<PathBuf>> {
    let path = folder.join("target").join(TARGET).join("release").join(format!("{}.d", name.replace('-', "_")));
    let sources = named(&std::fs::read_to_string(path).ok()?);
    // Where cargo was told to write them relative to something, it is not known to what.
    (!sources.is_empty() && sources.iter().all(|path| path.is_absolute())).then_some(sources)
}

/// Whether a program was made of variables of the environment that are not among what is noted: it has read one, or a build script
/// asks to be run again when one changes.
fn goes_by_the_environment(target: &Path) -> bool {
    let noted = |name: &str| {
        name == "OUT_DIR" || name.starts_with("CARGO_PKG_") || VARIABLES.iter().any(|start| name.starts_with(start))
    };
    let inside = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let release = [target.join(TARGET).join("release"), target.join("release")];
    let read = release.iter().flat_map(|release| inside(&release.join("deps")));
    let read = read.filter(|path| path.extension().is_some_and(|extension| extension == "d"));
    let asked = release.iter().flat_map(|release| inside(&release.join("build"))).map(|path| path.join("output"));
    let texts = read.chain(asked).filter_map(|path| std::fs::read_to_string(path).ok());
    let names = |line: &str| {
        let name = ["# env-dep:", "cargo:rerun-if-env-changed=", "cargo::rerun-if-env-changed="]
            .iter()
            .find_map(|start| line.strip_prefix(start))?;
        Some(name.split_once('=').map_or(name, |(name, _)| name).to_owned())
    };
    texts.into_iter().any(|text| text.lines().filter_map(names).any(|name| !noted(&name)))
}

/// The files behind the colon of each line, as `make` reads it: a space in a name has a `\` before it.
fn named(dependencies: &str) -> Vec<PathBuf> {
    let lists = dependencies.lines().filter_map(|line| line.split_once(": "));
    let mut files = Vec::new();
    for (_, list) in lists {
        let mut file = String::new();
        let mut letters = list.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if letters.peek() == Some(&' ') => file.extend(letters.next()),
                ' ' => files.push(std::mem::take(&mut file)),
                letter => file.push(letter),
            }
        }
        files.push(file);
    }
    files.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
}

/// These sources, all else in their packages, and what cargo goes by around them.
fn files_of(sources: &BTreeSet<PathBuf>) -> Files {
    let mut files = sources.clone();
    let package = |source: &PathBuf| {
        let mut around = source.ancestors().skip(1);
        around.find(|folder| folder.join("Cargo.toml").is_file()).map(Path::to_path_buf)
    };
    let packages: BTreeSet<PathBuf> = sources.iter().filter_map(package).collect();
    for package in packages {
        add_all(&package, &mut files);
        files.extend(package.ancestors().flat_map(|folder| AROUND.map(|name| folder.join(name))));
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    files.extend(home.into_iter().flat_map(|home| ["config.toml", "config"].map(|name| home.join(name))));
    files.into_iter().map(|path| (path.clone(), number_of(&path))).collect()
}

/// Adds the files of a directory, but for what was built there, and what is hidden: no source of a package by itself.
fn add_all(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten().filter_map(Result::ok) {
        let (name, path) = (entry.file_name(), entry.path());
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.insert(path);
        } else if name != OsStr::new("target") && !name.as_encoded_bytes().starts_with(b".") {
            add_all(&path, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::ops::Range;

    use koboshi_sh4::link::Elf;

    use super::*;

    /// A package in a workspace, an image's folder in which it was built, and what that was.
    struct Built {
        root: tempfile::TempDir,
        given: Given,
    }

    const CRATES: [&str; 1] = ["a-crate"];

    impl Built {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a directory");
            let given = Given::from([("options".to_owned(), 1)]);
            let built = Built { root, given };
            let source = built.path("ours/part/src/lib.rs");
            let dependencies =
                format!("{}: {}\n", built.path("x.wasm").display(), source.display().to_string().replace(' ', "\\ "));
            for (name, text) in [
                ("ours/Cargo.toml", "[workspace]"),
                ("ours/Cargo.lock", "version = 4"),
                ("ours/part/Cargo.toml", "[package]"),
                ("ours/part/src/lib.rs", "mod a;"),
                ("ours/part/src/a.rs", "fn a() {}"),
                ("image/target/wasm32v1-none/release/a_crate.d", &dependencies),
                ("image/r2d.bin", "bytes"),
                ("image/kernel.elf", "more bytes"),
            ] {
                built.put(name, text);
            }
            built
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        /// Writes a file, as if that had been an hour ago.
        fn put(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
            fs::write(&path, text).expect("it can be written");
            let hour = Duration::from_secs(3_600);
            File::open(&path).and_then(|file| file.set_modified(SystemTime::now() - hour)).expect("it can be set");
        }

        fn made(&self) -> Made {
            let elf = |name| Elf {
                path: self.path(name),
                map: PathBuf::new(),
                entry: 0,
                sections: Vec::new(),
                loads: Vec::new(),
            };
            Made {
                file: self.path("image/r2d.bin"),
                size: 5,
                kernel: elf("image/kernel.elf"),
                kernel_code: 7,
                components: Vec::new(),
                outboxes: BTreeMap::<(usize, usize), Range<u32>>::new(),
                end: 9,
                warnings: Vec::new(),
            }
        }

        /// As at the end of a build that began just now.
        fn note(&self) {
            let crates = CRATES.map(str::to_owned);
            Note::write(&self.path("image"), &crates, self.given.clone(), &self.made(), SystemTime::now())
                .expect("it can be written");
        }

        fn holds(&self) -> bool {
            Note::read(&self.path("image")).is_some_and(|note| note.holds(&self.given))
        }
    }

    type Change = fn(&mut Built);

    #[test]
    fn any_change_of_what_decides_and_any_damage_leads_to_a_build() {
        let changes: [(&str, Change); 14] = [
            ("a source that cargo names", |built| built.put("ours/part/src/lib.rs", "mod a; ")),
            ("a file of its package", |built| built.put("ours/part/src/a.rs", "fn b() {}")),
            ("a new file in it", |built| built.put("ours/part/build.rs", "fn main() {}")),
            ("a file less", |built| fs::remove_file(built.path("ours/part/src/a.rs")).expect("it was there")),
            ("the package's manifest", |built| built.put("ours/part/Cargo.toml", "[package]\n[features]")),
            ("the workspace's", |built| built.put("ours/Cargo.toml", "[workspace]\n[profile]")),
            ("its lock", |built| built.put("ours/Cargo.lock", "version = 3")),
            ("a configuration of cargo's around it", |built| built.put(".cargo/config.toml", "[build]")),
            ("the options or the compilers", |built| _ = built.given.insert("options".to_owned(), 2)),
            ("one more of them", |built| _ = built.given.insert("gcc".to_owned(), 1)),
            ("a damaged product", |built| built.put("image/r2d.bin", "bytez")),
            ("a product less", |built| fs::remove_file(built.path("image/kernel.elf")).expect("it was there")),
            ("a damaged note", |built| built.put("image/made.json", "{")),
            ("a build that began and did not end", |built| Note::remove(&built.path("image")).expect("it was there")),
        ];
        for (what, change) in changes {
            let mut built = Built::new();
            built.note();
            assert!(built.holds(), "before: {what}");
            change(&mut built);
            assert!(!built.holds(), "{what}");
        }
    }

    #[test]
    fn what_is_written_again_as_it_was_leads_to_no_build() {
        let built = Built::new();
        built.note();
        fs::write(built.path("ours/part/src/a.rs"), "fn a() {}").expect("it can be written");
        built.put("ours/part/target/debug/x", "built by somebody");
        built.put("ours/other/src/lib.rs", "of another package");
        assert!(built.holds());
        let made = Note::read(&built.path("image")).expect("it is there").made().clone();
        assert_eq!((made.file, made.size, made.end), (built.path("image/r2d.bin"), 5, 9));
    }

    #[test]
    fn what_changed_while_it_was_built_is_not_noted() {
        let built = Built::new();
        let (began, crates) = (SystemTime::now(), CRATES.map(str::to_owned));
        fs::write(built.path("ours/part/src/a.rs"), "fn a() {}").expect("it can be written");
        Note::write(&built.path("image"), &crates, built.given.clone(), &built.made(), began)
            .expect("it can be written");
        assert!(!built.holds());
    }

    #[test]
    fn what_was_made_of_an_unknown_variable_is_not_noted() {
        for (file, text, noted) in [
            ("wasm32v1-none/release/deps/a.d", "# env-dep:CARGO_PKG_NAME=a", true),
            ("wasm32v1-none/release/deps/a.d", "# env-dep:LINE=a", false),
            ("wasm32v1-none/release/deps/a.d", "# env-dep:LINE", false),
            ("release/build/a/output", "cargo:rerun-if-env-changed=RUSTC_BOOTSTRAP", true),
            ("release/build/a/output", "cargo:rerun-if-env-changed=LINE", false),
        ] {
            let built = Built::new();
            built.put(&format!("image/target/{file}"), text);
            built.note();
            assert_eq!(built.holds(), noted, "{text}");
        }
    }

    #[test]
    fn without_what_cargo_tells_of_the_sources_nothing_is_noted() {
        for dependencies in ["", "x.wasm: src/lib.rs\n", "x.wasm:\n"] {
            let built = Built::new();
            built.put("image/target/wasm32v1-none/release/a_crate.d", dependencies);
            built.note();
            assert!(!built.holds(), "{dependencies}");
        }
    }

    #[test]
    fn names_with_spaces_are_read_as_make_reads_them() {
        let files = named("/a b/x.wasm: /a\\ b/one.rs /two.rs\n/y.wasm: /three.rs\n\n/one.rs:\n");
        assert_eq!(files, ["/a b/one.rs", "/two.rs", "/three.rs"].map(PathBuf::from));
    }

    #[test]
    fn the_translator_and_the_environment_decide_too() {
        let given = surroundings().expect("a test can read itself");
        assert!(given.contains_key("koboshi"));
        let of = |name: &str, value: &str| variables([(name.into(), value.into())].into_iter()).collect::<Vec<_>>();
        for name in ["CARGO_PROFILE_RELEASE_LTO", "RUSTC_WRAPPER", "CPATH"] {
            assert_ne!(of(name, "1"), of(name, "2"), "{name}");
            assert_ne!(of(name, "1"), [], "{name}");
        }
        // These differ with who starts the command.
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "TERM", "PATH"] {
            assert_eq!(of(name, "1"), [], "{name}");
        }
    }
}
