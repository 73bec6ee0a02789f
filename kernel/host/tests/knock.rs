//! A component with the right may knock another one over.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::knock::Knock;
use koboshi_core::life::Fault;
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::testing::image;
use koboshi_runtime::{Description, Duration, authority, sleep};

const VICTIM: ComponentId = ComponentId(1);

const fn named(name: &'static str) -> Description {
    Description { name, ports: &[], devices: &[], interrupts: &[], kept: None }
}
const OTHER: Description = named("other");
const IDLER: Description = named("idler");

/// What ends the victim once another one has commanded this knock, with the right to or without.
fn ended_by(knock: Knock, right: bool) -> Option<Fault> {
    let other = Linked::new(&OTHER, move |_| async move {
        sleep(Duration::from_micros(10)).await;
        let done = authority::command(VICTIM, Command::Knock(knock));
        assert_eq!(done.is_ok(), right);
        std::future::pending().await
    });
    let idler = Linked::new(&IDLER, |_| async {
        loop {
            sleep(Duration::from_micros(10)).await;
        }
    });
    let mut image = image(vec![other, idler]);
    image.components[0].rights = Rights { control: if right { VICTIM.bit() } else { 0 }, ..Rights::default() };
    let mut machine = Machine::new(&image, Options::default()).unwrap();
    machine.run_until(10_000_000);
    assert_eq!(machine.panics(), [""; 0]);
    machine.facts(VICTIM).and_then(|facts| facts.fault)
}

#[test]
fn a_component_with_the_right_knocks_another_one_over() {
    let ways = [(Knock::Panic, Fault::Panic), (Knock::Hang, Fault::Stuck), (Knock::Exit, Fault::Exit)];
    for (knock, fault) in ways {
        assert_eq!(ended_by(knock, true), Some(fault), "{knock}");
    }
}

#[test]
fn a_component_without_the_right_knocks_nobody_over() {
    assert_eq!(ended_by(Knock::Panic, false), None);
}
