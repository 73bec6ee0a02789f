//! Ports in whole images where one component is as small as can be.

use std::sync::{Arc, Mutex};

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_core::life::Fault;
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_runtime::kit::{Operation, ServerEnd, decode};
use koboshi_runtime::time::wake_at;
use koboshi_runtime::{
    Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, Start, now, sleep,
};

mod work {
    koboshi_interface_kit::interface! {
        /// Adds.
        service work;

        | operation | contract   | request | reply | deadline | meaning                 |
        | --------- | ---------- | ------- | ----- | -------- | ----------------------- |
        | add_one   | Idempotent | u32     | u32   | 1 s      | "Adds one to a number." |
    }
}

const MS: u64 = 1_000_000;

const CLIENT: Description = Description {
    name: "client",
    ports: &[PortDescription { name: "work", side: Side::Uses, interface: &work::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const SERVER: Description = Description {
    name: "server",
    ports: &[PortDescription { name: "work", side: Side::Offers, interface: &work::INTERFACE }],
    ..CLIENT
};

fn machine(components: Vec<Linked>, joined: bool) -> Machine {
    let component = |linked: Linked| ImageComponent {
        swappable: None,
        recover_within: None,
        name: linked.description().name.to_owned(),
        linked,
        vcpu: 0,
        respond_within: 200_000,
        configuration: vec![],
        rights: Rights::default(),
    };
    let end = |component| PortEnd { component: ComponentId(component), port: 0 };
    let connection = Connection {
        when_gone: WhenGone::default(),
        interface: &work::INTERFACE,
        near: end(0),
        far: end(1),
        slots: 8,
        routed: false,
    };
    let image = Image {
        components: components.into_iter().map(component).collect(),
        connections: if joined { vec![connection] } else { vec![] },
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    };
    Machine::new(&image, Options::default()).unwrap()
}

#[test]
fn a_port_that_nothing_is_joined_to_is_not_there() {
    let found = Arc::new(Mutex::new(None));
    let told = Arc::clone(&found);
    let client = Linked::new(&CLIENT, move |_: Start| {
        let told = Arc::clone(&told);
        async move {
            *told.lock().unwrap() = Some(RequestPort::open::<work::Port>(0).is_err());
            Exit::Done
        }
    });
    machine(vec![client], false).run_until(MS);
    assert_eq!(*found.lock().unwrap(), Some(true));
}

#[test]
fn a_component_that_polls_for_ever_is_stuck() {
    let client = Linked::new(&CLIENT, |_: Start| async {
        loop {
            wake_at(now());
        }
    });
    let mut machine = machine(vec![client], false);
    machine.run_until(10 * MS);
    assert_eq!(machine.facts(ComponentId(0)).unwrap().fault, Some(Fault::Stuck));
}

#[test]
fn a_cancelled_request_behind_one_in_hand_ends_in_its_turn() {
    let answers = Arc::new(Mutex::new(vec![]));
    let told = Arc::clone(&answers);
    let client = Linked::new(&CLIENT, move |_: Start| {
        let told = Arc::clone(&told);
        async move {
            let mut port = RequestPort::open::<work::Port>(0).unwrap();
            let deadline = now() + Duration::from_millis(500);
            let sent = [1, 2, 3].map(|number| port.send_message::<work::operation::add_one>(&number, 0, deadline));
            port.cancel(sent[1].unwrap());
            for position in [sent[0].unwrap(), sent[2].unwrap()] {
                let reply = port.reply_before(position, deadline).await;
                told.lock().unwrap().push(reply.map(|reply| reply.message.bytes().to_vec()));
                port.settle(position);
            }
            loop {
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let server = Linked::new(&SERVER, |_: Start| async {
        let mut port = ServicePort::open::<work::Port>(0).unwrap();
        loop {
            // All that can be taken is in hand at once, as with one that only forwards.
            let mut in_hand = vec![port.next_request().await];
            while let Some(taken) = port.take() {
                in_hand.push(taken);
            }
            for taken in in_hand {
                assert_eq!(taken.message.header.tag, work::operation::add_one::INDEX);
                let number: u32 = decode(taken.message.bytes()).unwrap();
                assert_ne!(number, 2, "it was cancelled");
                port.answer(taken.in_hand(), &(number + 1)).await;
            }
        }
    });
    let mut machine = machine(vec![client, server], true);
    machine.run_until(1_000 * MS);
    assert_eq!(machine.panics(), &[] as &[String]);
    assert_eq!(*answers.lock().unwrap(), [Some(vec![2]), Some(vec![4])]);
}
