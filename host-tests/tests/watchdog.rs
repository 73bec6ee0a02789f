//! A linked-in component that truly loops is named, and the image ends.

use std::process::Command;
use std::time::Duration;

use koboshi_core::kernel::Rights;
use koboshi_host::image::{Costs, Image, ImageComponent};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::watchdog;
use koboshi_runtime::{Description, Exit, Start, now};

const DESCRIPTION: Description = Description { name: "looper", ports: &[], devices: &[], interrupts: &[], kept: None };

async fn looper(_: Start) -> Exit {
    while now().as_ticks() < u64::MAX {}
    Exit::Done
}

/// The process that loops: the other test starts it.
#[test]
#[ignore = "it loops; another test runs it in a process of its own"]
fn loops() {
    let component = ImageComponent {
        swappable: None,
        recover_within: None,
        name: "looper-7".to_owned(),
        linked: Linked::new(&DESCRIPTION, looper),
        vcpu: 0,
        respond_within: 1_000_000,
        configuration: vec![],
        rights: Rights::default(),
    };
    let image = Image {
        components: vec![component],
        connections: vec![],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    };
    let options = Options { watchdog: Some(Duration::from_millis(200)), ..Options::default() };
    Machine::new(&image, options).unwrap().run_until(1_000_000);
}

#[test]
fn a_component_that_loops_is_named_and_the_image_ends() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "loops", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(watchdog::EXIT), "{told}");
    assert!(told.contains("`looper-7` has had the processor"), "{told}");
}
