//! The SuperH GCC: found, tested, and cured where that can be done.
//!
//! Some releases delete the test in "load a word, test it against zero, branch", at every level above -O0. So each
//! compiler is made to compile exactly that before it compiles anything else.
//!
//! It must never: hand out a compiler that failed this.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Trouble, find_program, fingerprint, last_change, output, printed, unwritable, workshop, write};
use crate::link::Cpu;

/// Names under which a SuperH GCC is looked for.
const NAMES: [&str; 3] = ["sh4-linux-gnu-gcc", "sh-elf-gcc", "sh4-elf-gcc"];

/// Names any SuperH GCC.
const WHICH: &str = "KOBOSHI_SH4_GCC";

/// `off`: a GCC that miscompiles is refused, not cured.
const CURE: &str = "KOBOSHI_SH4_CURE";

/// The plugin that cures a GCC.
const CURE_SOURCE: &str = include_str!("../cure.cc");

/// The function whose test is deleted.
const TEST: &str = "struct s { int x; };\nvoid g(int);\nvoid t(struct s *p) { if (p->x) g(1); else g(2); }\n";

/// The levels of optimisation at which it is compiled.
const LEVELS: [&str; 3] = ["-O1", "-O2", "-Os"];

/// Which GCC is wanted.
#[derive(Clone, Debug)]
pub struct Choice {
    /// This one, a path or a name, and no other.
    pub gcc: Option<OsString>,
    /// May a GCC that miscompiles be cured?
    pub cure: bool,
    /// Directories with programs, as in `PATH`.
    pub search_path: OsString,
}

impl Choice {
    /// What the environment asks for: `KOBOSHI_SH4_GCC`, `KOBOSHI_SH4_CURE`, `PATH`.
    #[must_use]
    pub fn from_environment() -> Self {
        Choice {
            gcc: std::env::var_os(WHICH).filter(|name| !name.is_empty()),
            cure: std::env::var_os(CURE).is_none_or(|word| word != "off"),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// All GCCs that this finds, the preferred one first.
    pub(super) fn candidates(&self) -> Vec<PathBuf> {
        if let Some(name) = &self.gcc {
            return find_program(name, &self.search_path).into_iter().collect();
        }
        let numbered = numbered(&format!("{}-", NAMES[0]), &self.search_path);
        let plain = NAMES.map(|name| find_program(name, &self.search_path));
        let [linux, others @ ..] = plain;
        linux.into_iter().chain(numbered).chain(others.into_iter().flatten()).collect()
    }

    /// Packages of Debian without which there is no SuperH GCC that compiles right; none if they would not help.
    pub(super) fn lacking(&self) -> Vec<String> {
        let named = self.gcc.is_some();
        let candidates = self.candidates();
        let Some(first) = candidates.first() else {
            return if named { Vec::new() } else { packages(LATEST).to_vec() };
        };
        let is_debians = first.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAMES[0]));
        if !is_debians || !self.cure {
            return Vec::new();
        }
        let version = ask(first, "-dumpfullversion").unwrap_or_else(|_| LATEST.to_owned());
        let [_, headers, compiler] = packages(version.split('.').next().unwrap_or(LATEST));
        let has_headers =
            ask(first, "-print-file-name=plugin").is_ok_and(|folder| has_plugin_headers(Path::new(&folder)));
        let has_compiler = find_program(host_compiler(), &self.search_path).is_some();
        [(has_headers, headers), (has_compiler, compiler)]
            .into_iter()
            .filter(|(has, _)| !has)
            .map(|(_, one)| one)
            .collect()
    }

    fn none_found(&self) -> Trouble {
        match &self.gcc {
            Some(name) => Trouble::new(
                format!("the SuperH GCC that {WHICH} names is not there: {}", name.display()),
                format!("correct {WHICH}, or unset it and install: {}", install()),
            ),
            None => Trouble::new(
                format!("there is no SuperH GCC in PATH: neither {}", NAMES.join(" nor ")),
                format!("install one: {}; or name one of your own with {WHICH}", install()),
            ),
        }
    }
}

/// The version of GCC that Debian 12 has.
const LATEST: &str = "12";

/// A GCC and its cure, in Debian.
fn packages(major: &str) -> [String; 3] {
    [format!("gcc-{major}-sh4-linux-gnu"), format!("gcc-{major}-plugin-dev-sh4-linux-gnu"), "g++".to_owned()]
}

/// What installs them.
fn install() -> String {
    format!("apt-get install {}", packages(LATEST).join(" "))
}

/// The C++ compiler for this machine.
fn host_compiler() -> OsString {
    std::env::var_os("CXX").filter(|name| !name.is_empty()).unwrap_or_else(|| "g++".into())
}

fn has_plugin_headers(plugin: &Path) -> bool {
    plugin.join("include/gcc-plugin.h").is_file()
}

/// Programs whose name is this start and a number, the greatest number first.
fn numbered(start: &str, search_path: &std::ffi::OsStr) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::env::split_paths(search_path)
        .filter_map(|folder| folder.read_dir().ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(start)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, path)| path).collect()
}

/// A SuperH GCC that compiles right, as far as is known.
#[derive(Clone, Debug)]
pub struct Gcc {
    path: PathBuf,
    version: String,
    cure: Option<PathBuf>,
    cache: PathBuf,
}

impl Gcc {
    /// The SuperH GCC that `KOBOSHI_SH4_GCC` names, or one in `PATH`, tested; cured if it needs that, with a plugin that is
    /// built into the directory `cache`.
    ///
    /// # Errors
    /// There is none; or each one miscompiles and cannot be cured: what to install.
    pub fn find(cache: &Path) -> Result<Self, Trouble> {
        Self::choose(&Choice::from_environment(), cache)
    }

    /// The same, with the wishes given.
    ///
    /// # Errors
    /// As with [`Gcc::find`].
    pub fn choose(choice: &Choice, cache: &Path) -> Result<Self, Trouble> {
        // GCC is run in other directories too.
        let cache = &std::path::absolute(cache).map_err(|error| unwritable(cache, &error))?;
        let mut first = None;
        for path in choice.candidates() {
            match Self::test(&path, choice, cache) {
                Ok(gcc) => return Ok(gcc),
                // The preferred one tells what is wrong.
                Err(trouble) => first = first.or(Some(trouble)),
            }
        }
        Err(first.unwrap_or_else(|| choice.none_found()))
    }

    fn test(path: &Path, choice: &Choice, cache: &Path) -> Result<Self, Trouble> {
        let version = ask(path, "-dumpfullversion")?;
        let mut gcc = Gcc { path: path.to_path_buf(), version, cure: None, cache: cache.to_path_buf() };
        let broken = gcc.miscompiles()?;
        if broken.is_empty() {
            return Ok(gcc);
        }
        let bad = format!(
            "{} (GCC {}) miscompiles: in `if (p->x)` it deletes the test of the loaded word, at {}",
            path.display(),
            gcc.version,
            broken.join(" and ")
        );
        let another = format!("name another SuperH GCC with {WHICH}");
        if !choice.cure {
            return Err(Trouble::new(
                format!("{bad}; it could perhaps be cured, but {CURE} is off."),
                format!("unset {CURE}, or {another}."),
            ));
        }
        gcc.cure = Some(gcc.build_cure(&choice.search_path).map_err(|trouble| {
            Trouble::new(
                format!("{bad}; its cure cannot be built: {}.", trouble.what),
                format!("{}; or {another}.", trouble.remedy),
            )
        })?);
        match gcc.miscompiles()?.as_slice() {
            [] => Ok(gcc),
            still => Err(Trouble::new(
                format!("{bad}; the cure does not help: it still does at {}.", still.join(" and ")),
                format!("{another}."),
            )),
        }
    }

    /// The levels of optimisation at which it deletes the test of a loaded word.
    fn miscompiles(&self) -> Result<Vec<&'static str>, Trouble> {
        let workshop = workshop(&self.cache).map_err(|trouble| {
            Trouble::new(format!("{} cannot be tested here: {}", self.path.display(), trouble.what), trouble.remedy)
        })?;
        let source = workshop.path().join("test.c");
        write(&source, TEST)?;
        let mut broken = Vec::new();
        for level in LEVELS {
            let compiled = output(self.command().args([level, "-m4", "-ml", "-S", "-o", "-"]).arg(&source))?;
            if !compiled.status.success() {
                return Err(Trouble::new(
                    format!(
                        "{} cannot compile three lines for SH-4:\n{}",
                        self.path.display(),
                        printed(&compiled.stderr)
                    ),
                    format!("is it a whole SuperH GCC? Name another with {WHICH}, or install: {}", install()),
                ));
            }
            if !tests_before_it_branches(&printed(&compiled.stdout)) {
                broken.push(level);
            }
        }
        Ok(broken)
    }

    /// The plugin for this very compiler, built if it is not in the cache yet.
    fn build_cure(&self, search_path: &std::ffi::OsStr) -> Result<PathBuf, Trouble> {
        let major = self.version.split('.').next().unwrap_or(&self.version);
        let [_, headers_package, _] = packages(major);
        let plugin = PathBuf::from(ask(&self.path, "-print-file-name=plugin")?);
        let headers = plugin.join("include");
        if !has_plugin_headers(&plugin) {
            return Err(Trouble::new(
                "the plugin headers of this GCC are not there",
                format!("apt-get install {headers_package}"),
            ));
        }
        let compiler = host_compiler();
        let Some(compiler) = find_program(&compiler, search_path) else {
            return Err(Trouble::new(
                format!("the C++ compiler of this machine, {}, is not there", compiler.display()),
                "apt-get install g++",
            ));
        };
        // A plugin fits one build of GCC: the line names the packaging too, the date its build.
        let line = ask(&self.path, "--version")?;
        let built = last_change(&self.path);
        let key = fingerprint([
            line.as_bytes(),
            built.as_bytes(),
            self.path.as_os_str().as_encoded_bytes(),
            CURE_SOURCE.as_bytes(),
        ]);
        let plugin = self.cache.join(format!("cure-{}-{key:016x}.so", self.version));
        if plugin.is_file() {
            return Ok(plugin);
        }
        let workshop = workshop(&self.cache)?;
        let source = workshop.path().join("cure.cc");
        let made = workshop.path().join("cure.so");
        write(&source, CURE_SOURCE)?;
        let mut build = Command::new(&compiler);
        build
            .args(["-shared", "-fPIC", "-fno-rtti", "-O1", "-w", "-I"])
            .arg(&headers)
            .arg("-o")
            .arg(&made)
            .arg(&source);
        let built = output(&mut build)?;
        if !built.status.success() {
            return Err(Trouble::new(
                format!("{} says\n{}", compiler.display(), printed(&built.stderr)),
                format!("install a C++ compiler that fits: apt-get install g++ {headers_package}"),
            ));
        }
        std::fs::rename(&made, &plugin).map_err(|error| unwritable(&plugin, &error))?;
        Ok(plugin)
    }

    /// GCC, cured.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // So that C and assembler have the same names, whatever this GCC was made for.
        command.arg("-fno-leading-underscore").env("LC_ALL", "C");
        if let Some(cure) = &self.cure {
            let mut plugin = OsString::from("-fplugin=");
            plugin.push(cure);
            command.arg(plugin);
        }
        command
    }

    /// The program of GNU binutils that belongs to this GCC: `ld`, `objcopy`, `nm`, `objdump` and the like.
    #[must_use]
    pub fn binutil(&self, name: &str) -> Command {
        let mut command = Command::new(self.binutil_path(name));
        command.env("LC_ALL", "C");
        command
    }

    fn binutil_path(&self, name: &str) -> PathBuf {
        // GCC knows where its own are.
        if let Ok(path) = ask(&self.path, &format!("-print-prog-name={name}"))
            && path.contains('/')
            && Path::new(&path).is_file()
        {
            return PathBuf::from(path);
        }
        // Else they have its prefix: sh4-linux-gnu-gcc-12, sh4-linux-gnu-ld.
        let gcc = self.path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = gcc.rfind("gcc").map_or("", |at| &gcc[..at]);
        self.path.with_file_name(format!("{prefix}{name}"))
    }

    /// Its libgcc for this CPU, with the names that [`Gcc::command`] gives to calls.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn libgcc(&self, cpu: Cpu) -> Result<PathBuf, Trouble> {
        let asked = output(self.command().args([cpu.option(), "-ml", "-print-libgcc-file-name"]))?;
        let path = PathBuf::from(printed(&asked.stdout));
        if !path.is_file() {
            return Err(Trouble::new(
                format!("{} has no libgcc for {}", self.path.display(), cpu.option()),
                format!("install a whole GCC: {}", install()),
            ));
        }
        let label_prefix = output(Command::new(&self.path).args(["-dM", "-E", "-x", "c", "/dev/null"]))?;
        if !printed(&label_prefix.stdout).lines().any(|line| line == "#define __USER_LABEL_PREFIX__ _") {
            return Ok(path);
        }
        let key = fingerprint([path.as_os_str().as_encoded_bytes(), last_change(&path).as_bytes()]);
        let renamed = self.cache.join(format!("libgcc-{}-{key:016x}.a", self.version));
        if !renamed.is_file() {
            let workshop = workshop(&self.cache)?;
            let made = workshop.path().join("libgcc.a");
            let names = workshop.path().join("names");
            let listed = output(self.binutil("nm").arg("--format=posix").arg(&path))?;
            let listed = printed(&listed.stdout);
            let symbols: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
            let without = symbols.iter().filter_map(|name| Some(format!("{name} {}\n", name.strip_prefix('_')?)));
            write(&names, without.collect::<String>())?;
            let copied = output(self.binutil("objcopy").arg("--redefine-syms").arg(&names).arg(&path).arg(&made))?;
            if !copied.status.success() {
                return Err(Trouble::new(
                    format!("libgcc's names cannot be changed: {}", printed(&copied.stderr)),
                    "do its binutils belong to this GCC?",
                ));
            }
            std::fs::rename(&made, &renamed).map_err(|error| unwritable(&renamed, &error))?;
        }
        Ok(renamed)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, as 12.2.0.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All by which it differs from another one, with the programs that belong to it: what it compiles and links comes of these.
    #[must_use]
    pub fn identity(&self) -> String {
        let own = ["cc1", "as", "ld", "objcopy"].map(|name| self.binutil_path(name));
        let dates = own.iter().chain([&self.path]).map(|path| format!("{} {}", path.display(), last_change(path)));
        format!("{self:?}\n{}", dates.collect::<Vec<_>>().join("\n"))
    }

    /// The plugin without which it would miscompile.
    #[must_use]
    pub fn cure(&self) -> Option<&Path> {
        self.cure.as_deref()
    }
}

/// What a GCC says about itself.
fn ask(gcc: &Path, what: &str) -> Result<String, Trouble> {
    let answer = output(Command::new(gcc).arg(what))?;
    if answer.status.success() {
        return Ok(printed(&answer.stdout));
    }
    Err(Trouble::new(
        format!("{} does not answer {what}:\n{}", gcc.display(), printed(&answer.stderr)),
        format!("is it a GCC? Name another with {WHICH}, or install: {}", install()),
    ))
}

/// Whether the function `t` of this assembler text sets the T bit before it looks at it.
fn tests_before_it_branches(assembler: &str) -> bool {
    let inside = assembler.lines().skip_while(|line| !matches!(line.trim(), "t:" | "_t:")).skip(1);
    for line in inside {
        let mnemonic = line.split_whitespace().next().unwrap_or("");
        if mnemonic == "tst" || mnemonic.starts_with("cmp/") {
            return true;
        }
        if matches!(mnemonic, "bt" | "bf" | "bt/s" | "bf/s" | "bt.s" | "bf.s" | "movt" | "movrt" | ".size") {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::{Gcc, tests_before_it_branches};

    #[test]
    fn another_version_another_cure_and_another_file_are_another_gcc() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("sh4-gcc");
        // It cannot be asked, so its binutils have its prefix.
        let files = ["sh4-gcc", "sh4-as", "sh4-ld", "sh4-objcopy"].map(|name| folder.path().join(name));
        files.iter().for_each(|file| fs::write(file, "").expect("it can be written"));
        let cache = folder.path().to_path_buf();
        let gcc = Gcc { path, version: "12".to_owned(), cure: None, cache };
        let before = gcc.identity();
        assert_eq!(gcc.clone().identity(), before);
        assert_ne!(Gcc { version: "13".to_owned(), ..gcc.clone() }.identity(), before);
        assert_ne!(Gcc { cure: Some("cure.so".into()), ..gcc.clone() }.identity(), before);
        for file in files {
            let before = gcc.identity();
            File::open(&file).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("it can be set");
            assert_ne!(gcc.identity(), before, "{}", file.display());
        }
    }

    #[test]
    fn a_branch_without_a_test_is_seen() {
        assert!(tests_before_it_branches("t:\n\tmov.l\t@r4,r1\n\ttst\tr1,r1\n\tbt\t.L2\n"));
        assert!(tests_before_it_branches("_t:\n\tmov.l\t@r4,r0\n\tcmp/eq\t#0,r0\n\tbt\t.L2\n"));
        assert!(!tests_before_it_branches("t:\n\tbt\t.L2\n\ttst\tr1,r1\n"));
        assert!(!tests_before_it_branches("f:\n\ttst\tr1,r1\nt:\n\tbt\t.L2\n"), "another function's test");
        assert!(!tests_before_it_branches("t:\n\trts\n\t.size t, .-t\ng:\n\ttst\tr1,r1\n"));
        assert!(!tests_before_it_branches(""));
    }
}
