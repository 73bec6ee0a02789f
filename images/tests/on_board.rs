//! An image on the emulated board, seen from this machine: as `koboshi demo` and `koboshi run` show it.
//!
//! One test for all of it: both use the same directory of the workspace, and each start builds.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn koboshi(arguments: &[&str]) -> Command {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(arguments).current_dir(workspace);
    command
}

fn told(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A run, which ends with this value.
struct Run {
    child: Child,
    directory: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        // After `stop` it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    fn start(directory: &Path, more: &[&str]) -> (Self, BufReader<ChildStdout>, BufReader<ChildStderr>) {
        let mut command = koboshi(&["run", "images/r2d.toml", "--json"]);
        command.arg("--run-dir").arg(directory).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let complaints = BufReader::new(child.stderr.take().expect("it is piped"));
        (Run { child, directory: directory.to_path_buf() }, output, complaints)
    }

    fn ask(&self, arguments: &[&str]) -> String {
        told(koboshi(arguments).arg("--run-dir").arg(&self.directory).output().expect("it runs"))
    }

    fn incidents(&self) -> Vec<Value> {
        let text = self.ask(&["incidents", "--json"]);
        let one = |line| serde_json::from_str::<Value>(line).expect("JSON")["incident"].take();
        text.lines().map(one).collect()
    }

    /// Waits until so many incidents are over.
    fn after_incidents(&self, count: usize) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.incidents();
            // What was held then is asked for behind the incident, and comes a little later.
            let whole = |one: &&Value| !one["up_at_ns"].is_null() && !one["registers"].is_null();
            if found.iter().filter(whole).count() >= count {
                return found;
            }
            assert!(Instant::now() < until, "{found:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&self, name: &str) -> File {
        OpenOptions::new().read(true).write(true).open(self.directory.join(name)).expect("a terminal")
    }
}

/// What `to` is given of what is written to `from`.
fn carried(mut from: File, mut to: File, bytes: &[u8]) -> Vec<u8> {
    let mut found = vec![0; bytes.len()];
    from.write_all(bytes).expect("it takes them");
    to.read_exact(&mut found).expect("they arrive");
    found
}

#[test]
fn an_image_on_the_emulated_board_is_used_asked_and_knocked_over_as_one_here_is() {
    // A file goes both ways, exactly, while components fall in all ways.
    let demo = koboshi(&["demo", "--image", "images/r2d.toml", "README.md", "--every", "40ms", "--json"]).output();
    let demo: Value = serde_json::from_str(&told(demo.expect("it runs"))).expect("JSON");
    assert_eq!(demo["exact"], true, "{demo:#}");
    assert!(demo["incidents"].as_array().is_some_and(|found| found.len() >= 5), "{demo:#}");

    let parent = tempfile::tempdir().expect("a directory");
    let (run, mut output, _complaints) = Run::start(&parent.path().join("run"), &[]);
    let mut up = String::new();
    output.read_line(&mut up).expect("a line");
    let up: Value = serde_json::from_str(&up).expect("JSON");
    let names: Vec<&str> =
        up["up"]["lines"].as_array().into_iter().flatten().filter_map(|line| line["end"].as_str()).collect();
    assert_eq!(names, ["serial0", "wire0"], "the console's own line is nobody else's: {up:#}");

    let every: Vec<u8> = (0..=255).collect();
    assert_eq!(carried(run.end("serial0"), run.end("wire0"), &every), every);
    assert_eq!(carried(run.end("wire0"), run.end("serial0"), &every), every);

    for refused in ["--data-bits=7", "--parity=even", "--stop-bits=2", "--flow=true"] {
        let output = koboshi(&["line", "wire0", refused]).arg("--run-dir").arg(&run.directory).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("wire0 is an end of an emulated line, which has no"),
            "{said}"
        );
    }
    assert!(run.ask(&["line", "wire0", "--baud", "57600"]).contains("57600 baud, 8 data bits, no parity"));
    run.ask(&["line", "wire0", "--baud", "115200"]);

    let processes = run.ask(&["ps"]);
    assert_eq!(processes.matches("running").count(), 7, "{processes}");

    let back = koboshi(&["swap", "driver", "--back"]).arg("--run-dir").arg(&run.directory).output().expect("it runs");
    let said = String::from_utf8_lossy(&back.stderr);
    assert!(back.status.code() == Some(1) && said.contains("has no version before to go back to"), "{said}");

    assert!(run.ask(&["kill", "driver"]).contains("driver is knocked over: panic"));
    let found = run.after_incidents(1);
    assert_eq!((&found[0]["component"], &found[0]["fault"]), (&"driver".into(), &"panic".into()), "{found:#?}");
    assert!(found[0]["place"].as_str().is_some_and(|place| place.contains("knocks.rs:")), "{found:#?}");
    run.ask(&["kill", "sos", "--how", "hang"]);
    let found = run.after_incidents(2);
    assert_eq!((&found[1]["component"], &found[1]["fault"]), (&"sos".into(), &"stuck".into()), "{found:#?}");
    assert!(found[1]["place"].as_str().is_some_and(|place| place.contains("knocks.rs:")), "{found:#?}");
    assert_eq!(found[1]["registers"].as_array().map(Vec::len), Some(16), "{found:#?}");
    run.ask(&["restart", "uart"]);
    run.after_incidents(3);
    assert_eq!(carried(run.end("serial0"), run.end("wire0"), &every), every, "also after the console's driver fell");

    let log = run.ask(&["log"]);
    for line in ["boot", "starts driver 2", "ends sos 1 fault 5"] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert!(run.ask(&["stop"]).contains("the run ends"));
    let mut last = String::new();
    output.read_line(&mut last).expect("a line");
    let over: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!((&over["over"]["exit_code"], &over["over"]["incidents"]), (&0.into(), &3.into()), "{over:#}");
    drop(run);

    // A debugger stops at a line of a component.
    let (_run, _output, complaints) = Run::start(&parent.path().join("debugged"), &["--gdb", "--for", "60s"]);
    let line = complaints
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("waiting for a debugger: ").map(str::to_owned));
    let line = line.expect("it says what to type");
    let place = format!("components/serial-line/src/lib.rs:{}", driver_line());
    let script = format!("{line} -batch -ex 'tbreak {place}' -ex continue -ex 'bt 1' -ex detach");
    let gdb = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let said = String::from_utf8_lossy(&gdb.stdout);
    let stopped =
        said.lines().any(|line| line.starts_with("#0") && line.contains("components/serial-line/src/lib.rs:"));
    assert!(stopped, "{said}{}", String::from_utf8_lossy(&gdb.stderr));
}

/// A line to which the driver comes soon: where it looks for what has arrived.
fn driver_line() -> usize {
    let source = include_str!("../../components/serial-line/src/lib.rs");
    1 + source.lines().position(|line| line.contains("let next = self.uart.next_byte();")).expect("it is there")
}
