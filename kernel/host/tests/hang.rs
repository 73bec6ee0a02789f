//! A component that never comes back to its wait is noticed, whatever an image says of the quantum.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_core::life::Fault;
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::How;
use koboshi_host::testing::image;
use koboshi_runtime::{Description, Duration, sleep};

const IDLER: Description = Description { name: "idler", ports: &[], devices: &[], interrupts: &[], kept: None };

#[test]
fn a_hang_is_noticed_also_with_a_quantum_of_no_time() {
    for quantum in [1_000_000, 0] {
        let idler = Linked::new(&IDLER, |_| async {
            loop {
                sleep(Duration::from_micros(10)).await;
            }
        });
        let mut image = image(vec![idler]);
        image.costs.quantum = quantum;
        let mut machine = Machine::new(&image, Options::default()).unwrap();
        let id = machine.component_named("idler").unwrap();
        machine.run_until(1_000_000);
        machine.knock(id, How::Hang);
        machine.run_until(10_000_000);
        assert_eq!(machine.facts(id).and_then(|facts| facts.fault), Some(Fault::Stuck), "{quantum} ns");
    }
}
