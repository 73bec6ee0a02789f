//! A fault, and the first answer after it.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::image::ImageComponent;
use koboshi_host::linked::Linked;
use koboshi_host::machine::Machine;
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_runtime::{Description, Duration, Exit, RequestPort, ServicePort, sleep};

use super::calls::{ASKS, PAUSE, SERVES, adder, component, machine};
use super::otp::Otp;
use super::{Options, Row, in_turns, median, paired};

const MANAGER: ComponentId = ComponentId(0);
const ADDER: ComponentId = ComponentId(1);
const CLIENT: ComponentId = ComponentId(2);

/// The restart manager with nobody who talks to it.
const LOOKS_AFTER: Description =
    Description { name: "restart-manager", ports: &[], devices: &[], interrupts: &[], kept: None };

/// What the adder and its client share.
#[derive(Default)]
struct Shared {
    /// The adder is to fall over at its next request.
    fall: bool,
    fell_at: Option<Instant>,
    /// Nanoseconds from each fall to its answer.
    took: Vec<f64>,
    wrong: bool,
}

type Stage = Arc<Mutex<Shared>>;

fn with<T>(stage: &Stage, act: impl FnOnce(&mut Shared) -> T) -> T {
    act(&mut stage.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What it unwinds with.
struct Fell;

struct Doll(Stage);

impl adder::Server for Doll {
    async fn add_one(&mut self, number: u64) -> u64 {
        let falls = with(&self.0, |shared| {
            let falls = std::mem::take(&mut shared.fall);
            if falls {
                shared.fell_at = Some(Instant::now());
            }
            falls
        });
        if falls {
            // A panic without its message on stderr.
            resume_unwind(Box::new(Fell));
        }
        number.wrapping_add(1)
    }
}

async fn doll(stage: Stage) -> Exit {
    match ServicePort::open::<adder::Port>(0) {
        Ok(port) => match adder::serve(Doll(stage), port).await {},
        Err(unfit) => unfit,
    }
}

async fn client(stage: Stage) -> Exit {
    let mut adder = match RequestPort::open::<adder::Port>(0) {
        Ok(port) => adder::Client::new(port),
        Err(unfit) => return unfit,
    };
    let mut number = 0;
    loop {
        sleep(Duration::from_nanos(PAUSE)).await;
        with(&stage, |shared| shared.fall = true);
        let answer = adder.add_one(number).await;
        let answered_at = Instant::now();
        with(&stage, |shared| match shared.fell_at.take() {
            Some(fell_at) if answer.is_ok_and(|answer| answer == number + 1) => {
                shared.took.push((answered_at - fell_at).as_nanos() as f64);
            }
            _ => shared.wrong = true,
        });
        number += 1;
    }
}

fn policy() -> Policy {
    let group = Group {
        members: [ADDER.0, CLIENT.0].into_iter().collect(),
        strategy: Strategy::OneForOne,
        intensity: 5,
        period_ms: 1_000,
        backoff_first_ms: 1,
        backoff_most_ms: 100,
        rate_per_second: 200,
        escalate: Escalation::Image,
    };
    Policy { groups: [group].into_iter().collect() }
}

struct House {
    machine: Machine,
    stage: Stage,
}

impl House {
    fn new() -> Self {
        let stage = Stage::default();
        let (of_doll, of_client) = (Arc::clone(&stage), Arc::clone(&stage));
        let components = vec![
            ImageComponent {
                recover_within: None,
                swappable: None,
                vcpu: 0,
                configuration: postcard::to_stdvec(&policy()).unwrap_or_default(),
                rights: Rights { control: ADDER.bit() | CLIENT.bit(), facts: true, blame: true, reboot: true, load: 0 },
                ..component("restart-manager", Linked::new(&LOOKS_AFTER, koboshi_restart_manager::start))
            },
            component("adder", Linked::new(&SERVES, move |_| doll(Arc::clone(&of_doll)))),
            component("client", Linked::new(&ASKS, move |_| client(Arc::clone(&of_client)))),
        ];
        House { machine: machine(components, &[(CLIENT, ADDER)], Some(MANAGER)), stage }
    }

    /// Nanoseconds from fall to answer, the median of `count`.
    fn falls(&mut self, count: u64) -> f64 {
        let epoch = |machine: &Machine| machine.facts(ADDER).map_or(0, |facts| facts.epoch);
        // The first start is no recovery.
        let before = epoch(&self.machine).max(1);
        let until = self.machine.now() + count * PAUSE;
        self.machine.run_until(until);
        let recovered = epoch(&self.machine) - before;
        with(&self.stage, |shared| {
            let took = std::mem::take(&mut shared.took);
            let sound = !shared.wrong && took.len() as u64 == count && u64::from(recovered) == count;
            if sound { median(&took) } else { f64::NAN }
        })
    }
}

pub(super) fn run(options: &Options) -> Vec<Row> {
    let count = if options.quick { 20 } else { 100 };
    // A value is a median of recoveries already.
    let options = Options { quick: true, ..*options };
    let mut house = House::new();
    let row =
        Row::new("recovery/otp", "Recovery: from the fault to the first answer", "panic, restart, replayed answer")
            .aiming_at(1.0);
    let note = "Recovery: a linked-in component unwinds, the restart manager decides, and the request in hand is answered \
                by the next incarnation; virtual clock, so this is the work alone. OTP: a gen_server exits in a call, its \
                supervisor restarts it, and the client, told so by the new one, asks again; one scheduler, no reports, \
                because so it is fastest. Neither isolates memory.";
    let row = match Otp::start() {
        Ok(mut otp) => {
            let mut failed = None;
            let [ours, peer] = in_turns(&options, |contestant| match contestant {
                0 => house.falls(count),
                _ => otp.falls(count).unwrap_or_else(|why| {
                    failed = Some(why);
                    f64::NAN
                }),
            });
            match failed {
                None => row.beside(&otp.version).measured(paired(&ours, &peer)).noting(note),
                Some(why) => row.beside(&otp.version).noting(&why),
            }
        }
        Err(why) => {
            let [ours] = in_turns(&options, |_| house.falls(count));
            row.beside("Erlang/OTP").measured(super::alone(&ours)).noting(&format!("{why} {note}"))
        }
    };
    vec![row]
}
