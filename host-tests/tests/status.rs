//! What a machine shows of itself to whoever watches: the status of a component, and the log as it grows.

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_core::life::{Fault, State};
use koboshi_core::record::{Half, Position};
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::status::Bytes;
use koboshi_host::strike::How;
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::{APPLICATION, DRIVER, EVERYBODY, MONITOR, SCIF, SOS, Setup, image};
use koboshi_interfaces::serial::{self, Chunk, operation};
use koboshi_runtime::kit::ClientEnd;
use koboshi_runtime::platform::koboshi_port;
use koboshi_runtime::{Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, sleep};

const MS: u64 = 1_000_000;

fn system(depth: Depth) -> Machine {
    let mut machine =
        Machine::new(&image(&Setup::default()), Options { journal: depth, ..Options::default() }).unwrap();
    machine.run_until(5 * MS);
    machine
}

const ASKS: Description = Description {
    name: "asks",
    ports: &[PortDescription { name: "wanted", side: Side::Uses, interface: &serial::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const SERVES: Description = Description {
    name: "serves",
    ports: &[
        PortDescription { name: "first", side: Side::Offers, interface: &serial::INTERFACE },
        PortDescription { name: "second", side: Side::Offers, interface: &serial::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const SERVER: ComponentId = ComponentId(2);

/// Two that ask, each at a port of its own, and one that answers so many requests at the first port and then sleeps.
fn trio(answers: usize, asks: [Linked; 2]) -> Machine {
    let component = |name: &str, linked| ImageComponent {
        swappable: None,
        name: name.to_owned(),
        linked,
        vcpu: 3,
        respond_within: 100 * MS,
        recover_within: None,
        configuration: vec![],
        rights: Rights::default(),
    };
    let serves = Linked::new(&SERVES, move |_| async move {
        use koboshi_interface_kit::ServerEnd;
        let mut port = ServicePort::open::<serial::Port>(0).unwrap();
        for _ in 0..answers {
            let taken = port.next().await;
            port.refuse(taken);
        }
        std::future::pending().await
    });
    let [left, right] = asks;
    let join = |client, port| Connection {
        when_gone: WhenGone::default(),
        interface: &serial::INTERFACE,
        near: PortEnd { component: ComponentId(client), port: 0 },
        far: PortEnd { component: SERVER, port },
        slots: 8,
        routed: false,
    };
    let image = Image {
        components: vec![component("left", left), component("right", right), component("server", serves)],
        connections: vec![join(0, 0), join(1, 1)],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    };
    Machine::new(&image, Options::default()).unwrap()
}

/// Sends these, each with its deadline in milliseconds of platform time, and waits for nothing.
fn asks(deadlines: &'static [u64]) -> Linked {
    Linked::new(&ASKS, move |_| async move {
        let mut port = RequestPort::open::<serial::Port>(0).unwrap();
        for deadline in deadlines {
            let deadline = koboshi_runtime::Instant::from_ticks(deadline.saturating_mul(MS));
            port.send_message::<operation::write>(&Chunk::default(), 0, deadline).unwrap();
        }
        std::future::pending().await
    })
}

#[test]
fn one_that_rests_shows_where_it_stands_and_that_nobody_waits() {
    let mut machine = trio(0, [asks(&[]), asks(&[])]);
    machine.run_until(MS);
    let status = machine.status(SERVER).unwrap();
    assert_eq!((status.name.as_str(), status.state, status.epoch), ("server", State::Running, 1));
    assert_eq!((status.vcpu, status.restarts, status.fault), (3, 0, None));
    assert_eq!((status.waiting, status.oldest, status.bytes), (0, None, None));
    assert_eq!(machine.components().count(), 3);
    assert_eq!(machine.status(ComponentId(3)), None);
}

#[test]
fn the_oldest_request_that_waits_is_shown_with_who_asks_what_and_until_when() {
    let mut machine = trio(2, [asks(&[50, 60, 70, 40]), asks(&[90, 20])]);
    machine.run_until(MS);
    let status = machine.status(SERVER).unwrap();
    assert_eq!(status.waiting, 4, "two of six are answered");
    let oldest = status.oldest.unwrap();
    assert_eq!((oldest.port, oldest.operation, oldest.client.as_str()), ("first", Some("write"), "left"));
    assert_eq!(oldest.deadline, Some(70 * MS), "the first at its port, not the one with the nearest deadline there");
    assert_eq!(machine.status(ComponentId(0)).unwrap().waiting, 0, "a client serves nothing");
}

#[test]
fn a_request_without_a_deadline_shows_none_and_one_that_was_given_up_does_not_show() {
    let gives_up = Linked::new(&ASKS, |_| async {
        let mut port = RequestPort::open::<serial::Port>(0).unwrap();
        let never = koboshi_runtime::Instant::from_ticks(u64::MAX);
        let first = port.send_message::<operation::status>(&(), 0, never).unwrap();
        port.send_message::<operation::status>(&(), 0, never).unwrap();
        port.cancel(first);
        std::future::pending().await
    });
    let mut machine = trio(0, [gives_up, asks(&[])]);
    machine.run_until(MS);
    let status = machine.status(SERVER).unwrap();
    assert_eq!(status.waiting, 1);
    let oldest = status.oldest.unwrap();
    assert_eq!((oldest.operation, oldest.deadline), (Some("status"), None));
}

#[test]
fn a_client_whose_words_are_wild_changes_nothing_but_what_is_shown_of_itself() {
    let wild = Linked::new(&ASKS, |_| async {
        let memory = koboshi_port(0).unwrap();
        for (at, word) in memory.own.iter().enumerate() {
            word.store((at as u32).wrapping_mul(0x9E37_79B9), koboshi_core::sync::Ordering::Relaxed);
        }
        Half::new(memory.own, memory.own_slots).unwrap().set(Position::Consumed, 0xDEAD_BEEF);
        std::future::pending().await
    });
    let mut machine = trio(0, [wild, asks(&[30])]);
    machine.run_until(MS);
    let status = machine.status(SERVER).unwrap();
    assert!(status.waiting <= 8 + 1);
    assert!(status.oldest.is_some());
}

#[test]
fn a_request_of_no_operation_is_shown_without_a_name() {
    let strange = Linked::new(&ASKS, |_| async {
        RequestPort::open::<serial::Port>(0).unwrap().send(200, 0, u64::MAX, &[]).unwrap();
        std::future::pending().await
    });
    let mut machine = trio(0, [strange, asks(&[])]);
    machine.run_until(MS);
    assert_eq!(machine.status(SERVER).unwrap().oldest.unwrap().operation, None);
}

#[test]
fn looking_changes_nothing() {
    let log = |looks: bool| {
        let mut machine = trio(1, [asks(&[5, 6]), asks(&[7])]);
        for ms in 1..20 {
            machine.run_until(ms * MS);
            if looks {
                assert!(machine.components().all(|id| machine.status(id).is_some()));
            }
        }
        (machine.turns(), machine.status(SERVER))
    };
    assert_eq!(log(true), log(false));
}

#[test]
fn restarts_and_the_last_fault_are_counted_from_the_second_start_on() {
    let mut machine = system(Depth::None);
    assert_eq!(machine.status(DRIVER).unwrap().restarts, 0);
    for at in 1..=3 {
        machine.knock(DRIVER, How::Panic);
        machine.application(APPLICATION, |end| end.offer(b"x").unwrap()).unwrap();
        machine.run_until((5 + 100 * at) * MS);
    }
    let status = machine.status(DRIVER).unwrap();
    assert_eq!((status.restarts, status.epoch, status.fault), (3, 4, Some(Fault::Panic)));
}

#[test]
fn bytes_are_what_the_devices_counted() {
    let mut machine = system(Depth::None);
    let (out, back) = (numbered(300, 1), numbered(200, 2));
    machine.application(APPLICATION, |end| end.offer(&out).unwrap()).unwrap();
    machine.scif(SCIF, |scif| scif.wire_mut().send_bytes(back.iter().copied()));
    machine.run_until(500 * MS);
    let bytes = |id| machine.status(id).unwrap().bytes;
    assert_eq!(bytes(DRIVER), Some(Bytes { taken: 200, given: 300 }));
    assert_eq!(bytes(MONITOR), Some(Bytes { taken: 300, given: 200 }));
    assert_eq!(bytes(SOS), None);
}

/// Everything that happened, in words.
fn followed(depth: Depth, step: u64) -> (u64, Vec<String>) {
    let mut machine = system(depth);
    machine.knock(DRIVER, How::Panic);
    let (mut next, mut lost, mut told) = (0, 0, vec![]);
    for at in 1..=(40 * MS / step) {
        if at % 4 == 0 {
            machine.application(APPLICATION, |end| end.offer(b"abc").unwrap()).unwrap();
        }
        machine.run_until(5 * MS + at * step);
        let journal = machine.journal();
        let (dropped, events) = journal.since(next);
        lost += dropped;
        next += dropped;
        for (number, _, event) in events {
            assert_eq!(number, next, "without loss or repetition");
            next = number + 1;
            told.push(journal.in_words(event).to_string());
        }
        assert_eq!(next, journal.next_number());
    }
    (lost, told)
}

#[test]
fn a_log_that_is_followed_closely_is_told_whole_also_when_only_its_end_is_kept() {
    let (lost, all) = followed(Depth::All, MS);
    assert_eq!(lost, 0);
    assert!(all.len() > 40 && all.iter().any(|line| line.contains("ended, epoch 1: panic")), "{all:?}");
    let (lost, closely) = followed(Depth::Last(all.len()), MS);
    assert_eq!((lost, &closely), (0, &all));
    let (lost, late) = followed(Depth::Last(3), MS);
    assert!(lost > 0);
    assert_eq!(lost as usize + late.len(), all.len(), "what came too late is counted");
    assert!(late.iter().all(|line| all.contains(line)));
}

#[test]
fn events_are_numbered_alike_however_many_are_kept() {
    let numbers = [Depth::None, Depth::Last(0), Depth::Last(5), Depth::All].map(|depth| {
        let machine = system(depth);
        let journal = machine.journal();
        let (dropped, events) = journal.since(0);
        let kept = events.count();
        assert_eq!(dropped + kept as u64, journal.next_number());
        match depth {
            Depth::None => assert_eq!(kept, 0),
            Depth::Last(most) => assert_eq!(kept, most),
            Depth::All => assert_eq!(dropped, 0),
        }
        journal.next_number()
    });
    assert!(numbers[0] > 0 && numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
}

#[test]
fn nothing_comes_after_the_last_event() {
    let machine = system(Depth::All);
    let journal = machine.journal();
    for from in [journal.next_number(), journal.next_number() + 7, u64::MAX] {
        let (dropped, mut events) = journal.since(from);
        assert_eq!((dropped, events.next()), (0, None));
    }
    let (_, mut last) = journal.since(journal.next_number() - 1);
    assert!(last.next().is_some() && last.next().is_none());
}

#[test]
fn the_whole_log_is_its_events_in_words_one_a_line() {
    let machine = system(Depth::All);
    let journal = machine.journal();
    let (whole, (_, events)) = (journal.to_string(), journal.since(0));
    let lines: Vec<_> = events.map(|(_, _, event)| journal.in_words(event).to_string()).collect();
    assert_eq!(whole.lines().count(), lines.len());
    assert!(whole.lines().zip(&lines).all(|(line, event)| line.ends_with(&format!(" us  {event}"))));
    assert!(EVERYBODY.iter().all(|id| lines.contains(&format!("{} started, epoch 1", machine.name(*id)))));
    assert!(journal.events().any(|(_, event)| matches!(event, Event::Started { .. })));
}

#[test]
fn a_call_whose_time_is_over_is_still_shown_as_waiting() {
    let late = Linked::new(&ASKS, |_| async {
        let mut port = RequestPort::open::<serial::Port>(0).unwrap();
        let told = port.call::<operation::status>(&(), Duration::from_millis(2)).await;
        assert!(told.is_err());
        sleep(Duration::from_secs(9)).await;
        Exit::Done
    });
    let mut machine = trio(0, [late, asks(&[])]);
    machine.run_until(50 * MS);
    let deadline = machine.status(SERVER).unwrap().oldest.unwrap().deadline.unwrap();
    assert!(deadline < machine.now(), "it is late, and shown so");
}
