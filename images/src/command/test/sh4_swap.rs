//! The suite `sh4-swap`: packages take the driver's place on the emulated board, over the link, while its line is used.
//!
//! The rule: bytes are numbered and checked at both ends, and everything here is the real thing: `images/r2d.toml` as it is but for
//! who may sign and how long probation is, packages as `koboshi pack` makes them, the loader on the board that judges them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use koboshi_board::emulator::How as Emulation;
use koboshi_board::pack::{Platform, Wanted};
use koboshi_board::running::Running;
use koboshi_board::{Board, Delivered, Source, Spelt};
use koboshi_console::message::{Ask, Health, Told};
use koboshi_core::incident::{Incident, Successor, Verdict};
use koboshi_core::life::{Fault, State};
use koboshi_host_tests::suite::{Context, Report, Suite};
use koboshi_interface_kit::Key;
use koboshi_interfaces::ComponentId;
use koboshi_package::{Digest, Header, SecretKey, Version, seal, write};
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Qemu, Rust, Trouble};

use crate::command::build::{How, koboshi, make, source};
use crate::command::on_board::{INSTRUCTION, lines};
use crate::command::run::trust;
use crate::compose::{Composed, compose_changed};
use crate::gate::Gate;
use crate::manifest::ImageManifest;
use crate::registry::packages;

/// The suite.
pub(super) const SUITE: Suite = Suite {
    name: "sh4-swap",
    about: "packages for the driver over the emulated SH-4 board's link, while its line is used: swapped, refused, undone",
    on_request: false,
    run,
};

/// Packages that are brought, and how often it is gone back and forth behind each, in full and in a quick run.
const BROUGHT: [(u32, u32); 2] = [(20, 49), (3, 3)];

/// Every so manieth byte of a package is flipped, in full and in a quick run: each time it takes a second over the link.
const FLIPPED: [usize; 2] = [29, 367];

/// With less than so many bytes each way for each swap nothing could be said of them.
const LEAST_BYTES: u32 = 10;

/// A byte of ten bits at 115,200 baud.
const BYTE_TIME: Duration = Duration::from_nanos(86_806);

/// Bytes that a program may have sent without one of them having come out.
const MOST_UNDER_WAY: u32 = 256;

/// Something that is waited for on the board comes within this time, however busy this machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// The driver hears what is sent to it so long after its start.
const SETTLES: Duration = Duration::from_millis(300);

/// So long nobody carries bytes, and the lines fall silent.
const STOPPED: Duration = Duration::from_secs(12);

/// So many bytes each way have to come then.
const AGAIN: u32 = 1_000;

/// Who may sign, and somebody else.
const SIGNER: [u8; 32] = [7; 32];
const STRANGER: [u8; 32] = [8; 32];

/// The byte at this place of a direction. Neighbours differ, and it takes 64,000 bytes until they come again.
const fn byte(at: u32, back: bool) -> u8 {
    (at ^ at >> 8).wrapping_mul(29).wrapping_add(if back { 101 } else { 0 }) as u8
}

/// One direction of the line.
#[derive(Debug, Default)]
struct Way {
    back: bool,
    sent: u32,
    come: u32,
    wrong: u32,
    /// The place of the first wrong one.
    wrong_from: Option<u32>,
}

impl Way {
    /// The next bytes that are due.
    fn due(&self, since: Instant) -> Vec<u8> {
        let due = (since.elapsed().as_nanos() / BYTE_TIME.as_nanos()) as u32;
        (self.sent..due.min(self.come + MOST_UNDER_WAY)).take(64).map(|at| byte(at, self.back)).collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        for found in bytes {
            if *found != byte(self.come, self.back) {
                self.wrong += 1;
                self.wrong_from.get_or_insert(self.come);
            }
            self.come += 1;
        }
    }
}

/// The board with its line in use.
struct Bench {
    running: Running<u32>,
    driver: u8,
    others: Vec<(&'static str, u8)>,
    /// Since when the line is used.
    since: Option<Instant>,
    out: Way,
    back: Way,
    told: Vec<String>,
    /// As the Monitor numbers them, and behind how many bytes.
    announced: Vec<(u64, u32)>,
    /// The number of the next question, and the last answer with its number.
    asked: u32,
    answer: Option<(u32, Option<Told>)>,
}

impl Bench {
    fn start(composed: &Composed) -> Result<Self, Trouble> {
        let how = How { out: None, optimise: Optimise::Size, knocks: false };
        let made = make(&manifest_path(), how, composed, Board::R2D)?;
        let wrong = || Trouble::new("images/r2d.toml has no line to this machine", "give it a console again.");
        let emulation = Emulation { counted: Some(INSTRUCTION), idles: true, ..Emulation::default() };
        let lines = lines(composed).ok_or_else(wrong)?;
        let running = Running::start(Qemu::find()?.path(), &made.file, lines, emulation)?;
        let number = |name: &str| composed.image.components.iter().position(|component| component.name == name);
        let of = |name| number(name).map(|at| at as u8).ok_or_else(wrong);
        let mut bench = Bench {
            running,
            driver: of("driver")?,
            others: vec![("loader", of("loader")?), ("console", of("console")?), ("uart", of("uart")?)],
            since: None,
            out: Way::default(),
            back: Way { back: true, ..Way::default() },
            told: Vec::new(),
            announced: Vec::new(),
            asked: 0,
            answer: None,
        };
        while bench.health(bench.driver)?.state != State::Running {}
        let settled = Instant::now() + SETTLES;
        while Instant::now() < settled {
            bench.turn()?;
        }
        bench.since = Some(Instant::now());
        Ok(bench)
    }

    /// Carries what can be carried, and what is due both ways once the line is used.
    fn turn(&mut self) -> Result<(), Trouble> {
        let moved = self.running.turn().map_err(|ended| {
            let last = self.told.last().cloned().unwrap_or_default();
            Trouble::new(format!("the emulator has ended: {}; {last}", ended.complaints.join("; ")), "look at its log.")
        })?;
        while let Some(line) = self.running.said() {
            self.told.push(line);
        }
        if let Some(since) = self.since {
            let due = self.out.due(since);
            self.out.sent += self.running.offer(&due) as u32;
            if self.running.waiting_outside() < 64 {
                let due = self.back.due(since);
                self.running.send_outside(&due);
                self.back.sent += due.len() as u32;
            }
        }
        let (outside, program) = (self.running.take_received_outside(), self.running.take_received());
        self.out.take(&outside);
        self.back.take(&program);
        self.announced.extend(self.running.take_announced());
        while let Some(answer) = self.running.answer() {
            self.answer = Some(answer);
        }
        if !moved {
            self.running.wait(BYTE_TIME * 8);
        }
        Ok(())
    }

    /// Goes on until there is something.
    fn until<R>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<R>) -> Result<R, Trouble> {
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            self.turn()?;
            if let Some(found) = found(self) {
                return Ok(found);
            }
        }
        let last = self.last_words();
        Err(Trouble::new(
            format!("the suite has waited in vain for {what}; the board's last words:\n{last}"),
            "look at them.",
        ))
    }

    fn ask(&mut self, what: &str, ask: Ask) -> Result<Told, Trouble> {
        self.asked += 1;
        self.answer = None;
        self.running.ask(self.asked, ask);
        self.until(what, |bench| match bench.answer.take() {
            Some((number, Some(told))) if number == bench.asked => Some(told),
            // Whatever it was: the console that was asked is gone.
            Some((number, None)) if number == bench.asked => Some(Told::Denied),
            _ => None,
        })
    }

    fn health(&mut self, of: u8) -> Result<Health, Trouble> {
        loop {
            if let Told::Health(health) = self.ask("a component's health", Ask::Health(of))? {
                return Ok(health);
            }
        }
    }

    fn epoch(&mut self) -> Result<u32, Trouble> {
        Ok(self.health(self.driver)?.epoch)
    }

    fn incident(&mut self, number: u32) -> Result<Option<Incident>, Trouble> {
        loop {
            if let Told::Incident(_, incident) = self.ask("an incident", Ask::Incident(number))? {
                return Ok(incident);
            }
        }
    }

    /// The incidents from this number on.
    fn since(&mut self, from: u32) -> Result<Vec<Incident>, Trouble> {
        let mut found: Vec<Incident> = Vec::new();
        while let Some(incident) = self.incident(found.last().map_or(from, |last| last.number + 1))? {
            found.push(incident);
        }
        Ok(found)
    }

    /// How many incidents there were.
    fn incidents(&mut self) -> Result<u32, Trouble> {
        Ok(self.since(0)?.last().map_or(0, |last| last.number + 1))
    }

    /// In words, the incidents from this number on.
    fn told_since(&mut self, from: u32) -> Result<String, Trouble> {
        let mut text = String::new();
        for one in self.since(from)? {
            let _ = write!(
                text,
                "; incident {}: component {} {}, {:?}, at {} ns",
                one.number, one.component.0, one.fault, one.noticed, one.failed_at
            );
        }
        Ok(text)
    }

    /// Brings a package, and gives its end. After so many bytes somebody is ended, if that is wanted.
    fn bring(&mut self, package: &[u8], mut ends: Option<(u8, usize)>) -> Result<Delivered, Trouble> {
        self.running.bring(ComponentId(self.driver), package.to_vec());
        let mut there = 0;
        loop {
            let next = self.until("a package to go on", |bench| {
                bench.running.brought().filter(|next| !matches!(next, Delivered::Part(bytes, _) if *bytes <= there))
            })?;
            let Delivered::Part(bytes, _) = next else { return Ok(next) };
            there = bytes;
            if let Some((whom, _)) = ends.filter(|(_, at)| there >= *at) {
                ends = None;
                self.running.ask(u32::MAX, Ask::End(whom));
            }
        }
    }

    /// Brings a package that the gate has to refuse: its word and its words, or what was not as on the host.
    fn refused(&mut self, package: &[u8], gate: &Gate) -> Result<Result<(String, String), String>, Trouble> {
        let parts = gate.parts();
        let here = gate.let_in(package, &parts, gate.kept());
        let here = here.err().map(|refused| (refused.code().to_owned(), refused.to_string()));
        Ok(match (self.bring(package, None)?, here) {
            (Delivered::Refused(word, text), Some(here)) if (&word, &text) == (&here.0, &here.1) => Ok(here),
            (found, here) => Err(format!("{found:?}, and on the host {here:?}")),
        })
    }

    /// Waits for the first incident from this number on by which another version has followed, until its end is known.
    fn followed(&mut self, from: u32) -> Result<Incident, Trouble> {
        let late = Instant::now() + PATIENCE;
        let mut number = from;
        while Instant::now() < late {
            let Some(incident) = self.incident(number)? else { continue };
            match incident.swap.filter(|_| incident.component.0 == self.driver).map(|swap| swap.verdict) {
                Some(Verdict::Stays(_)) if incident.answered_at.is_none() => {}
                Some(Verdict::Stays(_) | Verdict::Undone(_) | Verdict::PutBack(_)) => return Ok(incident),
                Some(Verdict::Open) => {}
                None => number = incident.number + 1,
            }
        }
        let what = format!("nothing followed from incident {from} on{}; {}", self.told_since(0)?, self.last_words());
        Err(Trouble::new(what, "look at them."))
    }

    /// Whether nobody can tell from the bytes that anything happened. Lets what is under way arrive first.
    fn is_exact(&mut self) -> Result<bool, Trouble> {
        let (out, back) = (self.out.sent, self.back.sent);
        self.until("bytes that are under way", |bench| {
            (bench.out.come >= out && bench.back.come >= back).then_some(())
        })?;
        let wrong = self.out.wrong + self.back.wrong + self.announced.len() as u32;
        Ok(wrong == 0 && self.running.lost_outside() == 0)
    }

    /// Whether all is exact, the driver's incarnation this one still, and no incident has this number or a later one; in words.
    fn unnoticed(&mut self, epoch: u32, from: u32) -> Result<(bool, String), Trouble> {
        let (exact, now, others) = (self.is_exact()?, self.epoch()?, self.told_since(from)?);
        let text = format!("epoch {epoch}, then {now}; {}{others}", self.bytes());
        Ok((exact && now == epoch && others.is_empty(), text))
    }

    /// What the board's kernel has said last.
    fn last_words(&self) -> String {
        self.told.iter().rev().take(24).rev().cloned().collect::<Vec<_>>().join("; ")
    }

    fn bytes(&self) -> String {
        let mut text = format!(
            "{} bytes out, {} back, {} wrong, {} announcements, {} lost",
            self.out.come,
            self.back.come,
            self.out.wrong + self.back.wrong,
            self.announced.len(),
            self.running.lost_outside()
        );
        for (way, name) in [(&self.out, "out"), (&self.back, "back")] {
            if let Some(at) = way.wrong_from {
                let _ = write!(text, "; {name} wrong from byte {at} on");
            }
        }
        if !self.announced.is_empty() {
            let _ = write!(text, "; announced, each behind so many bytes: {:?}", self.announced);
        }
        text
    }
}

fn manifest_path() -> PathBuf {
    koboshi().join("target/koboshi/board/sh4-swap.toml")
}

/// `images/r2d.toml`, with a key of the suite's own, and a short probation.
fn image() -> Result<Composed, Trouble> {
    let path = koboshi().join("images/r2d.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Trouble::new(format!("{} cannot be read: {error}", path.display()), "is the checkout whole?")
    })?;
    let room = "swappable = { room = \"64 KiB\",";
    let short = format!("{room} lowest-version = \"0.1.0\", answers = 5, probation = \"3 s\",");
    let key = SecretKey::of_seed(&SIGNER).public();
    let change = |image: &mut ImageManifest| trust(image, &[key]);
    compose_changed("sh4-swap.toml", &text.replace(room, &short), &packages(), &change)
        .map_err(|problems| Trouble::new(problems.render(false, 100), "mend images/r2d.toml."))
}

/// Code for the driver's place.
struct Built {
    code: Vec<u8>,
    room: u32,
}

/// Builds it as `koboshi pack` does.
fn built(rust: &Rust, name: &str, source: &Source) -> Result<Built, Trouble> {
    let description = &koboshi_scif_driver::DESCRIPTION;
    let (board, version) = (Board::R2D, Version { major: 0, minor: 1, patch: 1 });
    let wanted = Wanted { description, source, platform: Platform::Board(&board), version };
    let folder = koboshi().join("target/koboshi/pack/sh4-swap").join(name);
    let packed = koboshi_board::pack(rust, &wanted, &SecretKey::of_seed(&SIGNER), &koboshi(), &folder, &mut |_| {})?;
    let package = koboshi_package::Package::open(&packed).ok();
    let parts = package.and_then(|package| Some((package.code.to_vec(), package.header().ok()?.room)));
    let (code, room) =
        parts.ok_or_else(|| Trouble::new("a package that was made cannot be read", "please report it."))?;
    Ok(Built { code, room })
}

/// What the packages of a driver say of themselves; `change` makes it wrong.
fn package(
    spelt: &Spelt,
    (name, built): (&str, &Built),
    key: &[u8; 32],
    change: impl FnOnce(&mut Header<'_>),
) -> Vec<u8> {
    let ports = spelt.ports();
    let mut header = Header {
        name,
        version: Version { major: 0, minor: 1, patch: 1 },
        platform: "r2d",
        ports: ports.into_iter().collect(),
        kept: spelt.kept(),
        migrations: heapless::Vec::new(),
        room: built.room,
        digest: Digest([0; 32]),
    };
    change(&mut header);
    write(&header, &built.code, &SecretKey::of_seed(key)).unwrap_or_default()
}

/// Packages that the gate has to refuse, each with its word.
fn wrong_packages(spelt: &Spelt, built: &Built) -> Vec<(&'static str, Vec<u8>)> {
    let good = ("scif-driver", built);
    let right = package(spelt, good, &SIGNER, |_| {});
    let made = |change: fn(&mut Header<'_>)| package(spelt, good, &SIGNER, change);
    let cut = right.len();
    let mut unsigned = right.clone();
    unsigned[cut - 64..].fill(0);
    let mut flipped = right.clone();
    flipped[cut / 2] ^= 0x10;
    let mut header =
        postcard::to_allocvec(&koboshi_package::Package::open(&right).map(|open| open.header().ok()).ok().flatten())
            .unwrap_or_default();
    // Behind the mark of an `Option`; the code is another one.
    header.remove(0);
    let mut other = built.code.clone();
    other[100] ^= 1;
    let other = seal(&header, &other, &SecretKey::of_seed(&SIGNER)).unwrap_or_default();
    vec![
        ("not-a-package", b"no package, but long enough to be one, if only it began like one".repeat(4)),
        ("truncated", right[..cut - 100].to_vec()),
        ("longer", [right.as_slice(), &[0]].concat()),
        ("unsigned", unsigned),
        ("signer", package(spelt, good, &STRANGER, |_| {})),
        ("signature", flipped),
        ("digest", other),
        ("platform", made(|header| header.platform = "sh2007")),
        ("name", made(|header| header.name = "sos")),
        ("older", made(|header| header.version = Version { major: 0, minor: 0, patch: 9 })),
        ("port-missing", made(|header| header.ports.truncate(1))),
        ("port-schema", made(|header| header.ports[0].schema = "kind: stream\n")),
        ("port-key", made(|header| header.ports[0].key = Key(header.ports[0].key.0 ^ 1))),
        ("kept-missing", made(|header| header.kept = None)),
        ("room", made(|header| header.room = 1 << 20)),
    ]
}

/// Versions that do something wrong on probation, and what they are undone for.
const WRONG: [(&str, &str, Fault); 5] = [
    ("fails-at-once", "koboshi_hostile::wrong::fails_at_once", Fault::Panic),
    ("hangs", "koboshi_hostile::wrong::hangs", Fault::Stuck),
    ("fails-after-answers", "koboshi_hostile::wrong::fails_after_answers", Fault::Panic),
    ("answers-undecodably", "koboshi_hostile::wrong::answers_undecodably", Fault::BadMessage),
    ("answers-late", "koboshi_hostile::wrong::answers_late", Fault::Late),
];

fn run(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    if let Err(trouble) = tried(context, &mut report) {
        report.failed += 1;
        let _ = writeln!(report.text, "{}\n{}", trouble.what, trouble.remedy);
    }
    report
}

fn tried(context: &Context<'_>, report: &mut Report) -> Result<(), Trouble> {
    let mut check = |holds: bool, text: String| {
        report.passed += u64::from(holds);
        report.failed += u64::from(!holds);
        let _ = writeln!(report.text, "{}{text}", if holds { "" } else { "NOT AS IT MUST BE: " });
    };
    let composed = image()?;
    let rust = Rust::find()?;
    let own = |name: &str| packages().into_iter().find(|package| package.name == name);
    let missing = || Trouble::new("a driver is not among Koboshi's own packages", "put it there again.");
    let driver = own("scif-driver").ok_or_else(missing)?;
    let spelt = Spelt::of((driver.linked)().description());
    let mut versions = Vec::new();
    for name in ["scif-polled-driver", "scif-driver"] {
        versions.push((name, built(&rust, name, &source(&own(name).ok_or_else(missing)?)?)?));
    }
    // Also those that are wrong, before anything runs: while this machine builds, nobody carries the board's bytes.
    let mut wrong = Vec::new();
    for (name, start, fault) in WRONG {
        let hostile = Source {
            package: "koboshi-hostile".to_owned(),
            folder: koboshi().join("components/hostile"),
            start: start.to_owned(),
            features: Vec::new(),
            assembler: Vec::new(),
        };
        wrong.push((name, built(&rust, name, &hostile)?, fault));
    }
    let mut bench = Bench::start(&composed)?;

    // One version after the other over the link, and back and forth between both behind each.
    let (brought, each) = BROUGHT[usize::from(context.quick)];
    let (mut swaps, mut pauses) = (0, Vec::new());
    let mut from = 0;
    for turn in 0..brought {
        let (name, code) = &versions[turn as usize % versions.len()];
        let end = bench.bring(&package(&spelt, (name, code), &SIGNER, |_| {}), None)?;
        if !matches!(end, Delivered::Asked) {
            check(false, format!("{name} was brought and not let in: {end:?}"));
            return Ok(());
        }
        for back in 0..=each {
            if back > 0 {
                let driver = bench.driver;
                let late = Instant::now() + PATIENCE;
                while bench.ask("a swap back", Ask::Back(driver))? != Told::Done {
                    if Instant::now() > late {
                        check(false, format!("a swap back is not taken: {}", bench.last_words()));
                        return Ok(());
                    }
                }
            }
            let incident = bench.followed(from)?;
            let swap = incident.swap.map(|swap| (swap.to, swap.verdict));
            let wanted = if back > 0 { Successor::Before } else { Successor::New };
            if incident.fault != Fault::Swapped || !matches!(swap, Some((to, Verdict::Stays(_))) if to == wanted) {
                check(false, format!("a swap did not stay: {incident:?}"));
                return Ok(());
            }
            // Nothing else has happened to anybody meanwhile.
            if incident.number != from {
                let others = bench.told_since(from)?;
                check(false, format!("what happened beside a swap{others}; {}", bench.last_words()));
                return Ok(());
            }
            from = incident.number + 1;
            let asked = incident.swap.map_or(0, |swap| swap.asked_at);
            pauses.extend(incident.answered_at.map(|answered| answered.saturating_sub(asked)));
            swaps += 1;
            (context.progress)(swaps, u64::from(brought) * u64::from(each + 1));
        }
    }
    let exact = bench.is_exact()?;
    let least = swaps as u32 * LEAST_BYTES;
    let under_traffic = bench.out.come > least && bench.back.come > least;
    let all_followed = pauses.len() as u64 == swaps;
    pauses.sort_unstable();
    let (median, worst) = (pauses.get(pauses.len() / 2).copied().unwrap_or(0), pauses.last().copied().unwrap_or(0));
    check(
        exact && under_traffic && all_followed,
        format!(
            "{swaps} swaps, {brought} of them of a package over the link: {}; from asking to the first answer or item {} us, \
             {} us at most",
            bench.bytes(),
            median / 1_000,
            worst / 1_000
        ),
    );

    // What must be refused, in the words of the host, and nobody notices.
    let gate = composed.manifest.components.iter().zip(&composed.image.components);
    let gate = gate.clone().find_map(|(instance, component)| Gate::of(&composed.manifest, instance, component));
    let gate = gate.ok_or_else(missing)?;
    let epoch = bench.epoch()?;
    // Nobody runs it, so it need not be much.
    let little = Built { code: vec![0x5A; 1_024], room: versions[1].1.room };
    for (code, bytes) in wrong_packages(&spelt, &little) {
        let refused = bench.refused(&bytes, &gate)?;
        let same = refused.as_ref().is_ok_and(|(word, _)| *word == code);
        let (Ok((_, text)) | Err(text)) = refused;
        check(same, format!("{code}: {text}"));
    }

    // Each of its bytes flipped; short, as it takes its way over the link each time.
    let short = Built { code: vec![0x5A; 64], room: little.room };
    let right = package(&spelt, ("scif-driver", &short), &SIGNER, |_| {});
    let step = FLIPPED[usize::from(context.quick)];
    let mut words = BTreeMap::<String, u32>::new();
    for at in (0..right.len()).step_by(step) {
        let mut flipped = right.clone();
        flipped[at] ^= 1 << (at % 8);
        match bench.refused(&flipped, &gate)? {
            Ok((word, _)) => *words.entry(word).or_default() += 1,
            Err(text) => check(false, format!("byte {at} flipped: {text}")),
        }
        (context.progress)(at as u64, right.len() as u64);
    }
    let refused: u32 = words.values().sum();
    check(
        refused as usize == right.len().div_ceil(step),
        format!("{refused} of {} bytes flipped, each refused as on the host: {words:?}", right.len()),
    );
    let (unnoticed, text) = bench.unnoticed(epoch, from)?;
    check(unnoticed, format!("the driver has noticed nothing: {text}"));

    // Nor does anybody notice that nobody carries bytes for a while, nor that they come again.
    std::thread::sleep(STOPPED);
    let (out, back) = (bench.out.come + AGAIN, bench.back.come + AGAIN);
    bench.until("bytes to come again", |bench| (bench.out.come >= out && bench.back.come >= back).then_some(()))?;
    let (unnoticed, text) = bench.unnoticed(epoch, from)?;
    check(unnoticed, format!("nobody has carried bytes for {} s: {text}", STOPPED.as_secs()));

    // Versions that are wrong go back by themselves, with the reason in the record.
    from = bench.incidents()?;
    let first_wrong = from;
    for (name, code, fault) in &wrong {
        let end = bench.bring(&package(&spelt, ("scif-driver", code), &SIGNER, |_| {}), None)?;
        let mut undone = None;
        if matches!(end, Delivered::Asked) {
            let incident = bench.followed(from)?;
            if let Some(Verdict::Undone(by)) = incident.swap.map(|swap| swap.verdict) {
                undone = bench.incident(by)?;
                from = by + 1;
            }
        }
        let why = undone.map(|incident| incident.fault);
        let again = undone.and_then(|incident| incident.swap).map(|swap| swap.to);
        check(
            why == Some(*fault) && again == Some(Successor::BeforeAgain),
            format!("{name}: undone because of {why:?}, then {again:?}"),
        );
    }
    // Signed, and no program at all.
    let mut code = Built { code: versions[0].1.code.clone(), room: versions[0].1.room };
    code.code[..16].fill(0xFF);
    let end = bench.bring(&package(&spelt, ("scif-driver", &code), &SIGNER, |_| {}), None)?;
    let incident = bench.followed(from)?;
    let undone = matches!(incident.swap.map(|swap| swap.verdict), Some(Verdict::Undone(_)));
    check(matches!(end, Delivered::Asked) && undone, format!("signed, and no program: {:?}", incident.swap));
    let exact = bench.is_exact()?;
    let happened = if exact { String::new() } else { bench.told_since(first_wrong)? };
    check(exact, format!("nobody could tell: {}{happened}", bench.bytes()));

    // Somebody on the way dies, and it goes on. (What of the program's bytes the console has in hand dies with it, and is announced.)
    from = bench.incidents()?;
    for (number, (name, whom)) in (1..).zip(bench.others.clone()) {
        let (version, code) = &versions[0];
        // Each time another one: of what the loader has already nothing would come again.
        let bytes = package(&spelt, (version, code), &SIGNER, |header| header.version.patch += number);
        let end = bench.bring(&bytes, Some((whom, bytes.len() / 2)))?;
        let stays = matches!(end, Delivered::Asked) && {
            let incident = bench.followed(from)?;
            let ended = bench.since(from)?.iter().any(|one| one.component.0 == whom && one.fault == Fault::Told);
            from = incident.number + 1;
            ended && incident.swap.is_some_and(|swap| matches!(swap.verdict, Verdict::Stays(_)))
        };
        let words = if stays { String::new() } else { bench.last_words() };
        check(stays, format!("{name} ended halfway: {end:?} {words}"));
    }

    Ok(())
}
