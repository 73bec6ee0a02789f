//! The manual tells the truth: what its pages show as typed and printed is typed, and is printed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use snapbox::Assert;
use tempfile::TempDir;

/// A command that a page shows, and what it shows as its output and its exit code.
#[derive(Debug)]
struct Example {
    command: String,
    output: String,
    code: i32,
}

/// The examples of a page: in its blocks ```console, a command after `$ `, then `? CODE` if that is not 0, then its output.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in page.split("\n```console\n").skip(1) {
        let (block, _) = block.split_once("\n```").expect("the block ends");
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                examples.push(Example { command: command.to_owned(), output: String::new(), code: 0 });
                continue;
            }
            let last = examples.last_mut().expect("a block begins with a command");
            match line.strip_prefix("? ") {
                Some(code) => last.code = code.parse().expect("an exit code"),
                None => last.output.extend([line, "\n"]),
            }
        }
    }
    examples
}

/// An image that runs in a directory of its own, and the environment of who looks at it.
struct Session {
    run: Child,
    parent: TempDir,
}

impl Session {
    fn start() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_koboshi"));
        run.args(["run", "--json"]).env("KOBOSHI_RUN_DIR", parent.path().join("run")).stdin(Stdio::null());
        let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
        let mut up = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(run.stdout.as_mut().unwrap()), &mut up).unwrap();
        assert!(up.contains("\"up\""), "{up}");
        Session { run, parent }
    }

    /// Types it: exit code, and all that was printed.
    fn type_in(&self, command: &str) -> (Option<i32>, String) {
        let own = Path::new(env!("CARGO_BIN_EXE_koboshi")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([own.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{{ {command}\n}} 2>&1")).env("PATH", path).stdin(Stdio::null());
        shell.env("KOBOSHI_RUN_DIR", self.parent.path().join("run")).env("SECOND", self.parent.path().join("second"));
        let output = shell.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

fn page(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_commands_do_what_their_page_shows() {
    let session = Session::start();
    let examples = examples(&page("docs/commands.md"));
    assert!(examples.len() >= 10, "an example that is not found is not run");
    for example in examples {
        let (code, output) = session.type_in(&example.command);
        assert_eq!(code, Some(example.code), "{}\n{output}", example.command);
        Assert::new().eq(output, example.output);
    }
}

#[test]
fn an_example_that_lies_is_noticed() {
    let session = Session::start();
    let [lie] = &examples("\n```console\n$ koboshi stop\nthe run goes on\n```\n")[..] else { panic!("one example") };
    let (_, output) = session.type_in(&lie.command);
    assert!(std::panic::catch_unwind(|| Assert::new().eq(output, lie.output.clone())).is_err());
}

#[test]
fn every_command_is_on_the_page_and_every_option_of_those_that_ask() {
    let session = Session::start();
    let page = page("docs/commands.md");
    let (_, help) = session.type_in("koboshi --help");
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let named = commands.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let named: Vec<&str> = named.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(named.contains(&"run"));
    for command in named.iter().filter(|name| **name != "help") {
        assert!(["`", " "].iter().any(|end| page.contains(&format!("`{command}{end}"))), "`{command}` is not there");
    }
    for command in ["run", "ps", "incidents", "log", "kill", "restart", "line", "stop"] {
        let (_, help) = session.type_in(&format!("koboshi {command} --help"));
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in options.map(|word| word.trim_end_matches(|end: char| !end.is_ascii_lowercase())) {
            let shown = page.contains(&format!("--{option}"));
            assert!(shown || ["help", "version"].contains(&option), "--{option} of `{command}` is not there");
        }
    }
}

#[test]
fn the_readme_names_every_suite_that_runs_unasked() {
    let list = Command::new(env!("CARGO_BIN_EXE_koboshi")).args(["test", "--list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let unasked = list.lines().filter(|line| !line.ends_with("[only on request]"));
    let mut suites: Vec<&str> = unasked.filter_map(|line| line.split_whitespace().next()).collect();
    let readme = page("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut rows: Vec<&str> = rows.collect();
    suites.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, suites);
}
