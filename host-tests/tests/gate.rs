//! Nothing of an ended incarnation reaches anything: not by the destructors that its unwinding runs, and not later.

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::application::{Application, register};
use koboshi_host::image::{Costs, DeviceModelKind, Image, ImageComponent, ImageDevice};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_runtime::platform::{Width, koboshi_write};
use koboshi_runtime::time::sleep;
use koboshi_runtime::{Description, Device, Duration, Exit, Start, now};

const DESCRIPTION: Description =
    Description { name: "tidy", ports: &[], devices: &["application"], interrupts: &[], kept: None };

/// Pushes a byte when it is dropped.
struct Tidy(Device);

impl Drop for Tidy {
    fn drop(&mut self) {
        self.0.write32(register::PUSH, u32::from(b'x'));
    }
}

/// The same, past the runtime.
struct Wild;

impl Drop for Wild {
    fn drop(&mut self) {
        koboshi_write(0, register::PUSH, Width::Word, u32::from(b'y'));
    }
}

async fn tidy(_: Start) -> Exit {
    let _tidy = Tidy(Device::open(0));
    sleep(Duration::from_millis(1)).await;
    panic!("on purpose, at {}", now());
}

async fn wild(_: Start) -> Exit {
    let _wild = Wild;
    sleep(Duration::from_millis(1)).await;
    panic!("on purpose, at {}", now());
}

async fn waiting(_: Start) -> Exit {
    let _tidy = Tidy(Device::open(0));
    sleep(Duration::from_secs(1)).await;
    Exit::Done
}

fn machine(linked: Linked) -> Machine {
    let component = ImageComponent {
        swappable: None,
        recover_within: None,
        name: "tidy".to_owned(),
        linked,
        vcpu: 0,
        respond_within: 1_000_000,
        configuration: vec![],
        rights: Rights::default(),
    };
    let device = ImageDevice {
        safe: Vec::new(),
        name: "end".to_owned(),
        owner: ComponentId(0),
        number: 0,
        first_line: 0,
        model: DeviceModelKind::Application(Box::new(Application::new(16))),
    };
    let image = Image {
        components: vec![component],
        connections: vec![],
        devices: vec![device],
        manager: None,
        costs: Costs::default(),
    };
    Machine::new(&image, Options::default()).unwrap()
}

#[test]
fn a_destructor_that_unwinding_runs_reaches_no_device() {
    let mut machine = machine(Linked::new(&DESCRIPTION, tidy));
    machine.run_until(5_000_000);
    assert_eq!(machine.application("end", |end| end.pushed()), Some(0));
    assert_eq!(machine.panics().len(), 1);
    assert_eq!(machine.take_panics().len(), 1);
    assert!(machine.take_panics().is_empty(), "each is taken once");
    assert_eq!(machine.stale_accesses(), 0);
}

#[test]
fn a_component_that_is_ended_while_it_waits_is_overwritten_and_not_dropped() {
    let mut machine = machine(Linked::new(&DESCRIPTION, waiting));
    machine.run_until(5_000_000);
    machine.kill(ComponentId(0));
    machine.run_until(5_000_000_000);
    assert_eq!(machine.application("end", |end| end.pushed()), Some(0));
    assert_eq!(machine.stale_accesses(), 0);
}

#[test]
fn a_struck_component_cannot_act_while_it_unwinds_and_one_that_tries_is_counted() {
    for (linked, stale) in [(Linked::new(&DESCRIPTION, tidy), 0), (Linked::new(&DESCRIPTION, wild), 1)] {
        let mut machine = machine(linked);
        machine.knock(ComponentId(0), koboshi_host::strike::How::Panic);
        machine.run_until(5_000_000);
        assert_eq!(machine.application("end", |end| end.pushed()), Some(0));
        assert_eq!(machine.stale_accesses(), stale);
    }
}
