//! The `koboshi` command from outside: what it says, and the code with which it ends.

use std::process::{Command, Output};

fn koboshi(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_koboshi")).args(arguments).output().expect("the command runs")
}

/// Exit code, output and complaints.
fn of(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = koboshi(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn is_misused(arguments: &[&str], says: &str) {
    let (code, _, complaint) = of(arguments);
    assert!(complaint.contains(says), "{complaint}");
    assert!(!complaint.contains('\u{1b}'), "no colours into a pipe: {complaint}");
    assert_eq!(code, Some(2));
}

#[test]
fn every_byte_arrives_though_everybody_falls() {
    let arguments = ["demo", "--clock", "virtual", "--whom", "all", "--every", "5ms", "--seed", "3", "--json"];
    let (code, output, complaint) = of(&arguments);
    assert_eq!(code, Some(0), "{output}{complaint}");
    let result: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(result["exact"], true);
    for way in ["program_to_outside", "outside_to_program"] {
        assert_eq!(result[way]["received"], 262_144);
        assert_eq!(result[way]["gaps_announced"], 0);
    }
    let incidents = result["incidents"].as_array().map_or(0, Vec::len);
    assert!(incidents > 100, "only {incidents} fell");
    let who = |name: &str| {
        let incidents = result["incidents"].as_array().into_iter().flatten();
        incidents.filter(|incident| incident["component"] == name).count()
    };
    for name in ["restart-manager", "sos", "driver", "monitor"] {
        assert!(who(name) > 0, "{name} never fell");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let arguments = ["demo", "--clock", "virtual", "--every", "20ms", "--seed", "11", "--json"];
    assert_eq!(of(&arguments).1, of(&arguments).1);
}

#[test]
fn modules_carry_every_byte_too_and_run_away_for_real() {
    let arguments = ["demo", "README.md", "--engine", "wasm", "--clock", "virtual", "--every", "20ms", "--json"];
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO_BIN_EXE_koboshi")).args(arguments).current_dir(workspace).output();
    let output = output.expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let result: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(result["exact"], true);
    assert!(text.contains("run-away"), "{text}");
}

#[test]
fn components_of_a_board_have_no_other_engine() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/r2d.toml");
    is_misused(&["demo", "--image", image, "--engine", "wasm"], "--engine is for images for this machine");
    is_misused(&["run", image, "--engine", "linked"], "--engine is for images for this machine");
}

#[test]
fn a_run_in_which_nobody_fell_says_that_it_shows_nothing() {
    let file = env!("CARGO_MANIFEST_PATH");
    let (code, output, _) = of(&["demo", file, "--clock", "virtual", "--every", "10s"]);
    assert!(code == Some(0) && output.contains("But nobody fell meanwhile: send a larger file"), "{output}");
    let (code, output, _) = of(&["demo", file, "--clock", "virtual", "--every", "5ms"]);
    assert!(code == Some(0) && !output.contains("nobody fell"), "{output}");
}

#[test]
fn what_a_line_without_flow_control_loses_is_announced_and_not_called_exact() {
    let (code, output, _) = of(&[
        "demo", "--clock", "virtual", "--flow", "none", "--baud", "1000000", "--how", "hang", "--whom", "driver",
        "--every", "5ms", "--json",
    ]);
    let result: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let back = &result["outside_to_program"];
    assert_eq!((code, &result["exact"]), (Some(1), &serde_json::Value::Bool(false)));
    assert!(back["lost"].as_u64() > Some(0) && back["gaps_announced"].as_u64() > Some(0), "{back}");
    assert_eq!(result["program_to_outside"]["lost"], 0);
}

#[test]
fn a_file_that_cannot_be_sent_is_named_with_a_remedy() {
    is_misused(&["demo", "/nonexistent/file"], "/nonexistent/file cannot be sent: No such file or directory");
    is_misused(&["demo", "/"], "/ cannot be sent: it is a directory.\n  name a file in it");
    is_misused(&["demo", "/dev/null"], "/dev/null cannot be sent: it is empty.\n  name a file with at least one byte");
}

#[test]
fn wrong_arguments_are_answered_with_what_would_be_right() {
    is_misused(
        &["demo", "--whom", "drivr"],
        "there is no component `drivr` to knock over in this image.\n  did you mean `driver`?",
    );
    is_misused(&["demo", "--every", "5"], "write it as in 100ms");
    is_misused(&["demo", "--baud", "700000"], "the nearest that it can make is --baud 666666.");
    is_misused(&["demo", "--image", "/nonexistent.toml"], "the image /nonexistent.toml cannot be read");
    is_misused(
        &["demo", "--how", "bad-message", "--whom", "monitor"],
        "nobody of these can be knocked over in this way",
    );
    is_misused(&["test", "sh4-field", "--count", "3"], "the suite `sh4-field` does not draw as many cases");
    is_misused(&["sh4", "build", "sh4", "--source", "nofile.c"], "there is no file nofile.c.");
    is_misused(&["sh4", "build", "sh4", "--source", "Cargo.toml"], "it is neither C nor assembler by its name.");
    is_misused(&["sh4", "build", "sh4", "--shadow-stack", "16k"], "write it as in 16384 or 0x4000");
    is_misused(&["sh4", "translate", "x.wasm", "--prefix", "a-"], "letters, digits and _ only");
    is_misused(&["test", "crago"], "there is no suite `crago`.\n  did you mean `cargo`?");
}

/// A file with this text for the time of a test.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("koboshi-{name}-{}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a file can be written");
        File(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The image that is built in, without flow control: it has one warning.
fn image_with_a_warning(name: &str) -> File {
    File::new(name, &include_str!("../host.toml").replace("flow = \"rts-cts\"", "flow = \"none\""))
}

fn json(output: &str) -> serde_json::Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[test]
fn check_says_whether_an_image_fits_together_or_all_that_is_wrong_with_it() {
    let (code, output, complaint) = of(&["check"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(output.contains("4 components, 7 connections, 2 devices, 3 groups, 0 warnings."), "{output}");
    assert!(output.contains("koboshi report"), "{output}");
    let wrong = File::new("wrong", "platform = \"hots\"\nmanger = \"x\"\n");
    let (code, output, complaint) = of(&["check", &wrong.path()]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(complaint.contains("did you mean `host`?") && complaint.contains("did you mean `manager`?"), "{complaint}");
    assert!(complaint.ends_with("3 problems\n"), "{complaint}");
}

#[test]
fn a_file_that_is_no_manifest_is_refused_once() {
    let (code, _, complaint) = of(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("this is no manifest of an image"), "{complaint}");
    assert!(complaint.ends_with("1 problem\n"), "{complaint}");
}

#[test]
fn a_warning_is_shown_and_fails_only_where_that_is_wanted() {
    let image = image_with_a_warning("warning");
    let (code, output, complaint) = of(&["check", &image.path()]);
    assert_eq!(code, Some(0));
    assert!(output.contains("1 warning."), "{output}");
    assert!(complaint.contains("loss is possible at `scif1`"), "{complaint}");
    let (code, output, _) = of(&["check", "--strict", &image.path()]);
    assert_eq!(code, Some(1));
    assert!(output.contains("warnings count as errors"), "{output}");
    assert_eq!(of(&["check", "--strict"]).0, Some(0));
}

#[test]
fn check_tells_programs_where_each_problem_is_and_what_would_be_right() {
    let image = image_with_a_warning("json");
    let (code, output, complaint) = of(&["check", "--json", &image.path()]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let verdict = json(&output);
    assert_eq!((&verdict["ok"], &verdict["errors"], &verdict["warnings"]), (&true.into(), &0.into(), &1.into()));
    let problem = &verdict["problems"][0];
    assert_eq!(problem["code"], "koboshi::receiver-margin");
    assert_eq!((&problem["severity"], &problem["whose"]), (&"warning".into(), &"image".into()));
    assert_eq!((&problem["file"], &problem["column"]), (&image.path().into(), &17.into()));
    assert!(problem["line"].is_u64() && problem["message"].is_string() && problem["remedy"].is_string(), "{problem}");
    assert_eq!(of(&["check", "--json", "--strict", &image.path()]).0, Some(1));
    let wrong = File::new("json-wrong", "platform = \"hots\"\n");
    let (code, output, complaint) = of(&["check", "--json", &wrong.path()]);
    assert_eq!((code, complaint.as_str()), (Some(1), ""));
    assert_eq!(json(&output)["ok"], false);
    let problems = json(&output)["problems"].as_array().cloned().unwrap_or_default();
    assert!(problems.iter().any(|problem| problem["code"] == "koboshi::choice" && problem["line"] == 1), "{output}");
}

#[test]
fn report_shows_ports_restarts_memory_devices_and_margins() {
    let (code, output, complaint) = of(&["report"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    for says in [
        "monitor.serial -> sos.serial",
        "the kernel restarts restart-manager, which restarts:",
        "more than 10 fruitless deaths in 1 s: group sos, too",
        "of the board's 67,108,864 from 0xc000000",
        "registers: 0xffe10000 to 0xffe10029",
        "safe action: 0x8 := 0x0 (16 bits)",
        "sos 6.2 ms + driver 6.2 ms",
        "RTS/CTS stops the sender",
        "Not enforced on this platform",
    ] {
        assert!(output.contains(says), "{says}: {output}");
    }
}

#[test]
fn report_tells_programs_the_same_with_units_in_the_names() {
    let (code, output, _) = of(&["report", "--json"]);
    assert_eq!(code, Some(0));
    let report = json(&output);
    let driver = &report["components"][2];
    assert_eq!((&driver["name"], &driver["restarted_by_group"]), (&"driver".into(), &"drivers".into()));
    assert_eq!((&driver["recover_within_ns"], &driver["memory"]["given_bytes"]), (&5_000_000.into(), &8_192.into()));
    let way = &report["deadlines"][0];
    assert_eq!(
        (&way["deadline_ns"], &way["recovery_ns"], &way["slack_ns"]),
        (&100_000_000.into(), &12_400_000.into(), &87_600_000.into())
    );
    let sum = |part: &str| {
        let components = report["components"].as_array().into_iter().flatten();
        components.filter_map(|component| component["memory"][part].as_u64()).sum::<u64>()
    };
    assert_eq!(Some(sum("total_bytes")), report["memory"]["total_bytes"].as_u64());
    assert_eq!(sum("given_bytes") + sum("rings_bytes") + sum("kept_bytes"), sum("total_bytes"));
    assert_eq!(report["devices"][0]["interrupts"][3]["number"], 0xBE0);
    assert_eq!(report["receivers"][0]["loss_possible"], false);
}

#[test]
fn report_draws_every_connection_and_every_group() {
    let edges = |graph: &str| {
        let (code, output, _) = of(&["report", "--dot", graph]);
        assert_eq!(code, Some(0));
        assert!(output.starts_with("digraph ") && output.ends_with("}\n"), "{output}");
        assert_eq!(output.matches('"').count() % 2, 0, "{output}");
        (output.matches(" -> ").count(), output)
    };
    let (ports, text) = edges("ports");
    assert_eq!(ports, 7 + 2, "connections and devices: {text}");
    let (restarts, text) = edges("restarts");
    assert_eq!(restarts, 1 + 3 * 3, "the manager, and each group with manager, member and escalation: {text}");
}

#[test]
fn a_reader_that_has_had_enough_is_no_fault() {
    for arguments in [&["report"][..], &["check"], &["report", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
        let output = command.args(arguments).stdout(writer).output().expect("the command runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*complaint), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn exit_codes_are_in_the_help() {
    let (code, output, _) = of(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(output.contains("130  stopped by Ctrl-C"), "{output}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_a_table_of_what_was_done() {
    use std::process::Stdio;
    use std::time::Duration;
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(["demo", "--clock", "real", "--for", "60s"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let demo = command.spawn().expect("the command runs");
    std::thread::sleep(Duration::from_millis(700));
    let kill = Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    let output = demo.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("Stopped: the table shows what was done so far."), "{text}");
    assert!(text.contains("lost"), "{text}");
}

#[test]
fn a_full_disk_is_noticed_and_a_reader_who_has_had_enough_is_not() {
    let with = |arguments: &[&str], out: std::process::Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_koboshi")).args(arguments).stdout(out).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for arguments in [&["report"][..], &["test", "--list"], &["doctor"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let (code, complaint) = with(arguments, full.into());
        assert_eq!(code, Some(1), "{arguments:?}: {complaint}");
        assert_eq!(complaint.matches("the output cannot be written: No space left").count(), 1, "{complaint}");
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(with(&["report"], writer.into()), (Some(0), String::new()));
}

#[test]
fn files_of_sh4_are_called_after_the_package_and_a_workspace_has_none() {
    let folder = tempfile::tempdir().expect("a directory");
    let source = folder.path().join("crate/src");
    std::fs::create_dir_all(&source).expect("a directory");
    let manifest = "[workspace]\n[package]\nname = \"tried\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
    std::fs::write(folder.path().join("crate/Cargo.toml"), manifest).expect("a file");
    let text = "#![no_std]\n#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
        #[unsafe(no_mangle)] pub extern \"C\" fn main() {}";
    std::fs::write(source.join("lib.rs"), text).expect("a file");
    let build = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
        command.args(["sh4", "build"]).args(arguments).current_dir(&source);
        let output = command.output().expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(build(&[".."]), (Some(0), String::new()));
    for file in ["tried.elf", "tried.bin"] {
        assert!(source.join("target/koboshi/sh4/tried").join(file).is_file(), "{file}");
    }
    std::fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = []\n").expect("a file");
    let (code, complaint) = build(&["../.."]);
    assert!(code == Some(2) && complaint.contains("(--package)"), "{complaint}");
}

/// Else a terminal would break them where they are no longer commands.
#[test]
fn commands_in_the_help_of_sh4_stay_in_one_line() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    let output = command.args(["sh4", "build", "--help"]).env("COLUMNS", "80").output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = text.split("Addresses are hexadecimal.").nth(1).expect("what comes behind the options");
    assert!(after.lines().all(|line| line.len() <= 76), "{after}");
}
