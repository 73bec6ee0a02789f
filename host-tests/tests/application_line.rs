//! The program's end of a line, in the whole system: what it sees while what is below it is down, and what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::life::{Fault, State};
use koboshi_host::application::{Announcement, LineGone};
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::{APPLICATION, DRIVER, MANAGER, MONITOR, SCIF, SOS, Setup, image, policy};
use koboshi_interfaces::serial::{self, Chunk, operation};
use koboshi_restart_manager::policy::{Escalation, Strategy};
use koboshi_runtime::kit::{ClientEnd, Failure};
use koboshi_runtime::{Description, Duration, Exit, PortDescription, RequestPort, Side, log};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// "At once", in platform time.
const AT_ONCE: u64 = MS;

/// The system, with a driver that can be told to fall over whenever it is started.
struct House {
    machine: Machine,
    broken: Arc<AtomicBool>,
}

impl House {
    /// `intensity` is how many deaths in a second the driver may die before it is given up.
    fn new(intensity: u8) -> Self {
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
        policy.groups[0].intensity = intensity;
        policy.groups[0].escalate = Escalation::GiveUp;
        policy.groups[1].strategy = Strategy::OneForOne;
        let mut image = image(&setup);
        image.components[MANAGER.index()].configuration = postcard::to_stdvec(&policy).unwrap();
        let options = Options { journal: Depth::All, ..Options::default() };
        let mut house = House { machine: Machine::new(&image, options).unwrap(), broken };
        house.run(5 * MS);
        house
    }

    /// The driver was given up while nothing was under way.
    fn given_up() -> Self {
        let mut house = House::new(3);
        house.break_driver();
        house.run_to_given_up();
        house.run(AT_ONCE);
        house
    }

    fn run(&mut self, span: u64) {
        let end = self.machine.now() + span;
        self.machine.run_until(end);
        let strange: Vec<_> = self.machine.panics().iter().filter(|text| !text.contains("it falls over")).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    fn state(&self) -> State {
        self.machine.facts(DRIVER).unwrap().state
    }

    /// From now on the driver falls over whenever it is started.
    fn break_driver(&mut self) {
        self.broken.store(true, Ordering::Relaxed);
        self.machine.kill(DRIVER);
    }

    fn mend_driver(&mut self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    fn run_to_given_up(&mut self) {
        let end = self.machine.now() + 2 * S;
        while self.state() != State::GivenUp {
            assert!(self.machine.now() < end, "it is not given up");
            self.run(MS / 10);
        }
    }

    /// Somebody starts the line again.
    fn start_driver(&mut self) {
        self.machine.command(DRIVER, Command::Start).unwrap();
        self.run(S);
    }

    fn offer(&mut self, bytes: &[u8]) -> Result<usize, LineGone> {
        self.machine.application(APPLICATION, |end| end.offer(bytes)).unwrap()
    }

    fn gone(&mut self) -> bool {
        self.machine.application(APPLICATION, |end| end.failed()).unwrap()
    }

    fn announced(&mut self) -> Vec<Announcement> {
        let told = self.machine.application(APPLICATION, |end| end.announced().to_vec()).unwrap();
        told.into_iter().map(|(_, what)| what).collect()
    }

    fn heard(&mut self) -> Vec<u8> {
        self.machine.scif(SCIF, |scif| scif.wire_mut().take_received()).unwrap()
    }

    fn received(&mut self) -> Vec<u8> {
        self.machine.application(APPLICATION, |end| end.take_received()).unwrap()
    }

    /// The line carries bytes both ways, and nothing but these.
    fn assert_carries(&mut self) {
        let (out, back) = (numbered(300, 5), numbered(300, 6));
        assert_eq!(self.offer(&out), Ok(300));
        self.machine.scif(SCIF, |scif| scif.wire_mut().send_bytes(back.iter().copied()));
        self.run(200 * MS);
        assert_eq!(self.heard(), out);
        assert_eq!(self.received(), back);
        let misuses = self.machine.application(APPLICATION, |end| end.misuses()).unwrap();
        assert_eq!(misuses, 0);
    }
}

#[test]
fn while_the_driver_is_down_the_program_sees_back_pressure_and_nothing_else() {
    let mut house = House::new(15);
    let out = numbered(6_000, 1);
    let mut offered = house.offer(&out[..1_000]).unwrap();
    house.run(10 * MS);
    house.break_driver();
    let down = house.machine.now() + 600 * MS;
    let mut waited = 0;
    while house.machine.now() < down {
        let taken = house.offer(&out[offered..]).unwrap();
        offered += taken;
        waited += usize::from(taken == 0);
        house.run(5 * MS);
        assert!(!house.gone());
    }
    assert!(waited > 50 && offered < out.len(), "{offered} of {} bytes went into a line that is down", out.len());
    assert_ne!(house.state(), State::GivenUp);
    house.mend_driver();
    let end = house.machine.now() + 3 * S;
    while house.machine.now() < end {
        offered += house.offer(&out[offered..]).unwrap();
        house.run(5 * MS);
    }
    assert_eq!(house.heard(), out, "{}", house.machine.journal());
    assert_eq!(house.announced(), []);
}

#[test]
fn when_the_driver_is_given_up_in_the_middle_of_a_stream_the_program_is_told_at_once() {
    let mut house = House::new(3);
    let out = numbered(3_000, 1);
    assert_eq!(house.offer(&out), Ok(3_000));
    house.run(20 * MS);
    house.break_driver();
    house.run_to_given_up();
    house.run(AT_ONCE);
    assert_eq!(house.offer(&[1]), Err(LineGone));
    assert!(house.announced().contains(&Announcement::NotSent));
    let heard = house.heard();
    assert!(heard.len() < out.len() && out.starts_with(&heard));
    // Everything outstanding has ended.
    assert_eq!(house.machine.application(APPLICATION, |end| end.waiting()), Some(0));
    house.mend_driver();
    house.start_driver();
    assert!(!house.gone());
    let more = house.heard();
    let all = [heard, more].concat();
    assert!(all.len() < out.len() && out.starts_with(&all), "what the driver had in hand at most");
    house.received();
    house.assert_carries();
}

#[test]
fn a_program_that_only_listens_is_told_at_once_too() {
    let mut house = House::new(3);
    house.break_driver();
    house.run_to_given_up();
    house.run(AT_ONCE);
    assert!(house.gone());
    assert_eq!(house.announced(), [], "nothing of the program's was under way");
}

#[test]
fn a_program_that_does_not_read_is_told_at_once_too() {
    let mut house = House::new(3);
    house.machine.scif(SCIF, |scif| scif.wire_mut().send_bytes(numbered(6_000, 1)));
    house.run(S);
    house.break_driver();
    house.run_to_given_up();
    house.run(AT_ONCE);
    assert!(house.gone());
}

#[test]
fn a_line_that_is_gone_takes_nothing_and_nothing_waits_in_it() {
    let mut house = House::given_up();
    for _ in 0..50 {
        assert_eq!(house.offer(&[1, 2, 3]), Err(LineGone));
        house.run(20 * MS);
    }
    assert_eq!(LineGone.to_string().lines().count(), 1);
    assert_eq!(house.machine.stale_accesses(), 0);
    assert_eq!(house.state(), State::GivenUp);
}

#[test]
fn a_start_by_command_brings_the_line_back() {
    let mut house = House::given_up();
    house.run(10 * S);
    house.mend_driver();
    house.start_driver();
    assert!(!house.gone());
    house.assert_carries();
}

#[test]
fn a_line_that_falls_over_again_is_gone_again() {
    let mut house = House::given_up();
    house.machine.command(DRIVER, Command::Start).unwrap();
    house.run_to_given_up();
    house.run(AT_ONCE);
    assert_eq!(house.offer(&[1]), Err(LineGone));
    house.mend_driver();
    house.start_driver();
    house.assert_carries();
}

#[test]
fn a_setting_that_is_wanted_of_a_line_that_is_gone_is_made_when_it_is_back() {
    let mut house = House::given_up();
    house.machine.application(APPLICATION, |end| end.set_line(38_400, 0));
    house.run(S);
    assert!(house.gone());
    house.mend_driver();
    house.start_driver();
    assert_eq!(house.machine.application(APPLICATION, |end| end.line_is_set()), Some(true));
    let outside = Setup { baud: 38_400, ..Setup::default() }.outside();
    house.machine.scif(SCIF, |scif| scif.wire_mut().set_settings(outside));
    house.assert_carries();
}

#[test]
fn a_setting_or_a_break_under_way_when_the_driver_is_given_up_ends() {
    for wants_break in [false, true] {
        let mut house = House::new(3);
        house.break_driver();
        house
            .machine
            .application(APPLICATION, |end| if wants_break { end.send_break(20) } else { end.set_line(9_600, 0) });
        house.run_to_given_up();
        house.run(AT_ONCE);
        assert!(house.gone());
        assert_eq!(house.announced(), if wants_break { vec![Announcement::NotSent] } else { vec![] });
    }
}

#[test]
fn a_monitor_that_dies_while_the_line_is_gone_keeps_it_gone_and_brings_it_back() {
    let mut house = House::given_up();
    house.machine.kill(MONITOR);
    house.run(50 * MS);
    assert_eq!(house.offer(&[1]), Err(LineGone));
    house.machine.kill(MONITOR);
    house.mend_driver();
    house.machine.command(DRIVER, Command::Start).unwrap();
    house.run(S);
    assert!(!house.gone());
    house.assert_carries();
}

#[test]
fn a_line_whose_sos_is_stopped_is_gone_when_it_is_used_and_comes_back_with_it() {
    let mut house = House::new(3);
    house.machine.command(SOS, Command::Stop).unwrap();
    house.run(10 * MS);
    assert_eq!(house.offer(&numbered(50, 1)), Ok(50));
    house.run(AT_ONCE);
    assert!(house.gone());
    assert_eq!(house.announced(), [Announcement::NotSent]);
    house.machine.command(SOS, Command::Start).unwrap();
    house.run(S);
    assert!(!house.gone());
    house.assert_carries();
}

// One clear error.

const LOST: Description = Description {
    name: "lost",
    ports: &[PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const NOBODY: Description = Description {
    name: "nobody",
    ports: &[PortDescription { name: "serial", side: Side::Offers, interface: &serial::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const ASKER: ComponentId = ComponentId(0);

/// A component that asks, joined to one that never answers.
fn pair<F: Future<Output = Exit> + 'static>(act: fn() -> F) -> Image {
    let component = |name: &str, linked| ImageComponent {
        swappable: None,
        recover_within: None,
        name: name.to_owned(),
        linked,
        vcpu: 0,
        respond_within: MS,
        configuration: vec![],
        rights: Rights::default(),
    };
    let end = |component, port| PortEnd { component: ComponentId(component), port };
    let asks = Connection {
        when_gone: WhenGone::default(),
        interface: &serial::INTERFACE,
        near: end(0, 0),
        far: end(1, 0),
        slots: 8,
        routed: false,
    };
    Image {
        components: vec![
            component("lost", Linked::new(&LOST, move |_| act())),
            component("nobody", Linked::new(&NOBODY, |_| std::future::pending())),
        ],
        connections: vec![asks],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    }
}

/// How the component that asks ended, and what it wrote to the log.
fn ended(image: &Image) -> (Option<Fault>, Vec<String>) {
    let mut machine = Machine::new(image, Options { journal: Depth::All, ..Options::default() }).unwrap();
    machine.run_until(S);
    assert!(machine.panics().is_empty(), "{:?}", machine.panics());
    let journal = machine.journal();
    let texts = journal.events().filter_map(|(_, event)| match event {
        Event::Log { component: ASKER, text } => Some(text.clone()),
        _ => None,
    });
    (machine.facts(ASKER).unwrap().fault, texts.collect())
}

#[test]
fn a_port_that_is_not_there_is_one_clear_error() {
    let image = pair(|| async {
        match RequestPort::open::<serial::Port>(7) {
            Ok(_) => Exit::Done,
            Err(unfit) => unfit,
        }
    });
    let (fault, texts) = ended(&image);
    assert_eq!(fault, Some(Fault::Exit));
    assert_eq!(texts, ["a port is not joined to the interface that it asks"]);
}

#[test]
fn a_message_over_its_size_is_one_clear_error_and_nothing_is_sent() {
    let Err(too_long) = Chunk::try_from(&[0; 97][..]) else { panic!("a chunk holds 96 bytes") };
    let text = too_long.to_string();
    assert!(!text.is_empty() && text.lines().count() == 1, "{text}");
    let image = pair(|| async {
        let mut port = RequestPort::open::<serial::Port>(0).unwrap();
        assert_eq!(port.send(0, 0, u64::MAX, &[0; 200]), None);
        assert_eq!(port.outstanding().count(), 0);
        log("not sent");
        Exit::Done
    });
    assert_eq!(ended(&image), (Some(Fault::Exit), vec!["not sent".to_owned()]));
}

#[test]
fn a_call_that_nobody_answers_is_late_and_one_without_room_is_not_sent() {
    let image = pair(|| async {
        let mut port = RequestPort::open::<serial::Port>(0).unwrap();
        let chunk = Chunk::default();
        for _ in 0..8 {
            let told = port.call::<operation::write>(&chunk, Duration::from_millis(1)).await;
            assert!(matches!(told, Err(Failure::Late { .. })), "{told:?}");
        }
        let told = port.call::<operation::write>(&chunk, Duration::from_millis(1)).await;
        assert_eq!(told, Err(Failure::NotSent));
        log("told");
        Exit::Done
    });
    assert_eq!(ended(&image), (Some(Fault::Exit), vec!["told".to_owned()]));
}

#[test]
fn a_port_that_is_joined_to_nothing_is_one_clear_error() {
    let mut image = pair(|| async {
        match RequestPort::open::<serial::Port>(0) {
            Ok(_) => Exit::Done,
            Err(unfit) => unfit,
        }
    });
    image.connections.clear();
    let told = vec!["a port is not joined to the interface that it asks".to_owned()];
    assert_eq!(ended(&image), (Some(Fault::Exit), told));
}

#[test]
fn an_image_that_joins_what_is_not_there_is_one_clear_error() {
    for (component, port) in [(1, 7), (9, 0)] {
        let mut image = pair(std::future::pending);
        image.connections[0].far = PortEnd { component: ComponentId(component), port };
        let Err(error) = Machine::new(&image, Options::default()) else { panic!("it runs") };
        let text = error.to_string();
        assert!(text.ends_with("one of its ends does not exist") && text.contains("serial"), "{text}");
    }
}
