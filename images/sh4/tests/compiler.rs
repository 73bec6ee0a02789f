//! A SuperH GCC is tested before it is used, cured where it miscompiles, and refused where that does not help.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koboshi_sh4::tools::{Choice, Gcc};

/// A GCC that answers as one does, and compiles everything to this.
fn fake(folder: &Path, name: &str, assembler: &str) -> PathBuf {
    let path = folder.join(name);
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n-dumpfullversion) echo 99.1.0 ;;\n-print-file-name=plugin) echo plugin ;;\n\
         *) printf '{assembler}' ;;\nesac\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const RIGHT: &str = "t:\\n mov.l @r4,r1\\n tst r1,r1\\n bt .L2\\n";
const BROKEN: &str = "t:\\n bt .L2\\n mov.l .L5,r1\\n";

fn only(gcc: &Path) -> Choice {
    Choice { gcc: Some(gcc.into()), cure: true, search_path: std::env::var_os("PATH").unwrap_or_default() }
}

#[test]
fn a_compiler_that_deletes_the_test_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gcc = fake(folder.path(), "sh-elf-gcc", BROKEN);
    let trouble = Gcc::choose(&only(&gcc), folder.path()).unwrap_err();
    assert_eq!(
        trouble.what,
        format!(
            "{} (GCC 99.1.0) miscompiles: in `if (p->x)` it deletes the test of the loaded word, at -O1 and -O2 and \
             -Os; its cure cannot be built: the plugin headers of this GCC are not there.",
            gcc.display()
        )
    );
    assert_eq!(
        trouble.remedy,
        "apt-get install gcc-99-plugin-dev-sh4-linux-gnu; or name another SuperH GCC with KOBOSHI_SH4_GCC."
    );
}

#[test]
fn a_compiler_that_may_not_be_cured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gcc = fake(folder.path(), "sh-elf-gcc", BROKEN);
    let trouble = Gcc::choose(&Choice { cure: false, ..only(&gcc) }, folder.path()).unwrap_err();
    assert_eq!(
        trouble.what,
        format!(
            "{} (GCC 99.1.0) miscompiles: in `if (p->x)` it deletes the test of the loaded word, at -O1 and -O2 and \
             -Os; it could perhaps be cured, but KOBOSHI_SH4_CURE is off.",
            gcc.display()
        )
    );
    assert_eq!(trouble.remedy, "unset KOBOSHI_SH4_CURE, or name another SuperH GCC with KOBOSHI_SH4_GCC.");
}

#[test]
fn a_compiler_that_is_right_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let gcc = Gcc::choose(&only(&fake(folder.path(), "sh-elf-gcc", RIGHT)), folder.path()).unwrap();
    assert_eq!((gcc.version(), gcc.cure()), ("99.1.0", None));
}

#[test]
fn a_right_compiler_is_taken_where_the_preferred_one_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    fake(folder.path(), "sh4-linux-gnu-gcc-98", BROKEN);
    let right = fake(folder.path(), "sh4-elf-gcc", RIGHT);
    // Scripts need the shell's own programs too.
    let search_path = std::env::join_paths([folder.path(), Path::new("/bin")]).unwrap();
    let choice = Choice { gcc: None, cure: false, search_path };
    // A SuperH GCC of this machine in /bin would be older than 98: it comes behind, and without its cure it is no better.
    let found = Gcc::choose(&choice, folder.path()).unwrap();
    assert!(found.path() == right || found.cure().is_none(), "{found:?}");
}

#[test]
fn the_answer_names_what_to_install_where_there_is_no_compiler() {
    let nothing = Choice { gcc: None, cure: true, search_path: OsString::new() };
    let trouble = Gcc::choose(&nothing, Path::new("nowhere")).unwrap_err();
    assert_eq!(
        trouble.what,
        "there is no SuperH GCC in PATH: neither sh4-linux-gnu-gcc nor sh-elf-gcc nor sh4-elf-gcc"
    );
    assert!(trouble.remedy.contains("apt-get install gcc-12-sh4-linux-gnu gcc-12-plugin-dev-sh4-linux-gnu g++"));
    let wrong = Choice { gcc: Some("no-such-gcc".into()), ..nothing };
    let trouble = Gcc::choose(&wrong, Path::new("nowhere")).unwrap_err();
    assert_eq!(trouble.what, "the SuperH GCC that KOBOSHI_SH4_GCC names is not there: no-such-gcc");
}

/// The verdict on the compiler of this machine can be either; but without its cure, Debian's 12.2 has to be refused.
#[test]
fn the_compiler_of_this_machine_is_right_or_cured() {
    let folder = tempfile::tempdir().unwrap();
    let gcc = Gcc::find(folder.path()).unwrap();
    let uncured = Gcc::choose(&Choice { cure: false, ..only(gcc.path()) }, folder.path());
    assert_eq!(gcc.cure().is_some(), uncured.is_err(), "{uncured:?}");
    if let Err(trouble) = uncured {
        assert!(trouble.what.contains("miscompiles"), "{trouble}");
    }
}
