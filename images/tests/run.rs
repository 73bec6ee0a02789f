//! A running image from outside: its directory, its terminals and its socket, as people and programs meet them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes so long, however busy the machine is.
const FOR_EVER: Duration = Duration::from_secs(120);

fn koboshi(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(arguments).arg("--run-dir").arg(directory).stdin(Stdio::null());
    command
}

/// Exit code, output and complaints.
fn ask(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = koboshi(directory, arguments).output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// A running image, which ends with this value at the latest.
struct Run {
    child: Child,
    output: BufReader<ChildStdout>,
    directory: PathBuf,
    _parent: TempDir,
}

impl Run {
    fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), &[])
    }

    /// With these arguments, and its directory in this one.
    fn start_with(parent: TempDir, arguments: &[&str]) -> Self {
        let directory = parent.path().join("run");
        let (child, output) = begin_with(&directory, arguments);
        Run { child, output, directory, _parent: parent }
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let (code, output, complaint) = ask(&self.directory, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {complaint}");
        output
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.ask(&[arguments, &["--json"]].concat());
        output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn end(&self, name: &str) -> File {
        OpenOptions::new().read(true).write(true).open(self.directory.join(name)).unwrap()
    }

    /// Ends it in this way, and gives its exit code and what it said last. Nothing of it may be left.
    fn end_by(mut self, signal: Option<Signal>) -> (Option<i32>, Value) {
        match signal {
            Some(signal) => kill_process(Pid::from_child(&self.child), signal).unwrap(),
            None => assert!(self.ask(&["stop"]).contains("the run ends")),
        }
        let mut last = String::new();
        self.output.read_to_string(&mut last).unwrap();
        let code = self.child.wait().unwrap().code();
        assert!(!self.directory.exists(), "it made the directory, and left it");
        (code, serde_json::from_str(&last).expect("JSON"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that is up.
fn begin(directory: &Path) -> (Child, BufReader<ChildStdout>) {
    begin_with(directory, &[])
}

fn begin_with(directory: &Path, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child =
        koboshi(directory, &[&["run", "--json"], arguments].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let up: Value = serde_json::from_str(&line).expect("it says that it is up");
    assert_eq!(up["up"]["components"][2], "driver");
    (child, output)
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < FOR_EVER, "it never comes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So many bytes of a terminal; it is not waited for what never comes.
#[track_caller]
fn read_exactly(from: &File, count: usize) -> Vec<u8> {
    let (mut from, (to_test, found)) = (from.try_clone().unwrap(), channel());
    std::thread::spawn(move || {
        let mut room = vec![0; count];
        let read = from.read_exact(&mut room).map(|()| room);
        // The test may have given up.
        let _ = to_test.send(read);
    });
    found.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("{count} bytes never come")).unwrap()
}

#[test]
fn a_file_arrives_whole_though_the_driver_is_knocked_over_ten_times_a_second() {
    let run = Run::start();
    let files = tempfile::tempdir().unwrap();
    let sent: Vec<u8> = (0..48 << 10).map(|at: u32| (at.wrapping_mul(0x9E37_79B1) >> 21) as u8).collect();
    fs::write(files.path().join("file"), &sent).unwrap();
    let into = files.path().join("into");
    fs::create_dir(&into).unwrap();
    let program = |name: &str, end: &str, folder: &Path, arguments: &[&str]| {
        let (input, output) = (run.end(end), run.end(end));
        let mut command = Command::new(name);
        command.args(arguments).current_dir(folder).stdin(input).stdout(output).stderr(Stdio::null());
        command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; install it with: apt-get install lrzsz"))
    };
    let mut receiver = program("rz", "wire0", &into, &["--binary", "--quiet"]);
    let mut sender = program("sz", "serial0", files.path(), &["--binary", "--quiet", "file"]);
    let (began, mut knocks) = (Instant::now(), 0);
    let sent_well = loop {
        if let Some(status) = sender.try_wait().unwrap() {
            break status.success();
        }
        let how = ["panic", "hang", "exit", "corrupt-state", "bad-message"][knocks % 5];
        let (code, _, complaint) = ask(&run.directory, &["kill", "driver", "--how", how]);
        assert!(code == Some(0) || complaint.contains("is down already"), "{complaint}");
        knocks += 1;
        std::thread::sleep(Duration::from_millis(100).saturating_mul(knocks as u32).saturating_sub(began.elapsed()));
        assert!(began.elapsed() < FOR_EVER, "it never arrives");
    };
    assert!(sent_well && receiver.wait().unwrap().success());
    assert_eq!(fs::read(into.join("file")).unwrap(), sent);
    let incidents = run.json(&["incidents"]).len();
    assert!(incidents >= 20, "{incidents} incidents, {knocks} knocks");
    // The receiver would also have asked for lost bytes again: nothing was lost to begin with.
    for line in run.ask(&["log"]).lines() {
        assert!(!line.contains("serial0:") && !line.contains("wire0:"), "{line}");
    }
}

#[test]
fn bytes_go_both_ways_and_are_counted() {
    let run = Run::start();
    let (mut program, mut outside) = (run.end("serial0"), run.end("wire0"));
    program.write_all(b"out").unwrap();
    assert_eq!(read_exactly(&outside, 3), b"out");
    outside.write_all(b"and back").unwrap();
    assert_eq!(read_exactly(&program, 8), b"and back");
    let lines = &run.json(&["line"])[0]["lines"];
    assert_eq!(
        (&lines[0]["end"], &lines[0]["bytes_in"], &lines[0]["bytes_out"]),
        (&"serial0".into(), &3.into(), &8.into())
    );
    assert_eq!(
        (&lines[1]["end"], &lines[1]["bytes_in"], &lines[1]["bytes_out"]),
        (&"wire0".into(), &8.into(), &3.into())
    );
    let (code, over) = run.end_by(None);
    assert_eq!((code, &over["over"]["incidents"]), (Some(0), &0.into()));
}

#[test]
fn a_program_that_does_not_read_is_waited_for_and_loses_nothing() {
    let run = Run::start();
    let (program, mut outside) = (run.end("serial0"), run.end("wire0"));
    // More than all that lies between the two ends can hold.
    let sent: Vec<u8> = (0..60_000_u32).map(|at| (at % 251) as u8).collect();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || outside.write_all(&copy));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(read_exactly(&program, sent.len()), sent);
    writer.join().unwrap().unwrap();
}

#[test]
fn what_a_program_sets_on_its_terminal_is_set_on_the_line() {
    let run = Run::start();
    let (mut program, outside) = (run.end("serial0"), run.end("wire0"));
    let set = |end: &str, words: &[&str]| {
        let done = Command::new("stty").arg("-F").arg(run.directory.join(end)).args(words).status().unwrap();
        assert!(done.success());
    };
    let is_set = |end: usize, baud: u32| {
        let lines = run.json(&["line"]);
        let end = &lines[0]["lines"][end];
        (end["baud"] == baud && end["stop_bits"] == 2 && end["flow"] == false).then_some(())
    };
    set("serial0", &["57600", "cstopb", "-crtscts"]);
    until(|| is_set(0, 57_600));
    // Only one end is set: what arrives is rubbish, and that is said.
    program.write_all(b"garbled").unwrap();
    until(|| run.ask(&["log"]).contains("wire0: 7 garbled bytes").then_some(()));
    set("wire0", &["57600", "cstopb", "-crtscts"]);
    until(|| is_set(1, 57_600));
    program.write_all(b"right").unwrap();
    assert_eq!(read_exactly(&outside, 5), b"right");
}

#[test]
fn what_is_sent_before_a_setting_goes_out_before_it_and_what_is_sent_after_it_behind_it() {
    let run = Run::start();
    let (mut program, outside) = (run.end("serial0"), run.end("wire0"));
    // A second of line time, which no buffer on the way holds as a whole.
    let before: Vec<u8> = (0..12_000_u32).map(|at| (at % 251) as u8).collect();
    program.write_all(&before).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let mut termios = tcgetattr(&program).unwrap();
    termios.set_speed(57_600).unwrap();
    tcsetattr(&program, OptionalActions::Now, &termios).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    program.write_all(b"behind").unwrap();
    assert_eq!(read_exactly(&outside, before.len()), before);
    until(|| run.ask(&["log"]).contains("wire0: 6 garbled bytes").then_some(()));
}

#[test]
fn a_speed_that_the_line_cannot_have_is_refused_with_the_nearest_and_changes_nothing() {
    let run = Run::start();
    let (code, _, complaint) = ask(&run.directory, &["line", "serial0", "--baud", "700000"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("cannot make 700000 baud") && complaint.contains("--baud 666666"), "{complaint}");
    let mut program = run.end("serial0");
    let mut termios = tcgetattr(&program).unwrap();
    termios.set_speed(700_000).unwrap();
    tcsetattr(&program, OptionalActions::Now, &termios).unwrap();
    // As a real terminal does: the program finds what it got.
    until(|| (tcgetattr(&program).unwrap().output_speed() == 115_200).then_some(()));
    assert!(run.ask(&["log"]).contains("serial0: 700000 baud cannot be made, the nearest is 666666"));
    assert_eq!(run.json(&["line"])[0]["lines"][0]["baud"], 115_200);
    program.write_all(b"as before").unwrap();
    assert_eq!(read_exactly(&run.end("wire0"), 9), b"as before");
}

#[test]
fn parity_and_data_bits_are_set_by_the_command() {
    let run = Run::start();
    let (mut program, outside) = (run.end("serial0"), run.end("wire0"));
    for end in ["serial0", "wire0"] {
        let shown = run.ask(&["line", end, "--parity", "even", "--data-bits", "7", "--baud", "38400"]);
        assert!(shown.contains("38400 baud, 7 data bits, even parity, 1 stop bit"), "{shown}");
    }
    program.write_all(b"seven\xC1").unwrap();
    assert_eq!(read_exactly(&outside, 6), b"sevenA", "the eighth bit does not travel");
    let (code, _, complaint) = ask(&run.directory, &["line", "wire0", "--data-bits", "9"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("a byte cannot have 9 data bits") && complaint.contains("7 or 8"), "{complaint}");
    let (code, _, complaint) = ask(&run.directory, &["line", "wire1"]);
    assert!(code == Some(1) && complaint.contains("did you mean `wire0`?"), "{complaint}");
}

#[test]
fn a_component_is_knocked_over_though_it_has_nothing_to_do_and_its_incident_can_be_told() {
    let run = Run::start();
    run.ask(&["kill", "driver"]);
    let story = until(|| run.json(&["incidents"]).into_iter().next());
    assert_eq!((&story["incident"]["component"], &story["incident"]["fault"]), (&"driver".into(), &"panic".into()));
    until(|| run.ask(&["incidents", "0"]).contains("up: it has come to its first wait").then_some(()));
    let driver = |run: &Run| run.json(&["ps"])[0]["ps"][2].clone();
    assert_eq!((&driver(&run)["name"], &driver(&run)["restarts"]), (&"driver".into(), &1.into()));
    run.ask(&["restart", "driver"]);
    until(|| (driver(&run)["restarts"] == 2 && driver(&run)["state"] == "running").then_some(()));
    assert_eq!(driver(&run)["last_fault"], "told to");
}

#[test]
fn what_cannot_be_done_is_said_with_what_would_be_right() {
    let run = Run::start();
    for (arguments, code, what, remedy) in [
        (&["kill", "drivr"][..], 1, "there is no component `drivr`", "did you mean `driver`?"),
        (
            &["kill", "sos", "--how", "corrupt-state"],
            1,
            "cannot be knocked over by `corrupt-state`",
            "one that keeps state",
        ),
        (&["kill", "sos", "--how", "fire"], 2, "invalid value 'fire'", "possible values: panic"),
        (&["restart", "nobody"], 1, "there is no component `nobody`", "there is `restart-manager`"),
        (&["incidents", "7"], 1, "there is no incident 7", "there was none so far"),
        (&["incidents", "7", "--follow"], 2, "cannot be used with", "Usage:"),
    ] {
        let (found, _, complaint) = ask(&run.directory, arguments);
        assert_eq!(found, Some(code), "{complaint}");
        assert!(complaint.contains(what) && complaint.contains(remedy), "{complaint}");
    }
    let nowhere = run.directory.join("nowhere");
    let (code, _, complaint) = ask(&nowhere, &["ps"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("no image runs in") && complaint.contains("koboshi run"), "{complaint}");
}

#[test]
fn who_follows_is_told_until_the_run_ends() {
    let run = Run::start();
    let follow =
        |what: &str| koboshi(&run.directory, &[what, "--follow", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let (log, incidents) = (follow("log"), follow("incidents"));
    for _ in 0..3 {
        run.ask(&["kill", "sos"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    until(|| (run.json(&["incidents"]).len() == 3).then_some(()));
    // Each is told when it is over, and at the latest after a second.
    std::thread::sleep(Duration::from_millis(1_500));
    run.end_by(None);
    for (child, least) in [(log, 6), (incidents, 4)] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let lines: Vec<Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() >= least, "{lines:?}");
        assert_eq!(lines.last().unwrap()["end"], "stopped");
        let numbers: Vec<u64> = lines.iter().filter_map(|line| line["log"]["number"].as_u64()).collect();
        assert!(numbers.is_sorted_by(|a, b| a + 1 == *b), "none is missing or repeated: {numbers:?}");
    }
}

#[test]
fn who_follows_a_run_that_is_killed_is_told_so() {
    let mut run = Run::start();
    let mut follow = koboshi(&run.directory, &["log", "--follow"]);
    let follow = follow.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    run.child.kill().unwrap();
    let output = follow.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("ended without a last word"), "{complaint}");
}

#[test]
fn who_has_asked_and_says_no_more_still_hears_the_answers() {
    let run = Run::start();
    let mut stream = UnixStream::connect(run.directory.join("control")).unwrap();
    stream.write_all(b"{\"ask\":\"incidents\",\"follow\":true}\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    run.ask(&["kill", "sos"]);
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains("\"component\":\"sos\""), "{line}");
}

#[test]
fn a_second_run_in_the_same_directory_is_refused_and_harms_nothing() {
    let run = Run::start();
    let (code, output, complaint) = ask(&run.directory, &["run", "--for", "1s"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    let id = run.child.id();
    assert!(
        complaint.contains(&format!("(process {id})")) && complaint.contains("koboshi stop --run-dir"),
        "{complaint}"
    );
    run.ask(&["ps"]);
    let (mut program, outside) = (run.end("serial0"), run.end("wire0"));
    program.write_all(b"still").unwrap();
    assert_eq!(read_exactly(&outside, 5), b"still");
    assert_eq!(run.end_by(None).0, Some(0));
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "mine").unwrap();
    let (code, _, complaint) = ask(&file.join("run"), &["run"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("file/run cannot be made") && complaint.contains("--run-dir"), "{complaint}");
    let (code, _, complaint) = ask(Path::new("/proc/koboshi"), &["run"]);
    assert!(code == Some(2) && complaint.contains("/proc/koboshi cannot be made"), "{complaint}");
    let (code, _, complaint) = ask(&parent.path().join("long".repeat(40)), &["run"]);
    assert!(code == Some(2) && complaint.contains("too long for a socket"), "{complaint}");
    // What no run has made is left alone.
    for name in ["serial0", "control"] {
        let directory = parent.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(name), "mine").unwrap();
        let (code, _, complaint) = ask(&directory, &["run"]);
        assert_eq!(code, Some(2));
        assert!(complaint.contains(&format!("{name}/{name} is in the way")), "{complaint}");
        assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), "mine");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing was left beside it");
    }
}

#[test]
fn what_a_killed_run_has_left_is_cleared_away_by_the_next() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("run");
    let (mut child, _output) = begin(&directory);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::symlink_metadata(directory.join("control")).unwrap().file_type().is_socket(), "it could not clean up");
    let (code, _, complaint) = ask(&directory, &["ps"]);
    assert!(code == Some(2) && complaint.contains("was killed") && complaint.contains("koboshi run"), "{complaint}");
    let (mut child, _output) = begin(&directory);
    assert_eq!(ask(&directory, &["ps"]).0, Some(0));
    assert_eq!(ask(&directory, &["stop"]).0, Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "the directory itself was there before");
}

#[test]
fn rubbish_on_the_socket_is_answered_and_disturbs_nobody() {
    let run = Run::start();
    let path = run.directory.join("control");
    let says = |bytes: &[u8], expected: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        // It may have had enough before all is written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.contains(expected) && answer.contains("\"remedy\""), "{answer}");
    };
    says(b"\n", "this is no question");
    says(b"GET / HTTP/1.1\r\n\r\n", "this is no question");
    says(&[0xFF; 100], "this is no question");
    says(b"{\"ask\":\"ps\",\"and\":1}\n", "unknown field `and`");
    says(b"{\"ask\":\"reboot\"}\n", "unknown variant `reboot`");
    says(b"{\"ask\":\"kill\",\"component\":\"driver\",\"how\":\"fire\"}\n", "knocked over by `fire`");
    says(&[b'['; 4_100], "at most 4096 bytes");
    says(b"{\"ask\":\"line\",\"change\":{\"baud\":9600}}\n", "name it: serial0, wire0");
    let silent: Vec<UnixStream> = (0..70).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut refused = String::new();
    BufReader::new(silent.last().unwrap()).read_line(&mut refused).unwrap();
    assert!(refused.contains("too many clients"), "{refused}");
    drop(silent);
    until(|| (ask(&run.directory, &["ps"]).0 == Some(0)).then_some(()));
    let (mut program, outside) = (run.end("serial0"), run.end("wire0"));
    program.write_all(b"calm").unwrap();
    assert_eq!(read_exactly(&outside, 4), b"calm");
}

#[test]
fn ctrl_c_ends_a_run_at_once_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let run = Run::start();
        run.ask(&["kill", "driver"]);
        let (code, over) = run.end_by(Some(signal));
        assert_eq!((code, &over["over"]["why"]), (Some(130), &"stopped by Ctrl-C".into()));
    }
}

#[test]
fn ctrl_c_while_it_starts_leaves_nothing_either() {
    let parent = tempfile::tempdir().unwrap();
    for delay in (0..24).chain([30, 40, 60, 100]) {
        let directory = parent.path().join("run");
        let mut child = koboshi(&directory, &["run"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let status = child.wait().unwrap();
        // Before it listens for signals it has made nothing yet.
        assert!(status.code() == Some(130) || status.signal() == Some(2), "after {delay} ms: {status}");
        assert!(!directory.exists(), "after {delay} ms something was left");
    }
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let parent = tempfile::tempdir().unwrap();
    let (code, output, _) = ask(parent.path(), &["run", "--for", "300ms"]);
    assert_eq!(code, Some(0));
    assert!(
        output.contains("up: restart-manager, sos, driver, monitor") && output.contains("stopped: 0 incidents"),
        "{output}"
    );
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

/// Packs a component with the key in this folder; the package's path.
fn packed(folder: &Path, component: &str) -> String {
    let out = folder.join(format!("{component}.package")).display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_koboshi"));
    command.args(["pack", component, "--platform", "host", "--key", "a.key", "--out", &out]).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

#[test]
fn a_driver_is_swapped_and_swapped_back_while_its_line_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let key = Command::new(env!("CARGO_BIN_EXE_koboshi"))
        .args(["key", "new", "--out", "a.key"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let key = String::from_utf8(key.stdout).unwrap();
    let [polled, woken, echo] =
        ["scif-polled-driver", "scif-driver", "echo"].map(|component| packed(folder.path(), component));
    let run = Run::start_with(folder, &["--trust", key.trim()]);

    let (program, outside) = (run.end("serial0"), run.end("wire0"));
    let sent: Vec<u8> = (0..40_000_u32).map(|at| (at.wrapping_mul(0x9E37_79B1) >> 21) as u8).collect();
    let writers = [&program, &outside].map(|end| {
        let (mut end, sent) = (end.try_clone().unwrap(), sent.clone());
        std::thread::spawn(move || end.write_all(&sent))
    });
    let readers = [&program, &outside].map(|end| {
        let (end, count) = (end.try_clone().unwrap(), sent.len());
        std::thread::spawn(move || read_exactly(&end, count))
    });
    let package = |run: &Run| run.json(&["ps"])[0]["ps"][2]["package"].as_str().unwrap().to_owned();
    assert_eq!(package(&run), "scif-driver");
    for (arguments, runs) in [
        (&["swap", "driver", &polled][..], "scif-polled-driver 0.1.0"),
        (&["swap", "driver", &woken], "scif-driver 0.1.0"),
        (&["swap", "driver", "--back"], "scif-polled-driver 0.1.0"),
        (&["swap", "driver", "--back"], "scif-driver 0.1.0"),
    ] {
        let said = run.ask(arguments);
        assert!(said.contains("swapped: epoch ") && said.contains(" stays (incident "), "{said}");
        assert_eq!(package(&run), runs);
    }
    for (arguments, says) in [
        (&["swap", "driver", &echo][..], "the package is refused"),
        (&["swap", "monitor", &polled], "`monitor` is not swappable in this image"),
        (&["swap", "drivr", &polled], "did you mean `driver`?"),
        (&["swap", "driver", "nothing.package"], "nothing.package cannot be read"),
        (&["swap", "monitor", "--back"], "`monitor` is not swappable in this image"),
    ] {
        let (code, _, complaint) = ask(&run.directory, arguments);
        assert!(code == Some(1) && complaint.contains(says), "{code:?} {complaint}");
    }
    let story = run.ask(&["incidents", "0"]);
    for says in ["ended: swapped", "by the person who runs the image", "a new one took its place, and stays"] {
        assert!(story.contains(says), "{says}: {story}");
    }
    assert_eq!(run.json(&["incidents"]).len(), 4);
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() == sent, "a byte is missing, or wrong"));
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    // With nobody to wait for it happens at once, and is told all the same.
    let back = run.ask(&["swap", "driver", "--back"]);
    assert!(back.contains("(incident 4)\n") && !back.contains("on probation"), "{back}");
    assert_eq!(package(&run), "scif-polled-driver 0.1.0");
}
