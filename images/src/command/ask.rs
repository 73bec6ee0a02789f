//! `koboshi ps`, `incidents`, `log`, `kill`, `restart`, `swap`, `line` and `stop`: ask a running image, over its socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use koboshi_host::strike::How;

use super::run::Directory;
use super::{FINE, MISUSED, Paint, STOPPED, WRONG, complain, count, listen_for_stop, stop_wanted, table};
use crate::run::directory;
use crate::run::protocol::{Answer, Ask, Change, LineEnd, Parity, Process, Said, Story, Swap, SwapStep, SwapTo};
use crate::units::Quantity;

/// How long an answer may take that is no event.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a wait looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// What all of them have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    directory: Directory,
    /// Print JSON, one value a line
    #[arg(long)]
    json: bool,
}

/// Arguments of `koboshi ps` and `koboshi stop`.
#[derive(Debug, clap::Args)]
pub struct Plain {
    #[command(flatten)]
    common: Common,
}

/// Arguments of `koboshi incidents`.
#[derive(Debug, clap::Args)]
pub struct Incidents {
    /// Tell the story of this one [default: list them all]
    number: Option<u32>,
    /// Go on with those to come
    #[arg(long, conflicts_with = "number")]
    follow: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `koboshi log`.
#[derive(Debug, clap::Args)]
pub struct Log {
    /// Go on with what is still to come
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `koboshi kill`.
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Who falls
    component: String,
    /// How
    #[arg(long, default_value = How::Panic.word(), value_name = "HOW",
          value_parser = PossibleValuesParser::new(How::ALL.map(How::word)))]
    how: String,
    /// Again and again, this often, until Ctrl-C
    #[arg(long, value_parser = super::time, value_name = "TIME")]
    every: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `koboshi restart`.
#[derive(Debug, clap::Args)]
pub struct Restart {
    /// Who is ended and started again, or started if it was stopped or given up
    component: String,
    #[command(flatten)]
    common: Common,
}

pub(super) const SWAP_USAGE: &str = "koboshi swap [OPTIONS] <COMPONENT> <PACKAGE>
       koboshi swap [OPTIONS] <COMPONENT> --back";

pub(super) const AFTER_SWAP: &str = "Examples:
  koboshi swap driver target/koboshi/packages/scif-driver-0.1.0-host.package
  koboshi swap driver --back

It follows the new version until that has proved itself: it stays after some answers, or some
time, as the image says. If it does something wrong before, the version before has its place
again by itself, and this says why. Ctrl-C ends the following, not the swap.

Exit codes:
  0    it stays
  1    it was refused, or went back
  2    the command was not used as it can be
  130  stopped by Ctrl-C";

/// Arguments of `koboshi swap`.
#[derive(Debug, clap::Args)]
pub struct SwapArguments {
    /// Whose place is taken
    component: String,
    /// The package that takes it, from `koboshi pack`
    #[arg(required_unless_present = "back")]
    package: Option<PathBuf>,
    /// Put the version before in its place again; said twice, all is as before
    #[arg(long, conflicts_with = "package")]
    back: bool,
    /// Also if there is no way back from what it keeps, once it has answered
    #[arg(long, requires = "package")]
    one_way: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `koboshi line`.
#[derive(Debug, clap::Args)]
pub struct Line {
    /// Which end, such as serial0 or wire0 [default: show them all]
    end: Option<String>,
    /// Set its speed, in bits per second
    #[arg(long, value_name = "N", requires = "end")]
    baud: Option<u32>,
    /// Set its parity; a program cannot, for a pseudo-terminal has none
    #[arg(long, value_enum, requires = "end")]
    parity: Option<Parity>,
    /// Set how many data bits a byte has: 7 or 8; a program cannot
    #[arg(long, value_name = "N", requires = "end")]
    data_bits: Option<u8>,
    /// Set how many stop bits a byte has: 1 or 2
    #[arg(long, value_name = "N", requires = "end")]
    stop_bits: Option<u8>,
    /// Set RTS/CTS flow control
    #[arg(long, value_name = "BOOL", requires = "end")]
    flow: Option<bool>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn ps(arguments: &Plain) -> i32 {
    ask(&arguments.common, &Ask::Ps {})
}

pub(super) fn stop(arguments: &Plain) -> i32 {
    ask(&arguments.common, &Ask::Stop {})
}

pub(super) fn incidents(arguments: &Incidents) -> i32 {
    ask(&arguments.common, &Ask::Incidents { number: arguments.number, follow: arguments.follow })
}

pub(super) fn log(arguments: &Log) -> i32 {
    ask(&arguments.common, &Ask::Log { follow: arguments.follow })
}

pub(super) fn restart(arguments: &Restart) -> i32 {
    ask(&arguments.common, &Ask::Restart { component: arguments.component.clone() })
}

pub(super) fn swap(arguments: &SwapArguments) -> i32 {
    let SwapArguments { component, package, one_way, common, .. } = arguments;
    // The run may have been started elsewhere.
    let package = package.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    listen_for_stop();
    let code = ask(common, &Ask::Swap { component: component.clone(), package, one_way: *one_way });
    if code == STOPPED {
        eprintln!("the swap goes on: `koboshi ps` shows what runs, `koboshi swap {component} --back` undoes it");
    }
    code
}

pub(super) fn line(arguments: &Line) -> i32 {
    let Line { end, baud, parity, data_bits, stop_bits, flow, common } = arguments;
    let change = Change { baud: *baud, parity: *parity, data_bits: *data_bits, stop_bits: *stop_bits, flow: *flow };
    ask(common, &Ask::Line { end: end.clone(), change })
}

pub(super) fn kill(arguments: &Kill) -> i32 {
    let what = Ask::Kill { component: arguments.component.clone(), how: arguments.how.clone() };
    let Some(every) = arguments.every else { return ask(&arguments.common, &what) };
    listen_for_stop();
    let (every, mut next) = (Duration::from_nanos(every), Instant::now());
    let mut knocks = 0_u64;
    while !stop_wanted() {
        let mut down = false;
        match exchange(&arguments.common, &what, &mut |answer| match answer {
            Answer::Error { later: true, .. } => {
                down = true;
                Ok(())
            }
            Answer::Error { .. } => Err(show(&arguments.common, answer, &mut Shown::default()).err().unwrap_or(WRONG)),
            _ => Ok(()),
        }) {
            Ok(()) => knocks += u64::from(!down),
            // The run is over: so is this.
            Err(code) => return if knocks > 0 { say_knocks(&arguments.common, knocks, code) } else { code },
        }
        next += every;
        while !stop_wanted() && Instant::now() < next {
            std::thread::sleep((next - Instant::now()).min(LOOK));
        }
    }
    say_knocks(&arguments.common, knocks, STOPPED)
}

fn say_knocks(common: &Common, knocks: u64, code: i32) -> i32 {
    if common.json {
        say!("{}", serde_json::json!({ "knocks": knocks }));
    } else {
        say!("{} knocks", count(knocks));
    }
    code
}

/// Asks, and shows the answers.
fn ask(common: &Common, what: &Ask) -> i32 {
    if follows(what) {
        listen_for_stop();
    }
    let told_whole = matches!(what, Ask::Incidents { number: Some(_), .. });
    let mut shown = Shown { lines: 0, told_whole };
    match exchange(common, what, &mut |answer| show(common, answer, &mut shown)) {
        Ok(()) => {
            if matches!(what, Ask::Incidents { .. }) && shown.lines == 0 && !common.json {
                say!("there was no incident so far");
            }
            FINE
        }
        Err(code) => code,
    }
}

/// Whether its answers go on until the run ends.
const fn follows(what: &Ask) -> bool {
    matches!(what, Ask::Log { follow: true } | Ask::Incidents { follow: true, number: None })
}

/// Asks one question and hands over each answer, until there are no more; the error is an exit code, and all was said.
fn exchange(common: &Common, what: &Ask, take: &mut dyn FnMut(Answer) -> Result<(), i32>) -> Result<(), i32> {
    let directory = common.directory.path();
    let path = directory::socket(&directory);
    let shown = directory.display();
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        let (what, remedy) = match error.kind() {
            ErrorKind::NotFound if directory::is_held(&directory) => {
                complain(
                    &format!("the run in {shown} is not up yet: its image is being built, or starts."),
                    "say it again when it says that it is up; Ctrl-C there ends it.",
                );
                return WRONG;
            }
            ErrorKind::NotFound => (
                format!("no image runs in {shown}."),
                "start one with `koboshi run`, or name its directory with --run-dir.".to_owned(),
            ),
            ErrorKind::ConnectionRefused => (
                format!("the run in {shown} was killed, and left its socket."),
                "`koboshi run` clears it away and starts anew.".to_owned(),
            ),
            _ => (format!("the run in {shown} cannot be asked: {error}."), "is it yours?".to_owned()),
        };
        complain(&what, &remedy);
        MISUSED
    })?;
    let failed = |error: std::io::Error| {
        complain(&format!("the run in {shown} does not answer: {error}."), "look at what it prints.");
        WRONG
    };
    let mut line = serde_json::to_vec(what).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    stream.set_read_timeout(Some(LOOK)).map_err(failed)?;
    let follows = follows(what);
    let is_swap = matches!(what, Ask::Swap { .. });
    let is_list = matches!(what, Ask::Log { .. } | Ask::Incidents { number: None, .. });
    let mut whole = is_list && !follows;
    let mut reader = BufReader::new(stream);
    let (mut line, mut heard_at) = (Vec::new(), Instant::now());
    loop {
        if stop_wanted() {
            return Err(STOPPED);
        }
        match reader.read_until(b'\n', &mut line) {
            Ok(0) if line.is_empty() && whole => return Ok(()),
            Ok(0) if line.is_empty() => {
                complain(&format!("the run in {shown} ended without a last word."), "look at what it printed.");
                return Err(WRONG);
            }
            Ok(_) if line.ends_with(b"\n") => {
                let answer = serde_json::from_slice(&line).map_err(|error| {
                    complain(
                        &format!("the run in {shown} answers in another version's words: {error}."),
                        "use its own `koboshi`.",
                    );
                    WRONG
                })?;
                line.clear();
                heard_at = Instant::now();
                // A list may be empty, who follows is told of the end, and everything else has an answer.
                whole |= match answer {
                    Answer::Swap(_) => false,
                    Answer::End(_) => true,
                    _ => !follows,
                };
                take(answer)?;
            }
            Ok(_) => return Err(failed(ErrorKind::UnexpectedEof.into())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if !follows && !is_swap && heard_at.elapsed() > PATIENCE {
                    return Err(failed(ErrorKind::TimedOut.into()));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// What was shown so far.
#[derive(Default)]
struct Shown {
    lines: u64,
    /// One incident was asked for: its whole story.
    told_whole: bool,
}

/// Shows one answer; the error is an exit code.
fn show(common: &Common, answer: Answer, shown: &mut Shown) -> Result<(), i32> {
    shown.lines += 1;
    if let Answer::Error { what, remedy, .. } = &answer {
        complain(&format!("{what}."), remedy);
        return Err(WRONG);
    }
    let text = if common.json {
        serde_json::to_string(&answer).map(|line| line + "\n").unwrap_or_default()
    } else {
        in_words(answer, shown)
    };
    // Whoever reads has had enough, as in `koboshi log | head`.
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| FINE)
}

/// An answer as a person reads it.
fn in_words(answer: Answer, shown: &mut Shown) -> String {
    match answer {
        Answer::Ps(processes) => ps_table(&processes),
        Answer::Incident(story) if shown.told_whole => story_in_words(&story),
        Answer::Incident(story) => incident_line(&story),
        Answer::Log(Said { at_ns, text, .. }) => format!("{}  {text}\n", moment(at_ns)),
        Answer::Lines(ends) => ends.iter().map(line_in_words).collect(),
        Answer::Swap(step) => swap_in_words(&step),
        Answer::Done(what) => format!("{what}\n"),
        Answer::End(why) => format!("the run is over: {why}\n"),
        Answer::Error { what, remedy, .. } => format!("{what}\n  {remedy}\n"),
    }
}

/// A moment of platform time, in seconds.
fn moment(at_ns: u64) -> String {
    format!("{:>6}.{:06} s", at_ns / 1_000_000_000, at_ns / 1_000 % 1_000_000)
}

fn time(ns: u64) -> String {
    Quantity::Time.write(ns)
}

fn ps_table(processes: &[Process]) -> String {
    let heading =
        ["name", "package", "state", "epoch", "VCPU", "restarts", "last fault", "oldest request", "in", "out"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let none = || "-".to_owned();
    for process in processes {
        let oldest = process.oldest_request.as_ref().map_or_else(none, |oldest| {
            let due = match oldest.due_in_ns {
                Some(due @ 0..) => format!(", due in {}", time(due.unsigned_abs())),
                Some(due) => format!(", late by {}", time(due.unsigned_abs())),
                None => String::new(),
            };
            let more = if oldest.waiting > 1 { format!(" (1 of {})", oldest.waiting) } else { String::new() };
            format!("{} of {}{due}{more}", oldest.operation, oldest.client)
        });
        rows.push(vec![
            process.name.clone(),
            process.package.clone(),
            process.state.clone(),
            process.epoch.to_string(),
            process.vcpu.to_string(),
            count(process.restarts.into()),
            process.last_fault.clone().unwrap_or_else(none),
            oldest,
            process.bytes_in.map_or_else(none, count),
            process.bytes_out.map_or_else(none, count),
        ]);
    }
    table(&rows)
}

/// How an incident went on, in a few words.
fn outcome(story: &Story) -> String {
    let after = |at: u64| time(at.saturating_sub(story.failed_at_ns));
    let late = match story.recover_within_ns {
        Some(bound) if story.missed => format!("; {} were allowed", time(bound)),
        _ => String::new(),
    };
    match (story.up_at_ns, story.answered_at_ns) {
        (Some(up), Some(answered)) => format!("up after {}, answered after {}{late}", after(up), after(answered)),
        (Some(up), None) => format!("up after {}{late}", after(up)),
        (None, _) => match &story.cut_short {
            Some(why) => format!("{why}{late}"),
            None => format!("down{late}"),
        },
    }
}

fn incident_line(story: &Story) -> String {
    let (number, at, component) = (story.number, moment(story.failed_at_ns), &story.component);
    let fault = &story.fault;
    format!("{number:>6}  {at}  {component:16} {fault:14} {}\n", outcome(story))
}

/// Which version took the place, and what became of it.
fn swap_story(number: u32, swap: &Swap) -> String {
    match (swap.to, swap.undone_by, swap.stays_since_ns) {
        (SwapTo::Before, ..) => "the one before took its place, as somebody wanted".to_owned(),
        (SwapTo::BeforeAgain, ..) => "the one before took its place again, by itself".to_owned(),
        (SwapTo::New, ..) if swap.put_back_at_ns.is_some() => {
            "a new one took its place, and the one before was put back: a stop, or the image began anew".to_owned()
        }
        (SwapTo::New, Some(by), _) => format!("a new one took its place; incident {by} has undone that"),
        (SwapTo::New, None, Some(_)) => "a new one took its place, and stays".to_owned(),
        (SwapTo::New, None, None) => {
            format!("a new one took its place, and is on probation (look again: `koboshi incidents {number}`)")
        }
    }
}

/// The whole story of one incident.
fn story_in_words(story: &Story) -> String {
    let paint = Paint::stdout();
    let mut text = format!(
        "{} {}: {} of epoch {} ended: {}\n",
        paint.strong("Incident"),
        story.number,
        story.component,
        story.epoch_ended,
        story.fault
    );
    let mut row = |name: &str, what: String| text.push_str(&format!("  {name:14} {what}\n"));
    row("noticed", story.noticed.clone());
    if let Some(place) = &story.place {
        row("where", place.clone());
    }
    if let Some(registers) = &story.registers {
        for (at, four) in registers.chunks(4).enumerate() {
            let words: Vec<String> = four.iter().map(|word| format!("{word:08x}")).collect();
            row(&format!("r{} to r{}", 4 * at, 4 * at + 3), words.join(" "));
        }
    }
    let in_hand = story.in_hand.as_ref().map(|one| {
        let progress = if one.progress > 0 { format!(" at {}", one.progress) } else { String::new() };
        format!("{} of {} (request {}){progress}: {}", one.operation, one.client, one.position, one.then)
    });
    row("in hand", in_hand.unwrap_or_else(|| "nothing".to_owned()));
    let of = |count: u32, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let requests = [
        of(story.offered_again, "offered again"),
        of(story.interrupted, "ended as interrupted"),
        of(story.poisoned, "ended as poisoned"),
    ];
    let requests: Vec<String> = requests.into_iter().flatten().collect();
    row("requests", if requests.is_empty() { "none was touched".to_owned() } else { requests.join(", ") });
    let kept = match story.kept_state_whole {
        None if story.kept_state_unknown => "not known",
        None => "none: it had kept nothing",
        Some(true) => "whole",
        Some(false) => "spoilt: the next one begins without it",
    };
    row("kept state", kept.to_owned());
    if let Some(swap) = &story.swap {
        row("another version", swap_story(story.number, swap));
    }
    row("told", if story.told.is_empty() { "nobody".to_owned() } else { story.told.join(", ") });
    let within = story.recover_within_ns.map_or_else(|| "no bound".to_owned(), time);
    row("recover within", if story.missed { paint.bad(&format!("{within}: missed")) } else { within });
    text.push_str("  timeline\n");
    let begun = story.epoch_begun.map_or_else(String::new, |epoch| format!(", epoch {epoch}"));
    let asked = story.swap.as_ref().map(|swap| swap.asked_at_ns).filter(|asked| *asked < story.failed_at_ns);
    let stays = story.swap.as_ref().filter(|swap| swap.to == SwapTo::New).and_then(|swap| swap.stays_since_ns);
    let again = (story.down_since_ns < story.failed_at_ns).then_some(story.down_since_ns);
    let noticed = match (&story.swap, story.fault.as_str()) {
        (Some(_), "swapped") => "it gave its place away".to_owned(),
        _ => format!("the fault was noticed: {}", story.fault),
    };
    let events = [
        (again, "it died before, and was not up since".to_owned()),
        (asked, "the swap was asked for: it took nothing new from here on".to_owned()),
        (Some(story.failed_at_ns), noticed),
        (story.in_backoff_from_ns, "it waits before the next start (backoff)".to_owned()),
        (story.started_at_ns, format!("started again{begun}")),
        (story.up_at_ns, "up: it has come to its first wait".to_owned()),
        (story.answered_at_ns, "its first answer or item".to_owned()),
        (stays, "its probation is over: the new version stays".to_owned()),
        (story.cut_short_at_ns, story.cut_short.clone().unwrap_or_default()),
    ];
    for (at, what) in events {
        if let Some(at) = at {
            let since = |later: u64| format!("+{}", time(later));
            let apart = at.checked_sub(story.failed_at_ns).map_or_else(String::new, since);
            text.push_str(&format!("    {}  {apart:<12}  {what}\n", moment(at)));
        }
    }
    text
}

fn swap_in_words(step: &SwapStep) -> String {
    match step {
        SwapStep::Sent { bytes, of } => format!("sent: {} of {} bytes\n", count(*bytes as u64), count(*of as u64)),
        SwapStep::LetIn { package } => format!("let in: {package} is signed, and fits\n"),
        SwapStep::Quiescing => "quiescing: the version that runs answers what it has in hand\n".to_owned(),
        SwapStep::Runs { epoch, pause_ns, incident, on_probation } => {
            let quiet = || ", and has answered nothing yet".to_owned();
            let pause = pause_ns.map_or_else(quiet, |pause| format!(", answered after {}", time(pause)));
            format!(
                "swapped: epoch {epoch} runs{pause} (incident {incident}){}\n",
                if *on_probation { "; on probation" } else { "" }
            )
        }
    }
}

fn line_in_words(end: &LineEnd) -> String {
    let parity = match end.parity {
        Parity::None => "no parity",
        Parity::Even => "even parity",
        Parity::Odd => "odd parity",
    };
    let flow = if end.flow { "RTS/CTS" } else { "no flow control" };
    let stop = if end.stop_bits == 1 { "1 stop bit" } else { "2 stop bits" };
    format!(
        "{} ({}): {} baud, {} data bits, {parity}, {stop}, {flow}; {} bytes in, {} bytes out\n",
        end.end,
        end.terminal,
        end.baud,
        end.data_bits,
        count(end.bytes_in),
        count(end.bytes_out)
    )
}
