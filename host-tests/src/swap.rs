//! The driver is swapped while its line is used: for another version that is right, many times; or for one that is wrong.

use koboshi_core::incident::{Incident, Verdict};
use koboshi_core::kernel::{Command, SwapPhase, Version};
use koboshi_core::life::Fault;
use koboshi_host::journal::Depth;
use koboshi_host::linked::Linked;
use koboshi_host::machine::Machine;

use crate::modules::Part;
use crate::soak::{self, Plan, soak_with};
use crate::system::{DRIVER, Setup};

/// When the first swap is asked for: the line is used by then.
const FIRST: u64 = 10_000_000;

/// The versions that are wrong, what is wrong with each, and what the record has to say of it.
pub const WRONG: [(Part, &str, Fault); 5] = [
    (Part::FailsAtOnce, "fails at once", Fault::Panic),
    (Part::Hangs, "hangs", Fault::RunAway),
    (Part::AnswersUndecodably, "answers undecodably", Fault::BadMessage),
    (Part::AnswersLate, "answers late", Fault::Late),
    (Part::FailsAfterAnswers, "fails after answers", Fault::Panic),
];

/// The line at which swaps are tried: 1 Mbaud both ways, with flow control.
#[must_use]
pub fn setup() -> Setup {
    Setup { flow: true, baud: 1_000_000, ..Setup::default() }
}

/// What many swaps came to.
#[derive(Debug)]
pub struct Swaps {
    /// What became of the bytes, and of the image.
    pub line: soak::Result,
    /// Swaps of which the new version stays.
    pub stayed: u32,
    /// All that happened beside them: there should be nothing.
    pub others: Vec<Incident>,
    /// From when a swap was asked for until the new version first answered or published, in nanoseconds of platform time.
    pub worst_pause: u64,
    /// The median of these.
    pub median_pause: u64,
}

impl Swaps {
    /// Whether so many swaps were made, and nobody could tell from the bytes.
    #[must_use]
    pub fn exact(&self, swaps: u32) -> bool {
        self.line.exact() && self.stayed == swaps && self.others.is_empty()
    }
}

/// Puts another version into the driver's place.
///
/// # Panics
/// If its last swap is not over.
pub(crate) fn swap(machine: &mut Machine, code: &Linked) {
    let new = Command::Swap(Version::New { way_back: true });
    let done =
        machine.put(DRIVER, code.clone(), vec![koboshi_serial_line::KEPT]).map(|()| machine.command(DRIVER, new));
    assert_eq!(done, Ok(Ok(())), "the suite asks for one swap at a time");
}

/// Swaps the driver for these versions in turn, so many times, as fast as each has proved itself.
///
/// # Panics
/// If the suites' own image cannot run.
#[must_use]
pub fn many(setup: &Setup, versions: &[Linked], swaps: u32) -> Swaps {
    // At this speed five answers and items take 1 to 2 ms.
    let time = FIRST + u64::from(swaps) * 6_000_000;
    let plan = Plan { setup: setup.clone(), whom: vec![], how: vec![], every: time, time, journal: Depth::Last(100) };
    let (mut asked, mut stayed, mut number) = (0, 0, 0);
    let (mut others, mut pauses) = (vec![], vec![]);
    let line = soak_with(&plan, &mut |machine| {
        if machine.now() < FIRST || machine.swap_phase(DRIVER) != SwapPhase::None {
            return;
        }
        let (count, incidents) = machine.incidents(number);
        number = count;
        for incident in incidents {
            match incident.swap.map(|swap| (swap.asked_at, swap.verdict)) {
                Some((asked_at, Verdict::Stays(_))) if incident.fault == Fault::Swapped => {
                    stayed += 1;
                    pauses.extend(incident.answered_at.map(|answered| answered - asked_at));
                }
                _ => others.push(incident),
            }
        }
        if asked < swaps {
            swap(machine, &versions[asked as usize % versions.len()]);
            asked += 1;
        }
    });
    pauses.sort_unstable();
    let (worst_pause, median_pause) =
        (pauses.last().copied().unwrap_or(0), pauses.get(pauses.len() / 2).copied().unwrap_or(0));
    Swaps { line, stayed, others, worst_pause, median_pause }
}

/// What became of a version that is wrong.
#[derive(Debug)]
pub struct Undone {
    /// What became of the bytes, and of the image.
    pub line: soak::Result,
    /// What the record says: why its probation ended. `None`: it did not.
    pub why: Option<Fault>,
    /// From when the swap was asked for until the version before answered or published again, in nanoseconds.
    pub took: u64,
    /// How many incidents there were.
    pub incidents: usize,
}

/// Puts a wrong version in the driver's place, once.
///
/// # Panics
/// If the suites' own image cannot run.
#[must_use]
pub fn wrong(setup: &Setup, code: &Linked) -> Undone {
    let time = 200_000_000;
    let plan = Plan { setup: setup.clone(), whom: vec![], how: vec![], every: time, time, journal: Depth::Last(100) };
    let (mut asked, mut incidents) = (false, vec![]);
    let mut line = soak_with(&plan, &mut |machine| {
        if !asked && machine.now() >= FIRST {
            swap(machine, code);
            asked = true;
        }
        incidents = machine.incidents(0).1;
    });
    // Those that it was made for.
    line.panics.retain(|text| !text.contains("hostile/src/wrong.rs"));
    let swap = incidents.first().and_then(|first| first.swap);
    let undone = swap.and_then(|swap| match swap.verdict {
        Verdict::Undone(number) => incidents.iter().find(|incident| incident.number == number),
        Verdict::Open | Verdict::Stays(_) | Verdict::PutBack(_) => None,
    });
    let back = undone.and_then(|incident| incident.answered_at).unwrap_or(u64::MAX);
    let took = back.saturating_sub(swap.map_or(0, |swap| swap.asked_at));
    Undone { line, why: undone.map(|incident| incident.fault), took, incidents: incidents.len() }
}
