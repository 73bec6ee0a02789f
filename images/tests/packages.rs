//! Packages from outside: keys, `koboshi pack` and `koboshi inspect`, end to end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Exit code, output and complaints of the command, in this directory.
fn koboshi(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(arguments).current_dir(folder).env("XDG_CONFIG_HOME", folder.join("config"));
    let output = command.output().expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let (code, said, complaint) = koboshi(folder, arguments);
    assert_eq!(code, Some(0), "{said}{complaint}");
    said
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_key_is_for_its_owner_alone_and_is_never_overwritten() {
    let folder = folder();
    let public = succeeds(folder.path(), &["key", "new"]);
    let file = folder.path().join("config/koboshi/signing.key");
    assert_eq!(fs::metadata(&file).expect("it is there").mode() & 0o777, 0o600);
    assert!(public.starts_with("koboshi-ed25519:") && public.len() == 16 + 64 + 1, "{public}");
    assert_eq!(succeeds(folder.path(), &["key", "show"]), public);
    let before = fs::read(&file).expect("it can be read");
    let (code, said, complaint) = koboshi(folder.path(), &["key", "new"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(complaint.contains("is there already, and a key is never overwritten"), "{complaint}");
    assert_eq!(fs::read(&file).expect("it can be read"), before);
    let other = succeeds(folder.path(), &["key", "new", "--out", "other.key"]);
    assert_ne!(other, public);
    assert_eq!(succeeds(folder.path(), &["key", "show", "other.key"]), other);
}

#[test]
fn a_key_that_others_may_read_is_not_used_and_neither_is_what_is_none() {
    let folder = folder();
    succeeds(folder.path(), &["key", "new", "--out", "open.key"]);
    let file = folder.path().join("open.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    fs::write(folder.path().join("none.key"), "nothing").expect("a file");
    let none = folder.path().join("none.key");
    fs::set_permissions(none, fs::Permissions::from_mode(0o600)).expect("it is ours");
    for (name, says) in [
        ("open.key", "others can use the key in open.key: its mode is 640.\n  if nobody has, `chmod 600 open.key`"),
        ("none.key", "none.key is no key: it holds no line with `koboshi-ed25519-secret:`"),
        ("missing.key", "there is no key in missing.key.\n  name its file, or make one with `koboshi key new`."),
    ] {
        for arguments in [&["key", "show", name][..], &["pack", "echo", "--platform", "host", "--key", name]] {
            let (code, _, complaint) = koboshi(folder.path(), arguments);
            assert!(code == Some(1) && complaint.contains(says), "{complaint}");
        }
    }
}

#[test]
fn what_cannot_be_packed_is_refused_with_what_can_be_done() {
    let folder = folder();
    for (arguments, says) in [
        (
            ["pack", "ecco", "--platform", "host"],
            "there is no package `ecco` among Koboshi's own, nor in a workspace around this directory.\n  did you mean `echo`?",
        ),
        (["pack", "echo", "--platform", "hots"], "did you mean `host`?"),
        (["inspect", "x.package", "--for", "images"], "`images` names no component of an image.\n  write it as in"),
        (["inspect", "x.package", "--for", "x.toml:"], "names no component of an image"),
    ] {
        let (code, _, complaint) = koboshi(folder.path(), &arguments);
        assert!(complaint.contains(says), "{complaint}");
        assert_eq!(code, Some(2), "{arguments:?}");
    }
    let version = ["pack", "echo", "--platform", "host", "--version", "1.0"];
    let (code, _, complaint) = koboshi(folder.path(), &version);
    assert!(code == Some(2) && complaint.contains("three numbers with points between them"), "{complaint}");
    // Its own stack is larger than that which every image gives to who is swappable.
    succeeds(folder.path(), &["key", "new"]);
    let (code, _, complaint) = koboshi(folder.path(), &["pack", "loader", "--platform", "r2d"]);
    let says = ["`loader` needs ", " bytes of the module's own stack, and who may be swapped has 8192"];
    assert!(code == Some(1) && says.iter().all(|part| complaint.contains(part)), "{complaint}");
}

/// The host's image with a key that may sign, and a swappable driver.
fn image(key: &str, swappable: &str) -> String {
    let image = include_str!("../host.toml");
    let image = image.replacen("platform = ", &format!("packages-signed-by = [\"{}\"]\nplatform = ", key.trim()), 1);
    assert_eq!(image.matches("\nswappable = ").count(), 1);
    let line = |line: &str| if line.starts_with("swappable = ") { swappable.to_owned() } else { line.to_owned() };
    image.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The codes of all reasons to refuse it, and whether it is let in.
fn judged(folder: &Path, file: &str, image: &str) -> (Vec<String>, bool) {
    let (code, said, complaint) = koboshi(folder, &["inspect", file, "--for", image, "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complaint}"));
    let reasons = report["refused"].as_array().into_iter().flatten();
    let codes: Vec<String> = reasons.filter_map(|reason| reason["code"].as_str()).map(str::to_owned).collect();
    let ok = report["ok"] == true;
    assert_eq!(code, Some(if ok { 0 } else { 1 }));
    assert_eq!(ok, codes.is_empty(), "{said}");
    (codes, ok)
}

#[test]
fn a_packed_component_is_let_in_where_it_fits_and_refused_elsewhere() {
    let folder = folder();
    let folder = folder.path();
    let public = succeeds(folder, &["key", "new"]);
    let other = succeeds(folder, &["key", "new", "--out", "other.key"]);
    let made = succeeds(
        folder,
        &["pack", "scif-driver", "--platform", "host", "--version", "1.2.3", "--out", "driver.package"],
    );
    assert!(made.starts_with("made: driver.package (") && made.contains(public.trim()), "{made}");
    let bytes = fs::read(folder.join("driver.package")).expect("it was made");

    let report: Value =
        serde_json::from_str(&succeeds(folder, &["inspect", "driver.package", "--json"])).expect("JSON");
    let package = &report["package"];
    assert_eq!((&package["name"], &package["version"]), (&"scif-driver".into(), &"1.2.3".into()));
    assert_eq!((&package["platform"], &package["signed_by"]), (&"host".into(), &public.trim().into()));
    assert_eq!(report["size_bytes"], bytes.len());
    let key = format!("{}", koboshi_interfaces::serial::INTERFACE.key);
    assert_eq!((&package["ports"][0]["name"], &package["ports"][0]["key"]), (&"serial".into(), &key.into()));
    assert_eq!(package["kept"]["key"], koboshi_scif_driver::KEPT.to_string());
    assert!(package["room_bytes"].as_u64() > package["code_bytes"].as_u64(), "{package}");
    let shown = succeeds(folder, &["inspect", "driver.package"]);
    for says in
        ["scif-driver 1.2.3 for platform host: ", "offers serial", "koboshi-interfaces/received", "keeps state, key "]
    {
        assert!(shown.contains(says), "{says}: {shown}");
    }

    let put = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    put("own.toml", &image(&public, "swappable = { room = \"1 MiB\", lowest-version = \"1.2.3\" }"));
    put("newer.toml", &image(&public, "swappable = { room = \"1 KiB\", lowest-version = \"1.2.4\" }"));
    put("other.toml", &image(&other, "swappable = { room = \"1 MiB\" }"));
    put("fixed.toml", &image(&public, ""));
    let none = Vec::<String>::new();
    assert_eq!(judged(folder, "driver.package", "own.toml:driver"), (none, true));
    let shown = succeeds(folder, &["inspect", "driver.package", "--for", "own.toml:driver"]);
    assert!(shown.ends_with("fine: own.toml lets it take the place of `driver`.\n"), "{shown}");
    let report = succeeds(folder, &["report", "own.toml"]);
    for says in [
        "driver: scif-driver of version 1.2.3 or later may take its place, in 1 MiB; it stays after 100 answers, or 10 s\n",
        &format!("may sign: {public}"),
    ] {
        assert!(report.contains(says), "{says}: {report}");
    }
    assert_eq!(judged(folder, "driver.package", "newer.toml:driver").0, ["older", "room"]);
    assert_eq!(judged(folder, "driver.package", "other.toml:driver").0, ["signer"]);
    let (code, _, complaint) = koboshi(folder, &["inspect", "driver.package", "--for", "fixed.toml:driver"]);
    assert!(code == Some(2) && complaint.contains("`driver` of fixed.toml is not swappable"), "{complaint}");
    let (code, _, complaint) = koboshi(folder, &["inspect", "driver.package", "--for", "own.toml:drivr"]);
    assert!(code == Some(2) && complaint.contains("did you mean `driver`?"), "{complaint}");

    // The whole file, byte by byte, is for the gate's own tests; here one from each part.
    for at in [0, 8, 12, 20, 60, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(folder.join("changed.package"), &changed).expect("a file");
        for arguments in
            [&["inspect", "changed.package"][..], &["inspect", "changed.package", "--for", "own.toml:driver"]]
        {
            let (code, said, complaint) = koboshi(folder, arguments);
            assert_eq!((code, said.as_str()), (Some(1), ""), "byte {at}");
            assert!(
                complaint.contains("changed.package is refused: ") && complaint.contains("Whose fault: "),
                "{complaint}"
            );
        }
    }

    // The same again, elsewhere: the same bytes.
    let elsewhere = folder.join("in/another/place");
    fs::create_dir_all(&elsewhere).expect("a directory");
    let key = folder.join("config/koboshi/signing.key").display().to_string();
    succeeds(&elsewhere, &["pack", "scif-driver", "--platform", "host", "--version", "1.2.3", "--key", &key]);
    let again =
        fs::read(elsewhere.join("target/koboshi/packages/scif-driver-1.2.3-host.package")).expect("it was made");
    assert!(again == bytes, "two places, two packages");
}
