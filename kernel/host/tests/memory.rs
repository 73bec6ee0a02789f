//! The memory that this platform handles by hand: futures that are overwritten, and what a machine lends to components.
//!
//! Under Miri (`cargo koboshi test miri`) each access is judged, and all that was lent has to be given back.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use std::sync::atomic::{AtomicU32, Ordering};

use koboshi_core::ComponentId;
use koboshi_core::life::State;
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::How;
use koboshi_host::testing::{image, run};
use koboshi_interface_kit::Key;
use koboshi_runtime::{
    Description, Duration, Exit, Kept, KeptDescription, PortDescription, RequestPort, ServicePort, Side, Start, join,
    sleep,
};

mod counter {
    koboshi_interface_kit::interface! {
        /// Counts.
        service counter;

        | operation | contract   | request | reply | deadline | meaning                            |
        | --------- | ---------- | ------- | ----- | -------- | ---------------------------------- |
        | add       | Idempotent | u32     | u32   | 100 ms   | "Adds, and says what that makes." |
    }
}

const MILLISECOND: u64 = 1_000_000;

/// Something whose destructor would act after its owner's death.
struct Guard(&'static AtomicU32);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const KEPT: Key = Key::of_state::<u32>();

const SERVER: Description = Description {
    name: "server",
    ports: &[PortDescription { name: "counter", side: Side::Offers, interface: &counter::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: Some(KeptDescription::of::<u32>()),
};

const CLIENT: Description = Description {
    name: "client",
    ports: &[PortDescription { name: "counter", side: Side::Uses, interface: &counter::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

struct Counter(Kept<u32>);

impl counter::Server for Counter {
    async fn add(&mut self, by: u32) -> u32 {
        let sum = self.0.load().unwrap_or(0) + by;
        self.0.store(&sum);
        sum
    }
}

async fn serve(_: Start) -> Exit {
    let Ok(port) = ServicePort::open::<counter::Port>(0) else { return Exit::Unfit("no port") };
    match counter::serve(Counter(Kept::open(KEPT)), port).await {}
}

/// Asks again and again, with something of its own that it points to across every wait.
async fn ask(seen: &'static AtomicU32, dropped: &'static AtomicU32) -> Exit {
    let Ok(port) = RequestPort::open::<counter::Port>(0) else { return Exit::Unfit("no port") };
    let _guard = Guard(dropped);
    let mut client = counter::Client::new(port);
    let mut own = [0_u32; 16];
    let (first, rest) = own.split_at_mut(1);
    let asking = async {
        loop {
            if let Ok(sum) = client.add(1).await {
                first[0] += 1;
                seen.store(sum, Ordering::Relaxed);
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let counting = async {
        loop {
            rest.iter_mut().for_each(|one| *one = one.wrapping_add(1));
            sleep(Duration::from_millis(2)).await;
        }
    };
    join(asking, counting).await.0
}

/// A server and its client, who notes the last answer in `seen`; `dropped` counts what was dropped of him.
fn both(seen: &'static AtomicU32, dropped: &'static AtomicU32) -> Machine {
    let client = Linked::new(&CLIENT, move |_| ask(seen, dropped));
    let image = image(vec![Linked::new(&SERVER, serve), client]);
    Machine::new(&image, Options::default()).expect("it fits together")
}

/// Runs it for some milliseconds more.
fn go_on(machine: &mut Machine) {
    let at = machine.now() + 4 * MILLISECOND;
    run(machine, at);
}

#[test]
fn futures_that_point_into_themselves_go_on_where_they_waited() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let mut machine = both(&SEEN, &DROPPED);
    run(&mut machine, 10 * MILLISECOND);
    assert!(SEEN.load(Ordering::Relaxed) >= 5, "{SEEN:?}");
    assert_eq!(machine.incidents(0).0, 0);
}

/// The server and its client.
fn ids(machine: &Machine) -> Vec<ComponentId> {
    ["server", "client"].into_iter().filter_map(|name| machine.component_named(name)).collect()
}

#[track_caller]
fn still_goes_on(machine: &mut Machine, seen: &AtomicU32, deaths: u32) {
    let before = seen.load(Ordering::Relaxed);
    go_on(machine);
    assert!(seen.load(Ordering::Relaxed) > before, "they go on");
    assert!(ids(machine).iter().all(|id| machine.facts(*id).is_some_and(|facts| facts.state == State::Running)));
    assert!(machine.incidents(0).0 >= deaths, "{:?}", machine.incidents(0));
}

#[test]
fn a_future_is_overwritten_wherever_its_component_falls() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let mut machine = both(&SEEN, &DROPPED);
    for how in How::ALL {
        for id in ids(&machine) {
            machine.knock(id, how);
            machine.wake(id);
            go_on(&mut machine);
        }
    }
    still_goes_on(&mut machine, &SEEN, 9);
}

#[test]
fn nothing_is_dropped_of_a_future_that_is_ended_from_outside() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let mut machine = both(&SEEN, &DROPPED);
    for id in [ids(&machine), ids(&machine)].concat() {
        go_on(&mut machine);
        machine.kill(id);
    }
    still_goes_on(&mut machine, &SEEN, 4);
    drop(machine);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
}

#[test]
fn two_machines_share_nothing_and_each_gives_back_what_it_lent() {
    static SEEN: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let mut machines = [both(&SEEN[0], &DROPPED), both(&SEEN[1], &DROPPED)];
    for at in 1..=4 {
        for machine in &mut machines {
            run(machine, at * 2 * MILLISECOND);
        }
    }
    let [first, mut second] = machines;
    drop(first);
    run(&mut second, 20 * MILLISECOND);
    assert!(SEEN[1].load(Ordering::Relaxed) > SEEN[0].load(Ordering::Relaxed));
}
