//! A line that is used for a long time while somebody is knocked over again and again.

use koboshi_core::ComponentId;
use koboshi_host::journal::Depth;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::How;

use crate::scenario::numbered;
use crate::system::{APPLICATION, SCIF, Setup, image};
use crate::verdict::{Comparison, compare};

/// What is to happen.
#[derive(Clone)]
pub struct Plan {
    /// The system.
    pub setup: Setup,
    /// Who is knocked over.
    pub whom: Vec<ComponentId>,
    /// How.
    pub how: Vec<How>,
    /// Platform time between two knocks, in nanoseconds.
    pub every: u64,
    /// Platform time in which bytes are sent, in nanoseconds.
    pub time: u64,
    /// How much of the event log is kept.
    pub journal: Depth,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Result {
    /// Bytes that the application sent, and what became of them.
    pub out: (usize, Comparison),
    /// Bytes that the outside end sent, and what became of them.
    pub back: (usize, Comparison),
    /// What the application was told.
    pub announced: usize,
    /// Incidents.
    pub incidents: u32,
    /// Knocks.
    pub knocks: u32,
    /// Accesses to the device by the dead.
    pub stale_accesses: u64,
    /// Panics that nobody asked for.
    pub panics: Vec<String>,
    /// How often the image began anew; no knock is worth that.
    pub reboots: u32,
    /// Turns of components.
    pub turns: u64,
    /// The event log, as much of it as was asked for.
    pub journal: String,
}

impl Result {
    /// Whether everything arrived, once, in order, and nothing had to be announced.
    #[must_use]
    pub fn exact(&self) -> bool {
        self.out.1.exact()
            && self.back.1.exact()
            && self.announced == 0
            && self.stale_accesses == 0
            && self.reboots == 0
            && self.panics.is_empty()
    }
}

/// Between two looks at the ends of the line.
const SLICE: u64 = 1_000_000;

/// Time beyond twice the line time. A dropped reply costs the 35 ms until it is noticed, so a line at 1 Mbaud that is knocked
/// like that every 100 ms carries half of what it could.
const DRAIN: u64 = 10_000_000_000;

/// Runs it under the virtual clock.
///
/// # Panics
/// If the suites' own image cannot run.
#[must_use]
pub fn soak(plan: &Plan) -> Result {
    soak_with(plan, &mut |_| {})
}

/// The same, with something done to the machine between two slices.
///
/// # Panics
/// If the suites' own image cannot run.
#[must_use]
pub fn soak_with(plan: &Plan, act: &mut dyn FnMut(&mut Machine)) -> Result {
    let options = Options { journal: plan.journal, incidents: 1 << 12, ..Options::default() };
    let mut machine = match Machine::new(&image(&plan.setup), options) {
        Ok(machine) => machine,
        Err(error) => panic!("the image of the suites is at fault: {error}"),
    };
    let line_bytes = (plan.time / plan.setup.line().byte_time().as_ticks()) as usize;
    let (out, back) = (numbered(line_bytes, 1), numbered(line_bytes, 77_777));
    let (mut sent, mut received) = (vec![], vec![]);
    let (mut offered, mut on_wire, mut knocks) = (0, 0, 0);
    machine.run_until(2_000_000);
    let mut next_knock = plan.every;
    let end = 2 * plan.time + DRAIN;
    while machine.now() < end && (sent.len() < out.len() || received.len() < back.len()) {
        let now = machine.now();
        machine.run_until(now + SLICE);
        act(&mut machine);
        if now >= next_knock && !plan.whom.is_empty() {
            let whom = plan.whom[knocks as usize % plan.whom.len()];
            machine.knock(whom, plan.how[(knocks as usize / plan.whom.len() + knocks as usize) % plan.how.len()]);
            knocks += 1;
            next_knock += plan.every;
        }
        let rest = &out[offered..];
        offered += machine.application(APPLICATION, |end| end.offer(rest).unwrap_or(0)).unwrap_or(0);
        received.extend(machine.application(APPLICATION, |end| end.take_received()).unwrap_or_default());
        let more = back.len().min(on_wire + 4_096);
        let arrived = machine.scif(SCIF, |scif| {
            if scif.wire().waiting() < 1_024 {
                scif.wire_mut().send_bytes(back[on_wire..more].iter().copied());
                on_wire = more;
            }
            scif.wire_mut().take_received()
        });
        sent.extend(arrived.unwrap_or_default());
    }
    Result {
        out: (out.len(), compare(&out, &sent)),
        back: (back.len(), compare(&back, &received)),
        announced: machine.application(APPLICATION, |end| end.announced().len()).unwrap_or(0),
        incidents: machine.incidents(u32::MAX).0,
        knocks,
        stale_accesses: machine.stale_accesses(),
        panics: machine.panics().to_vec(),
        reboots: machine.reboots(),
        turns: machine.turns(),
        journal: machine.journal().to_string(),
    }
}
