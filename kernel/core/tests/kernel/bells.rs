//! Doorbells and interrupts.

use super::*;

// Doorbells.

#[test]
fn a_doorbell_wakes_the_peer_and_nobody_else() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.wait(SERVER, NEVER, 1);
        assert_eq!(kernel.dispatch(1), None);
    });
}

#[test]
fn a_doorbell_that_rings_while_its_hearer_is_away_is_heard_at_its_wait() {
    running(|kernel, _, _| {
        kernel.ring(CLIENT, 0, 1);
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.ring(CLIENT, 0, 2);
        kernel.wait(SERVER, NEVER, 3);
        assert_eq!(kernel.dispatch(3), Some(SERVER));
    });
}

#[test]
fn a_doorbell_to_a_dead_component_wakes_nobody_and_its_next_incarnation_looks_anyway() {
    running(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 1);
        rest(kernel, 1);
        kernel.ring(CLIENT, 0, 2);
        assert_eq!(kernel.dispatch(2), None);
        kernel.start(SERVER, Begin::Recovered, 3).unwrap();
        let woken: Vec<_> = std::iter::from_fn(|| {
            let id = kernel.dispatch(3)?;
            kernel.wait(id, NEVER, 3);
            Some(id)
        })
        .collect();
        assert!(woken.contains(&SERVER));
    });
}

#[test]
fn a_doorbell_of_a_dead_component_or_for_a_port_that_does_not_exist_is_not_heard() {
    running(|kernel, _, _| {
        kernel.fault(CLIENT, Fault::Panic, 1);
        rest(kernel, 1);
        kernel.ring(CLIENT, 0, 2);
        kernel.ring(SERVER, 9, 2);
        kernel.ring(NOBODY, 0, 2);
        assert_eq!(kernel.dispatch(2), None);
        assert_eq!(kernel.incidents().get(0).unwrap().answered_at, None);
    });
}

#[test]
fn peers_are_rung_when_one_dies_and_when_it_is_back() {
    running(|kernel, _, _| {
        for step in 0..2 {
            match step {
                0 => kernel.fault(SERVER, Fault::Panic, 1),
                _ => {
                    kernel.start(SERVER, Begin::Recovered, 1).unwrap();
                }
            }
            let mut woken = 0;
            while let Some(id) = kernel.dispatch(1) {
                woken |= id.bit();
                kernel.wait(id, NEVER, 1);
            }
            assert_eq!(woken & !SERVER.bit(), MANAGER.bit() | CLIENT.bit() | BYSTANDER.bit());
        }
        assert_eq!(kernel.peer(CLIENT, 0).unwrap().epoch, 2);
    });
}

#[test]
fn the_restart_manager_is_not_rung_for_what_it_has_started_itself() {
    for (by, rung) in [(Some(MANAGER), 0), (None, MANAGER.bit())] {
        running(|kernel, _, _| {
            kernel.fault(SERVER, Fault::Panic, 1);
            rest(kernel, 1);
            match by {
                Some(by) => kernel.command_for(by, SERVER, Command::Start, 2).unwrap(),
                None => kernel.command(SERVER, Command::Start, 2).unwrap(),
            }
            let mut woken = 0;
            while let Some(id) = kernel.dispatch(2) {
                woken |= id.bit();
                kernel.wait(id, NEVER, 2);
            }
            assert_eq!(woken, SERVER.bit() | CLIENT.bit() | BYSTANDER.bit() | rung, "peers are, in any case");
        });
    }
}

#[test]
fn whoever_asks_one_that_is_gone_gets_the_answer_at_once() {
    for command in [Command::Stop, Command::GiveUp] {
        running(|kernel, port, _| {
            let mut client = Client::open(port.record(), 1);
            client.send(0, b"before");
            kernel.command(SERVER, command, 1).unwrap();
            assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
            rest(kernel, 1);
            client.send(0, b"after");
            kernel.ring(CLIENT, 0, 2);
            assert_eq!(kernel.dispatch(2), Some(CLIENT));
            assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
        });
    }
}

// Interrupts.

#[test]
fn a_line_is_masked_until_its_owner_lives() {
    with(|kernel, _, _| {
        assert!(kernel.masked(LineId(0)));
        kernel.interrupt(LineId(0));
        assert!(!kernel.delivered(SERVER, 0));
        kernel.start(SERVER, Begin::Fresh, 0).unwrap();
        assert!(!kernel.masked(LineId(0)));
    });
}

#[test]
fn an_interrupt_wakes_its_owner_and_masks_its_line_until_it_is_acknowledged() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        assert!(kernel.masked(LineId(0)) && kernel.delivered(SERVER, 0));
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        kernel.wait(SERVER, NEVER, 1);
        kernel.interrupt(LineId(0));
        assert_eq!(kernel.dispatch(1), None, "masked");
        kernel.acknowledge(SERVER, 0);
        assert!(!kernel.masked(LineId(0)) && !kernel.delivered(SERVER, 0));
        kernel.interrupt(LineId(0));
        assert_eq!(kernel.dispatch(1), Some(SERVER));
    });
}

#[test]
fn a_line_of_a_dead_owner_is_masked_and_stays_so() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        kernel.fault(SERVER, Fault::Panic, 1);
        kernel.acknowledge(SERVER, 0);
        assert!(kernel.masked(LineId(0)) && !kernel.delivered(SERVER, 0));
    });
}

#[test]
fn nobody_acknowledges_a_line_that_is_not_its_own() {
    running(|kernel, _, _| {
        kernel.interrupt(LineId(0));
        for (id, line) in [(CLIENT, 0), (SERVER, 1), (NOBODY, 0), (MANAGER, u8::MAX)] {
            kernel.acknowledge(id, line);
            assert!(!kernel.delivered(id, line) && kernel.masked(LineId(0)));
        }
        assert!(kernel.masked(LineId(7)), "there is no such line");
        kernel.interrupt(LineId(7));
    });
}
