//! Scenarios: what happens on the line while somebody is knocked over, and how one run of it is judged.

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, SwapPhase, Swappable, Version};
use koboshi_core::life::Fault;
use koboshi_host::application::Announcement;
use koboshi_host::image::DeviceModelKind;
use koboshi_host::journal::Depth;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::{Planned, Struck};

use crate::swap;
use crate::system::{APPLICATION, DRIVER, Drives, EVERYBODY, MANAGER, MONITOR, SCIF, SOS, Setup, image, versions};
use crate::verdict::{Comparison, Verdict, compare};

/// Platform time in which an image is up.
const UP: u64 = 2_000_000;

/// Between two looks at the ends of the line.
const SLICE: u64 = 250_000;

/// After everything has arrived: time in which nothing more may.
const QUIET: u64 = 20_000_000;

/// A run that takes longer than this is stuck. The longest wait by design is a report about SOS: under 1 s.
const AT_MOST: u64 = 8_000_000_000;

/// How much later than without faults a run may end and still be in time: hang detection, restarts and backoff.
pub const RECOVER_WITHIN: u64 = 50_000_000;

/// What else happens on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing.
    None,
    /// Half way the line is set to another rate, by both ends, and the rest follows.
    NewSetting {
        /// The other rate.
        baud: u32,
    },
    /// The outside end holds its RTS for a while, half way.
    Hold,
    /// SOS is told to end half way; its drivers are rebooted with it.
    Reboot,
    /// This component is ended half way, from outside.
    Death(ComponentId),
    /// The driver's other version takes its place half way.
    Swap,
    /// And the first one does again as soon as it has.
    SwapAndBack,
    /// As [`Event::Swap`], but the outside end holds the line longer than the first one may take to come to an end.
    SwapCut,
}

/// A scenario.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The system.
    pub setup: Setup,
    /// Bytes from the application to the outside end.
    pub out: usize,
    /// Bytes from the outside end to the application.
    pub back: usize,
    /// What else happens.
    pub event: Event,
    /// The core is to forget sealing: for the proof that the campaign notices.
    pub unsealed: bool,
}

/// All scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let base = Setup::default();
    let flow = Setup { flow: true, ..base.clone() };
    let chip = koboshi_scif_driver::device::Chip::Sh7780;
    let sh7780 = Setup { chip, fifo: koboshi_host::scif::FifoDepth::SixtyFour, baud: 1_000_000, ..base.clone() };
    let rebooting = Setup { sos_reboots_drivers: true, ..base.clone() };
    let scenario = |name, about, setup: &Setup, out, back, event| Scenario {
        name,
        about,
        setup: setup.clone(),
        out,
        back,
        event,
        unsealed: false,
    };
    let driven = |drives, setup: &Setup| Setup { drives, ..setup.clone() };
    let anew = Event::NewSetting { baud: 38_400 };
    let mut all = vec![];
    // Each of the SCIF's drivers, and its name for each of them.
    for (drives, [transmit, receive, both, deep, settings, reboot, manager, monitor]) in [
        (
            Drives::Scif,
            [
                "transmit",
                "receive",
                "both-rts-cts",
                "both-sh7780",
                "settings",
                "sos-reboot",
                "manager-death",
                "monitor-death",
            ],
        ),
        (
            Drives::ScifPolled,
            [
                "polled-out",
                "polled-in",
                "polled-rts-cts",
                "polled-sh7780",
                "polled-set",
                "polled-reboot",
                "polled-manager",
                "polled-monitor",
            ],
        ),
    ] {
        let [base, flow, sh7780, rebooting] = [&base, &flow, &sh7780, &rebooting].map(|setup| driven(drives, setup));
        all.extend([
            scenario(transmit, "bytes go out", &base, 160, 0, Event::None),
            scenario(receive, "bytes come in at line rate, with nobody to hold them", &base, 0, 160, Event::None),
            scenario(both, "both ways, with flow control, held half way", &flow, 120, 120, Event::Hold),
            scenario(deep, "both ways, 64-byte FIFOs, 1 Mbaud", &sh7780, 160, 160, Event::None),
            scenario(settings, "the line is set anew under traffic", &base, 80, 80, anew),
            scenario(reboot, "SOS is rebooted with its driver", &rebooting, 100, 100, Event::Reboot),
            scenario(manager, "the restart manager dies", &base, 80, 80, Event::Death(MANAGER)),
            scenario(monitor, "the Monitor dies", &base, 80, 80, Event::Death(MONITOR)),
        ]);
    }
    let hasty = Setup { swappable: Swappable { quiesce_within: 1_000_000, ..flow.swappable }, ..flow.clone() };
    let [woken_first, polled_first] = [false, true].map(|polled_first| Drives::ScifInTurn { polled_first });
    let takes_over = "each driver of the SCIF takes over from the other one";
    all.extend([
        scenario("in-turn", takes_over, &driven(woken_first, &flow), 120, 120, Event::Hold),
        scenario("in-turn-back", takes_over, &driven(polled_first, &base), 120, 120, Event::None),
        scenario("in-turn-set", takes_over, &driven(woken_first, &base), 80, 80, anew),
        scenario("both-ns16550", "both ways, over a 16550A", &driven(Drives::Ns16550, &flow), 120, 120, Event::Hold),
        scenario("set-ns16550", "a 16550A is set anew", &driven(Drives::Ns16550, &base), 80, 80, anew),
        scenario("swap", "the driver is swapped for the other one", &flow, 100, 100, Event::Swap),
        scenario("swap-and-back", "and swapped back", &flow, 100, 100, Event::SwapAndBack),
        scenario("swap-cut", "the driver is swapped with a write in hand", &hasty, 100, 100, Event::SwapCut),
    ]);
    all
}

/// The scenario with this name.
#[must_use]
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The judgement.
    pub verdict: Verdict,
    /// From the application to the outside end.
    pub out: Comparison,
    /// From the outside end to the application.
    pub back: Comparison,
    /// What the application was told.
    pub announced: usize,
    /// When everything had arrived; the end of the run if that never was.
    pub ended_at: u64,
    /// The strikes that were carried out.
    pub struck: Vec<Struck>,
    /// Points of each component, in the order of [`EVERYBODY`].
    pub points: [u64; EVERYBODY.len()],
    /// Accesses to the device by incarnations that no longer owned it.
    pub stale_accesses: u64,
    /// Panics that nobody asked for.
    pub panics: Vec<String>,
    /// The driver has ended by a fault, and another version of it has followed at once.
    pub another_followed: bool,
    /// Reads of an empty device, writes into a full one: the device's own word for bytes made up or lost.
    pub misuses: u64,
    /// The event log, as much of it as was asked for.
    pub journal: String,
}

/// Bytes of which any few in a row occur once: numbered, and mixed so that neighbours differ in many bits.
#[must_use]
pub fn numbered(count: usize, salt: u32) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_add(salt).wrapping_mul(0x9E37_79B1) >> 13) as u8).collect()
}

/// One run, from boot to the end.
struct Run<'s> {
    scenario: &'s Scenario,
    machine: Machine,
    out: Vec<u8>,
    back: Vec<u8>,
    offered: usize,
    on_wire: usize,
    sent: Vec<u8>,
    received: Vec<u8>,
    happened: bool,
    released_at: u64,
    /// The first version is to have its place again as soon as the other one has it.
    wants_back: bool,
}

impl Run<'_> {
    fn move_bytes(&mut self, out_limit: usize, back_limit: usize) {
        let rest = &self.out[self.offered..out_limit];
        let offered = self.machine.application(APPLICATION, |application| application.offer(rest).unwrap_or(0));
        self.offered += offered.unwrap_or(0);
        let more = self.back[self.on_wire..back_limit].to_vec();
        self.on_wire = back_limit;
        let sent = self.machine.wire(SCIF, |wire| {
            wire.send_bytes(more);
            wire.take_received()
        });
        self.sent.extend(sent.unwrap_or_default());
        let received = self.machine.application(APPLICATION, |application| application.take_received());
        self.received.extend(received.unwrap_or_default());
    }

    fn all_there(&self, out: usize, back: usize) -> bool {
        self.sent.len() >= out && self.received.len() >= back
    }

    fn half_way(&mut self) {
        self.happened = true;
        match self.scenario.event {
            Event::None => {}
            Event::NewSetting { baud } => {
                let framing = self.scenario.setup.framing();
                self.machine.application(APPLICATION, |application| application.set_line(baud, framing));
                let outside = Setup { baud, ..self.scenario.setup.clone() }.outside();
                self.machine.wire(SCIF, |wire| wire.set_settings(outside));
            }
            Event::Hold => self.hold(),
            Event::Reboot => self.machine.kill(SOS),
            Event::Death(whom) => self.machine.kill(whom),
            Event::Swap => self.swap(),
            Event::SwapAndBack => {
                self.swap();
                self.wants_back = true;
            }
            Event::SwapCut => {
                self.hold();
                self.swap();
            }
        }
    }

    /// The outside end holds the line for a while.
    fn hold(&mut self) {
        self.machine.wire(SCIF, |wire| wire.hold(true));
        self.released_at = self.machine.now() + 5_000_000;
    }

    /// Another version of the driver takes its place.
    fn swap(&mut self) {
        let [_, polled] = versions();
        let other = self.scenario.setup.other.clone().unwrap_or(polled);
        swap::swap(&mut self.machine, &other);
    }

    /// Runs until everything has arrived; false: it never did.
    fn runs_to_the_end(&mut self) -> bool {
        let (out, back) = (self.out.len(), self.back.len());
        let (half_out, half_back) = (out / 2, back / 2);
        let waits = matches!(self.scenario.event, Event::NewSetting { .. });
        loop {
            let next = self.machine.now() + SLICE;
            self.machine.run_until(next);
            // With new settings the second half waits until the first has arrived and both ends are set.
            let set = self.machine.application(APPLICATION, |application| application.line_is_set()).unwrap_or(true);
            let go = !waits || self.happened && set;
            self.move_bytes(if go { out } else { half_out }, if go { back } else { half_back });
            if !self.happened && self.sent.len() >= half_out && self.received.len() >= half_back {
                self.half_way();
            }
            if self.released_at != 0 && self.machine.now() >= self.released_at {
                self.released_at = 0;
                self.machine.wire(SCIF, |wire| wire.hold(false));
            }
            // It may have gone back by itself before: then there is nothing to go back to.
            if self.wants_back && matches!(self.machine.swap_phase(DRIVER), SwapPhase::Probation(_)) {
                self.wants_back = self.machine.command(DRIVER, Command::Swap(Version::Before)).is_err();
            }
            if self.all_there(out, back) && self.happened {
                return true;
            }
            if self.machine.now() > AT_MOST {
                return false;
            }
        }
    }
}

/// Runs a scenario with strikes, and judges it. `in_time` is when the run without strikes had everything, if it is known.
///
/// # Panics
/// If the image of the suites cannot run: their own fault.
#[must_use]
pub fn run(scenario: &Scenario, plan: Vec<Planned>, in_time: Option<u64>, journal: Depth) -> Outcome {
    let options = Options { journal, plan, unsealed: scenario.unsealed, ..Options::default() };
    let machine = match Machine::new(&image(&scenario.setup), options) {
        Ok(machine) => machine,
        Err(error) => panic!("the image of the suites is at fault: {error}"),
    };
    let mut run = Run {
        scenario,
        machine,
        out: numbered(scenario.out, 1),
        back: numbered(scenario.back, 77_777),
        offered: 0,
        on_wire: 0,
        sent: vec![],
        received: vec![],
        happened: false,
        released_at: 0,
        wants_back: false,
    };
    run.machine.run_until(UP);
    let ended = run.runs_to_the_end();
    let ended_at = run.machine.now();
    // What comes now is too much.
    run.machine.run_until(ended_at + QUIET);
    let (all_out, all_back) = (run.out.len(), run.back.len());
    run.move_bytes(all_out, all_back);
    judge(run, ended, ended_at, in_time)
}

/// Whether the end of what was sent arrived: whatever was lost before it, nothing is blocked.
fn goes_on(sent: &[u8], arrived: &[u8]) -> bool {
    arrived.ends_with(&sent[sent.len() - sent.len().min(END)..])
}

/// The end of a stream that must arrive even if bytes before it were lost and announced.
const END: usize = 8;

fn judge(mut run: Run<'_>, ended: bool, ended_at: u64, in_time: Option<u64>) -> Outcome {
    let announced =
        run.machine.application(APPLICATION, |application| application.announced().to_vec()).unwrap_or_default();
    let misuses = run.machine.application(APPLICATION, |application| application.misuses()).unwrap_or(0);
    let misuses = misuses + run.machine.device(SCIF, DeviceModelKind::misuses).unwrap_or(0);
    let (out, back) = (compare(&run.out, &run.sent), compare(&run.back, &run.received));
    let told = |what: &[Announcement]| announced.iter().any(|(_, found)| what.contains(found));
    let told_out = told(&[Announcement::NotSent]);
    let told_back = told(&[Announcement::Gap, Announcement::Overrun, Announcement::Framing, Announcement::Parity]);
    let told = told_out || told_back;
    let stale_accesses = run.machine.stale_accesses();
    // Whatever became of a swap, or of a death: one version of the driver lives, and what was asked for has come to pass.
    let lives = run.machine.facts(DRIVER).is_some_and(|facts| facts.state.alive());
    let wants = matches!(run.scenario.event, Event::Swap | Event::SwapAndBack | Event::SwapCut) && run.happened;
    let incidents = run.machine.incidents(0).1;
    let swapped = !wants || incidents.iter().any(|incident| incident.swap.is_some());
    let another_followed =
        incidents.iter().any(|one| one.component == DRIVER && one.fault != Fault::Swapped && one.swap.is_some());
    let one_runs = lives && swapped && run.machine.swap_phase(DRIVER) != SwapPhase::Quiescing;
    let verdict = if stale_accesses > 0 || !run.machine.panics().is_empty() || misuses > 0 {
        Verdict::Wrong
    } else if out.repeated > 0 || back.repeated > 0 {
        Verdict::Repeated
    } else if out.wrong > 0 && !told_out || back.wrong > 0 && !told_back {
        Verdict::Wrong
    } else if !one_runs || !goes_on(&run.out, &run.sent) || !goes_on(&run.back, &run.received) || !ended && !told {
        Verdict::Stuck
    } else if out.lost > 0 && !told_out || back.lost > 0 && !told_back {
        Verdict::Lost
    } else if told {
        Verdict::Announced
    } else if in_time.is_some_and(|in_time| ended_at > in_time + RECOVER_WITHIN) {
        Verdict::Late
    } else {
        Verdict::Exact
    };
    Outcome {
        verdict,
        out,
        back,
        announced: announced.len(),
        ended_at,
        struck: run.machine.struck(),
        points: EVERYBODY.map(|id| run.machine.points(id)),
        stale_accesses,
        panics: run.machine.panics().to_vec(),
        another_followed,
        misuses,
        journal: run.machine.journal().to_string(),
    }
}

/// The components that a scenario's strikes go to.
#[must_use]
pub fn targets() -> [ComponentId; EVERYBODY.len()] {
    [DRIVER, SOS, MONITOR, MANAGER]
}
