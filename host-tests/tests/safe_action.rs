//! What is left of a device whose component was given up: what its image says, once, and nothing else ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use koboshi_core::ComponentId;
use koboshi_core::kernel::Command;
use koboshi_core::life::State;
use koboshi_host::application::register;
use koboshi_host::device::{BadAccess, DeviceModel, Width};
use koboshi_host::image::{Image, SafeWrite};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{ImageError, Machine, Options};
use koboshi_host_tests::scenario::numbered;
use koboshi_host_tests::system::{APPLICATION, DRIVER, MANAGER, MONITOR, SCIF, Setup, image, policy};
use koboshi_restart_manager::policy::Escalation;

const MS: u64 = 1_000_000;

/// Serial control: the enables of transmitter, receiver and interrupts.
const SCSCR: u32 = 0x08;
/// FIFO control.
const SCFCR: u32 = 0x18;
/// Holds both FIFOs empty.
const RESET_FIFOS: u32 = 0b110;

/// Transmitter, receiver and interrupts off, then both FIFOs held empty.
fn off() -> Vec<SafeWrite> {
    vec![
        SafeWrite { offset: SCSCR, width: Width::Half, value: 0 },
        SafeWrite { offset: SCFCR, width: Width::Half, value: RESET_FIFOS },
    ]
}

/// The system, with a driver that is given up at its fourth fruitless death, and that can be told to fall over.
struct House {
    machine: Machine,
    broken: Arc<AtomicBool>,
}

fn broken_image(safe: Vec<SafeWrite>, broken: &Arc<AtomicBool>) -> Image {
    let asked = Arc::clone(broken);
    let driver = Linked::new(&koboshi_scif_driver::DESCRIPTION, move |start| {
        let broken = asked.load(Ordering::Relaxed);
        async move {
            assert!(!broken, "it falls over");
            koboshi_scif_driver::start(start).await
        }
    });
    let setup = Setup { driver: Some(driver), ..Setup::default() };
    let mut policy = policy(&setup);
    policy.groups[0].intensity = 3;
    policy.groups[0].escalate = Escalation::GiveUp;
    let mut image = image(&setup);
    image.components[MANAGER.index()].configuration = postcard::to_stdvec(&policy).unwrap();
    image.devices[0].safe = safe;
    // The program's end is another's: it is told of a failure when the Monitor is given up.
    image.devices[1].safe = vec![SafeWrite { offset: register::STATE, width: Width::Word, value: 2 }];
    image
}

impl House {
    fn new(safe: Vec<SafeWrite>, broken: bool) -> Self {
        let broken = Arc::new(AtomicBool::new(broken));
        let image = broken_image(safe, &broken);
        let options = Options { journal: Depth::All, ..Options::default() };
        House { machine: Machine::new(&image, options).unwrap(), broken }
    }

    fn run(&mut self, span: u64) {
        let end = self.machine.now() + span;
        self.machine.run_until(end);
    }

    fn state(&self) -> State {
        self.machine.facts(DRIVER).unwrap().state
    }

    fn fall_until_given_up(&mut self) {
        self.broken.store(true, Ordering::Relaxed);
        self.machine.kill(DRIVER);
        self.run(2_000 * MS);
        assert_eq!(self.state(), State::GivenUp);
    }

    /// Serial control and FIFO control, as anybody who looks at the device finds them.
    fn registers(&mut self) -> (u32, u32) {
        let now = self.machine.now();
        let look = |offset| move |scif: &mut koboshi_host::scif::Scif| scif.read(offset, Width::Half, now).unwrap();
        (self.machine.scif(SCIF, look(SCSCR)).unwrap(), self.machine.scif(SCIF, look(SCFCR)).unwrap())
    }

    /// The driver's.
    fn safe_actions(&self) -> Vec<(String, usize)> {
        self.safe_actions_of(DRIVER)
    }

    fn safe_actions_of(&self, id: ComponentId) -> Vec<(String, usize)> {
        let journal = self.machine.journal();
        let of_it = journal.events().filter_map(|(_, event)| match event {
            Event::SafeAction { component, device, writes } if *component == id => Some((device.clone(), *writes)),
            _ => None,
        });
        of_it.collect()
    }
}

#[test]
fn a_device_whose_driver_is_given_up_has_its_transmitter_and_its_interrupts_off() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    assert_ne!(house.registers().0, 0, "the driver has the device at work");
    house.fall_until_given_up();
    assert_eq!(house.registers(), (0, RESET_FIFOS));
    assert_eq!(house.machine.scif(SCIF, |scif| scif.asserted()), Some(0));
    assert_eq!(house.safe_actions(), [(SCIF.to_owned(), 2)]);
    assert_eq!(house.machine.stale_accesses(), 0);
}

#[test]
fn what_the_line_was_sending_is_cut_short_at_the_moment_of_giving_up_and_not_before() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    let bytes = numbered(64, 3);
    house.machine.application(APPLICATION, |end| end.offer(&bytes).unwrap()).unwrap();
    house.run(2 * MS);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.run(100 * MS);
    let heard = house.machine.scif(SCIF, |scif| scif.wire_mut().take_received()).unwrap();
    assert!(!heard.is_empty() && heard.len() < bytes.len() && bytes.starts_with(&heard), "{heard:?}");
    assert!(house.machine.scif(SCIF, |scif| scif.counters().transmitted).unwrap() >= heard.len() as u64);
    assert!(!house.machine.scif(SCIF, |scif| scif.is_transmitting()).unwrap());
}

#[test]
fn without_a_safe_action_a_device_stays_as_its_driver_left_it() {
    let mut house = House::new(vec![], false);
    house.run(5 * MS);
    let before = house.registers();
    house.fall_until_given_up();
    assert_eq!(house.registers(), before);
    assert!(house.safe_actions().is_empty());
}

#[test]
fn a_restart_and_a_stop_leave_the_device_alone() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    let before = house.registers();
    house.machine.kill(DRIVER);
    house.run(5 * MS);
    assert_eq!((house.state(), house.registers()), (State::Running, before));
    house.machine.command(DRIVER, Command::Stop).unwrap();
    house.run(5 * MS);
    assert_eq!((house.state(), house.registers()), (State::Stopped, before));
    assert!(house.safe_actions().is_empty());
}

#[test]
fn a_driver_that_never_came_up_is_given_up_with_its_safe_action_too() {
    let mut house = House::new(off(), true);
    // As whoever loaded the machine left it.
    house.machine.scif(SCIF, |scif| scif.write(SCSCR, Width::Half, 0xF0, 0)).unwrap().unwrap();
    house.run(2_000 * MS);
    assert_eq!(house.state(), State::GivenUp);
    assert_eq!(house.registers().0, 0);
    assert_eq!(house.safe_actions().len(), 1);
}

#[test]
fn a_component_that_was_never_started_is_given_up_with_its_safe_action_too() {
    let mut house = House::new(off(), false);
    assert_eq!(house.state(), State::Absent);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.run(5 * MS);
    assert_eq!((house.state(), house.safe_actions().len()), (State::GivenUp, 1));
}

#[test]
fn a_safe_action_happens_once_for_each_giving_up() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.run(5 * MS);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.run(5 * MS);
    assert_eq!(house.safe_actions().len(), 1, "it was given up already");
    house.machine.command(DRIVER, Command::Start).unwrap();
    house.run(5 * MS);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.run(5 * MS);
    assert_eq!(house.safe_actions().len(), 2);
}

#[test]
fn a_driver_that_is_started_again_after_it_was_given_up_works() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    house.fall_until_given_up();
    house.broken.store(false, Ordering::Relaxed);
    house.machine.command(DRIVER, Command::Start).unwrap();
    house.run(1_000 * MS);
    let (out, back) = (numbered(300, 5), numbered(300, 6));
    assert_eq!(house.machine.application(APPLICATION, |end| end.offer(&out)), Some(Ok(300)));
    house.machine.scif(SCIF, |scif| scif.wire_mut().send_bytes(back.iter().copied()));
    house.run(200 * MS);
    assert_eq!(house.machine.scif(SCIF, |scif| scif.wire_mut().take_received()), Some(out));
    assert_eq!(house.machine.application(APPLICATION, |end| end.take_received()), Some(back));
}

#[test]
fn giving_up_one_component_leaves_the_devices_of_others_alone() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    let before = house.registers();
    house.machine.command(MONITOR, Command::GiveUp).unwrap();
    house.run(5 * MS);
    assert_eq!(house.safe_actions_of(MONITOR), [(APPLICATION.to_owned(), 1)]);
    assert_eq!(house.machine.application(APPLICATION, |end| end.failed()), Some(true), "the program is told");
    assert_eq!((house.registers(), house.safe_actions()), (before, vec![]));
}

#[test]
fn a_safe_action_that_is_due_when_the_image_reboots_is_carried_out_first() {
    let mut house = House::new(off(), false);
    house.run(5 * MS);
    house.machine.command(DRIVER, Command::GiveUp).unwrap();
    house.machine.command(DRIVER, Command::Reboot).unwrap();
    house.run(5 * MS);
    assert_eq!((house.machine.reboots(), house.safe_actions().len()), (1, 1));
    let journal = house.machine.journal();
    let at = |wanted: fn(&Event) -> bool| journal.events().position(|(_, event)| wanted(event)).unwrap();
    assert!(at(|event| matches!(event, Event::SafeAction { .. })) < at(|event| *event == Event::Rebooted));
}

#[test]
fn a_safe_action_that_the_device_refuses_is_named_before_anything_runs() {
    let broken = Arc::new(AtomicBool::new(false));
    let refused = |write| Machine::new(&broken_image(vec![off()[0], write], &broken), Options::default()).err();
    let nowhere = SafeWrite { offset: 0x99, width: Width::Half, value: 0 };
    let why = BadAccess::NoRegister { offset: 0x99 };
    assert_eq!(
        refused(nowhere),
        Some(ImageError::SafeAction { device: SCIF.to_owned(), offset: 0x99, width: Width::Half, why })
    );
    let too_wide = SafeWrite { offset: SCSCR, width: Width::Word, value: 0 };
    let text = refused(too_wide).unwrap().to_string();
    assert_eq!(text.lines().count(), 1);
    for part in [SCIF, "0x8", "Word", "Half"] {
        assert!(text.contains(part), "{text}");
    }
}
