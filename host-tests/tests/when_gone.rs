//! A client whose requests wait while its server is gone, and a whole line whose driver is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::life::{Fault, State};
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::{APPLICATION, DRIVER, EVERYBODY, MANAGER, SCIF, SOS, Setup, image, policy};
use koboshi_restart_manager::policy::Escalation;
use koboshi_runtime::kit::Failure;
use koboshi_runtime::{Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, sleep};

const MS: u64 = 1_000_000;

mod work {
    koboshi_interface_kit::interface! {
        /// Work to do.
        service work;

        | operation | contract   | request | reply | deadline | meaning        |
        | --------- | ---------- | ------- | ----- | -------- | -------------- |
        | add_one   | Idempotent | u32     | u32   | 100 ms   | "One more."    |
    }
}

const ASKS: Description = Description {
    name: "asks",
    ports: &[PortDescription { name: "work", side: Side::Uses, interface: &work::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const SERVES: Description = Description {
    name: "serves",
    ports: &[PortDescription { name: "work", side: Side::Offers, interface: &work::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const SERVER: ComponentId = ComponentId(1);

struct Adder;

impl work::Server for Adder {
    async fn add_one(&mut self, number: u32) -> u32 {
        number + 1
    }
}

type Told = Arc<Mutex<Vec<Result<u32, Failure<work::operation::add_one>>>>>;

/// One that asks every 10 ms and waits 30 ms each time, then for what was late.
fn pair(when_gone: WhenGone) -> (Machine, Told) {
    let told = Told::default();
    let tells = Arc::clone(&told);
    let asks = move |_| {
        let told = Arc::clone(&tells);
        async move {
            let mut work = work::Client::new(RequestPort::open::<work::Port>(0).unwrap());
            for number in 0.. {
                let mut answer = work.within(Duration::from_millis(30)).add_one(number).await;
                while let Err(Failure::Late { ticket, means }) = answer {
                    told.lock()
                        .unwrap()
                        .push(Err(Failure::Late { ticket: koboshi_runtime::kit::Ticket::new(ticket.position), means }));
                    answer = koboshi_runtime::kit::ClientEnd::wait(work.end(), ticket, Duration::from_millis(30)).await;
                }
                told.lock().unwrap().push(answer);
                sleep(Duration::from_millis(10)).await;
            }
            Exit::Done
        }
    };
    let serves = |_| async { match work::serve(Adder, ServicePort::open::<work::Port>(0).unwrap()).await {} };
    let component = |name: &str, linked| ImageComponent {
        swappable: None,
        name: name.to_owned(),
        linked,
        vcpu: 0,
        respond_within: MS,
        recover_within: None,
        configuration: vec![],
        rights: Rights::default(),
    };
    let connection = Connection {
        when_gone,
        interface: &work::INTERFACE,
        near: PortEnd { component: ComponentId(0), port: 0 },
        far: PortEnd { component: SERVER, port: 0 },
        slots: 8,
        routed: false,
    };
    let image = Image {
        components: vec![
            component("asks", Linked::new(&ASKS, asks)),
            component("serves", Linked::new(&SERVES, serves)),
        ],
        connections: vec![connection],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    };
    (Machine::new(&image, Options::default()).unwrap(), told)
}

/// What the client was told, from the server's end on: refused, late, answered.
fn told_after_an_end(when_gone: WhenGone, how: Command) -> (usize, usize, Vec<u32>) {
    let (mut machine, told) = pair(when_gone);
    machine.run_until(55 * MS);
    machine.command(SERVER, how).unwrap();
    let before = told.lock().unwrap().len();
    machine.run_until(255 * MS);
    machine.command(SERVER, Command::Start).unwrap();
    machine.run_until(400 * MS);
    assert!(machine.panics().is_empty(), "{:?}", machine.panics());
    let told = told.lock().unwrap();
    let (mut gone, mut late, mut answers) = (0, 0, vec![]);
    for it in told.iter().skip(before) {
        match it {
            Ok(answer) => answers.push(*answer),
            Err(Failure::Gone { .. }) => gone += 1,
            Err(Failure::Late { .. }) => late += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    (gone, late, answers)
}

#[test]
fn a_client_that_waits_is_late_at_its_deadlines_and_loses_nothing() {
    for how in [Command::Stop, Command::GiveUp] {
        let (gone, late, answers) = told_after_an_end(WhenGone::Wait, how);
        assert_eq!(gone, 0, "nobody is refused");
        assert!(late >= 4, "deadlines still end the wait: {late}");
        assert!(answers.len() > 5 && answers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{answers:?}");
    }
}

#[test]
fn a_client_that_is_refused_is_told_at_once_each_time() {
    for how in [Command::Stop, Command::GiveUp] {
        let (gone, late, answers) = told_after_an_end(WhenGone::Refuse, how);
        assert!(gone > 10, "{gone}");
        assert_eq!(late, 0);
        assert!(!answers.is_empty(), "it is served again");
    }
}

#[test]
fn a_line_whose_driver_is_waited_for_sends_what_was_under_way_when_the_driver_is_started_again() {
    let setup = Setup::default();
    let mut policy = policy(&setup);
    policy.groups[0].escalate = Escalation::GiveUp;
    let mut image = image(&setup);
    image.components[MANAGER.index()].configuration = postcard::to_stdvec(&policy).unwrap();
    let to_driver = image.connections.iter_mut().find(|it| it.near.component == SOS && it.far.component == DRIVER);
    to_driver.unwrap().when_gone = WhenGone::Wait;
    let mut machine = Machine::new(&image, Options::default()).unwrap();
    machine.run_until(5 * MS);
    let bytes = numbered(64, 4);
    machine.application(APPLICATION, |end| end.offer(&bytes).unwrap()).unwrap();
    machine.run_until(7 * MS);
    machine.command(DRIVER, Command::GiveUp).unwrap();
    machine.run_until(3_000 * MS);
    assert_eq!(machine.facts(DRIVER).unwrap().state, State::GivenUp);
    for id in EVERYBODY.into_iter().filter(|id| *id != DRIVER) {
        assert_eq!(machine.facts(id).unwrap().epoch, 1, "{} is at fault for nothing", machine.name(id));
    }
    assert_eq!(machine.reboots(), 0);
    assert_eq!(machine.status(DRIVER).unwrap().oldest.unwrap().operation, Some("write"));
    machine.command(DRIVER, Command::Start).unwrap();
    machine.run_until(4_000 * MS);
    let heard = machine.scif(SCIF, |scif| scif.wire_mut().take_received()).unwrap();
    assert_eq!(heard, bytes, "each byte once");
}

#[test]
fn nobody_is_late_on_account_of_a_pause_that_is_longer_than_every_deadline() {
    let broken = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&broken);
    let driver = Linked::new(&koboshi_scif_driver::DESCRIPTION, move |start| {
        let broken = asked.load(Ordering::Relaxed);
        async move {
            assert!(!broken, "it falls over");
            koboshi_scif_driver::start(start).await
        }
    });
    let setup = Setup { driver: Some(driver), ..Setup::default() };
    let mut policy = policy(&setup);
    (policy.groups[0].backoff_first_ms, policy.groups[0].backoff_most_ms) = (3_000, 3_000);
    let mut image = image(&setup);
    image.components[MANAGER.index()].configuration = postcard::to_stdvec(&policy).unwrap();
    let mut machine = Machine::new(&image, Options::default()).unwrap();
    machine.run_until(5 * MS);
    let bytes = numbered(200, 4);
    machine.application(APPLICATION, |end| end.offer(&bytes).unwrap()).unwrap();
    machine.run_until(7 * MS);
    broken.store(true, Ordering::Relaxed);
    machine.kill(DRIVER);
    machine.run_until(10 * MS);
    assert_eq!(machine.facts(DRIVER).unwrap().state, State::Backoff);
    broken.store(false, Ordering::Relaxed);
    machine.run_until(2_900 * MS);
    assert_eq!(machine.facts(DRIVER).unwrap().state, State::Backoff, "it still pauses");
    machine.run_until(5_000 * MS);
    let epochs = EVERYBODY.map(|id| machine.facts(id).unwrap().epoch);
    let others = EVERYBODY.iter().zip(epochs).filter(|(id, _)| **id != DRIVER);
    assert!(others.clone().all(|(_, epoch)| epoch == 1), "{epochs:?}");
    assert!(machine.facts(DRIVER).unwrap().fault == Some(Fault::Panic), "and it is not late itself");
    assert_eq!(machine.scif(SCIF, |scif| scif.wire_mut().take_received()).unwrap(), bytes);
}
