//! A component's code for the host: a WebAssembly module with nothing in it that tells where it was made.
//!
//! The rules: cargo makes symbols, and thereby the order of functions, of where a crate lies below its workspace. So Koboshi
//! lies below the one that is made here, by a link, wherever it really is. And what the module says beside its code (names,
//! lines, producers) is left out.

use std::path::{Path, PathBuf};

use koboshi_sh4::link::Optimise;
use koboshi_sh4::program::{Artifact, PAGE, Program};
use koboshi_sh4::tools::{Rust, Trouble, read, unwritable};
use wasmparser::{Parser, Payload};

use crate::registry;

/// A module, and what it takes.
pub(super) struct Module {
    /// The module.
    pub(super) code: Vec<u8>,
    /// Bytes of it and of its memory.
    pub(super) room: u32,
}

/// The stack in the module's memory, in bytes. (What it calls is on the stack of whoever runs it.)
const STACK: u32 = 16 << 10;

/// Builds the module of one of the components of the Koboshi in this directory, in a folder of its own.
///
/// # Errors
/// A step failed: which, and why.
pub(super) fn build(
    rust: &Rust,
    koboshi: &Path,
    folder: &Path,
    program: registry::Program,
    name: &str,
) -> Result<Module, Trouble> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    // Two who build in one folder would spoil each other's files. It is let go when this is over.
    let lock = folder.join("lock");
    let lock = std::fs::File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| unwritable(folder, &error))?;
    lay_out(rust, koboshi, folder, program, name)?;
    let program = Program {
        folder: folder.to_owned(),
        package: None,
        artifact: Artifact::Library,
        features: Vec::new(),
        exports: Vec::new(),
        base: PAGE,
        stack: STACK,
        target_folder: folder.join("target"),
        optimise: Some(Optimise::Size),
    };
    let built = program.build(rust)?;
    let code = bare(&built.wasm).ok_or_else(|| {
        Trouble::new("the module that was built cannot be read", "please report it, with the version of Rust.")
    })?;
    let memory = built.extent.stack.end - built.extent.data.start;
    let room = u32::try_from(code.len()).ok().and_then(|code| code.checked_add(memory));
    let room = room.ok_or_else(|| Trouble::new("the module is larger than 4 GiB", "make it smaller."))?;
    Ok(Module { code, room })
}

/// The crate that is built: a program of the component, as for a board, whose traps are the module's imports.
fn lay_out(rust: &Rust, koboshi: &Path, folder: &Path, program: registry::Program, name: &str) -> Result<(), Trouble> {
    let link = folder.join("koboshi");
    if std::fs::read_link(&link).is_ok_and(|there| there != koboshi) {
        std::fs::remove_file(&link).map_err(|error| unwritable(&link, &error))?;
    }
    if !link.is_symlink() {
        std::os::unix::fs::symlink(koboshi, &link).map_err(|error| unwritable(&link, &error))?;
    }
    let registry::Program { package, folder: component, start } = program;
    let manifest = format!(
        "# Made by Koboshi.\n[package]\nname = \"koboshi-packed-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         publish = false\n\n[dependencies]\n\
         koboshi-sh4-component = {{ path = \"koboshi/kernel/sh4/component\" }}\n\
         {package} = {{ path = \"koboshi/{component}\" }}\n\n\
         [workspace]\nresolver = \"3\"\nexclude = [\"koboshi\"]\n\n\
         [profile.release]\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n"
    );
    let text = format!(
        "//! Made by Koboshi: the program of component `{name}`.\n#![no_std]\n\n\
         koboshi_sh4_component::component!({start});\n"
    );
    put(&folder.join("Cargo.toml"), &manifest)?;
    put(&folder.join("src/lib.rs"), &text)?;
    put(&folder.join(".cargo/config.toml"), &configuration(rust))?;
    // The same versions of everything as in Koboshi itself. Cargo takes out what this crate does not need, so the whole of
    // it is remembered beside.
    if let Ok(text) = std::fs::read_to_string(koboshi.join("Cargo.lock"))
        && put(&folder.join("locked.toml"), &text)?
    {
        put(&folder.join("Cargo.lock"), &text)?;
    }
    Ok(())
}

/// Cargo's configuration: names that stay, in place of where this user's crates and this compiler's source lie.
fn configuration(rust: &Rust) -> String {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cargo_home = directory("CARGO_HOME").or_else(|| Some(directory("HOME")?.join(".cargo")));
    let toolchain = rust.path().parent().and_then(Path::parent).map(Path::to_owned);
    let renamed = [(cargo_home, "cargo"), (toolchain, "rust")];
    let flags =
        renamed.iter().filter_map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from.as_ref()?.display())));
    let flags: Vec<String> = flags.map(|flag| format!("{flag:?}")).collect();
    format!("# Made by Koboshi.\n[target.wasm32v1-none]\nrustflags = [{}]\n", flags.join(", "))
}

/// Writes a file, unless it says that already: cargo goes by its time. Whether it did.
fn put(path: &Path, text: &str) -> Result<bool, Trouble> {
    if read(path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))?;
    Ok(true)
}

/// The module without its custom sections; `None` if it is none.
fn bare(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut bare = wasm.get(..8)?.to_vec();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        if matches!(payload, Payload::CustomSection(_)) {
            continue;
        }
        let Some((section, range)) = payload.as_section() else { continue };
        let contents = wasm.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)?;
        bare.push(section);
        let mut length = u32::try_from(contents.len()).ok()?;
        // LEB128: seven bits a byte, the lowest first.
        while length >= 0x80 {
            bare.push(length as u8 | 0x80);
            length >>= 7;
        }
        bare.push(length as u8);
        bare.extend(contents);
    }
    Some(bare)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use koboshi_sh4::tools::Rust;

    use super::*;
    use crate::command::build::koboshi;

    /// Koboshi's sources as they are here, in another place.
    fn copied(to: &Path) {
        std::fs::create_dir_all(to).expect("a directory");
        let mut copy = Command::new("cp");
        copy.arg("-r").args(["Cargo.toml", "Cargo.lock", "components", "interfaces", "kernel"]).arg(to);
        assert!(copy.current_dir(koboshi()).status().expect("cp runs").success());
    }

    #[test]
    fn a_module_is_the_same_wherever_it_was_made_and_does_not_tell_where() {
        let place = tempfile::tempdir().expect("a directory");
        let elsewhere = place.path().join("a/checkout/somewhere/else");
        copied(&elsewhere);
        let rust = Rust::find().expect("a compiler");
        let all = registry::packages();
        let echo = all.iter().find(|package| package.name == "echo").and_then(|package| package.program);
        let made = [(koboshi(), "first"), (elsewhere, "the/second")].map(|(koboshi, folder)| {
            let folder = place.path().join(folder);
            build(&rust, &koboshi, &folder, echo.expect("it is one of ours"), "echo").expect("it can be built")
        });
        assert!(
            made[0].code == made[1].code,
            "two places, two modules: {} and {} bytes",
            made[0].code.len(),
            made[1].code.len()
        );
        assert_eq!(made[0].room, made[1].room);
        let home = std::env::var("HOME").expect("somebody is at home");
        let tells = |text: &str| made[0].code.windows(text.len()).any(|part| part == text.as_bytes());
        for place in [place.path(), &koboshi(), Path::new(&home), rust.path()] {
            assert!(!tells(&place.display().to_string()), "it names {}", place.display());
        }
        // It does name files, of which it tells when it panics.
        assert!(tells(".rs"), "nothing is found in it");
    }

    #[test]
    fn a_module_is_bared_of_what_is_no_code_and_the_rest_stays_as_it_is() {
        let head = b"\0asm\x01\0\0\0";
        // A type that takes and gives nothing, in a section whose length has five bytes, as a linker leaves it.
        let types = b"\x01\x84\x80\x80\x80\x00\x01\x60\0\0";
        let named = b"\0\x05\x04name";
        let wasm = [&head[..], named, types, named].concat();
        assert_eq!(bare(&wasm), Some([&head[..], b"\x01\x04\x01\x60\0\0"].concat()));
        assert_eq!(bare(b"no module"), None);
    }
}
