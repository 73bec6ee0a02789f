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
    is_misused(&["test", "crago"], "there is no suite `crago`.\n  did you mean `cargo`?");
}

#[test]
fn check_shows_an_image_or_all_that_is_wrong_with_it() {
    let (code, output, _) = of(&["check"]);
    assert_eq!(code, Some(0));
    assert!(output.contains("monitor.serial -> sos.serial"), "{output}");
    assert!(output.contains("the kernel restarts restart-manager, which restarts:"), "{output}");
    let wrong = std::env::temp_dir().join(format!("koboshi-wrong-{}.toml", std::process::id()));
    std::fs::write(&wrong, "platform = \"hots\"\nmanger = \"x\"\n").expect("a file can be written");
    let (code, _, complaint) = of(&["check", &wrong.display().to_string()]);
    let _ = std::fs::remove_file(&wrong);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("did you mean `host`?") && complaint.contains("did you mean `manager`?"), "{complaint}");
    assert!(complaint.ends_with("3 problems\n"), "{complaint}");
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
