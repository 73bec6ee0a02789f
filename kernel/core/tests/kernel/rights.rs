//! Who may do what.

use super::*;

#[test]
fn a_command_without_the_right_is_refused_and_changes_nothing() {
    running(|kernel, port, other| {
        for from in [CLIENT, SERVER, BYSTANDER] {
            for target in ALL {
                for command in COMMANDS {
                    let before = (ALL.map(|id| facts(kernel, id)), snapshot(&port.far), snapshot(&other.far));
                    assert_eq!(kernel.command_for(from, target, command, 1), Err(Denied::Right));
                    assert_eq!((ALL.map(|id| facts(kernel, id)), snapshot(&port.far), snapshot(&other.far)), before);
                }
            }
        }
        assert_eq!((kernel.take_actions(), kernel.dispatch(1)), (Actions::default(), None));
    });
}

#[test]
fn a_right_over_some_is_none_over_others() {
    running(|kernel, _, _| {
        assert_eq!(kernel.command_for(MANAGER, MANAGER, Command::Stop, 1), Err(Denied::Right));
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Stop, 1), Ok(()));
        assert_eq!(state(kernel, SERVER), State::Stopped);
    });
}

#[test]
fn nobody_is_ended_for_what_happens_to_the_whole_image() {
    for fault in [Fault::Rebooted, Fault::ManagerDied, Fault::Reset, Fault::Watchdog] {
        running(|kernel, _, _| {
            assert_eq!(kernel.command_for(MANAGER, SERVER, Command::End(fault), 1), Ok(()));
            assert_eq!(kernel.facts(SERVER).and_then(|facts| facts.fault), Some(Fault::Told));
        });
    }
}

#[test]
fn a_knock_waits_for_its_targets_next_turn_which_a_wake_gives_it_and_only_while_it_lives() {
    running(|kernel, _, _| {
        rest(kernel, 1);
        assert_eq!(kernel.command_for(CLIENT, SERVER, Command::Knock(Knock::Hang), 1), Err(Denied::Right));
        assert_eq!(kernel.dispatch(1), None);
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Knock(Knock::Hang), 1), Ok(()));
        assert_eq!(kernel.dispatch(1), None);
        assert_eq!(kernel.command_for(CLIENT, SERVER, Command::Wake, 1), Err(Denied::Right));
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Wake, 1), Ok(()));
        assert_eq!(kernel.dispatch(1), Some(SERVER));
        assert_eq!(state(kernel, SERVER), State::Running, "how it falls is its platform's");
        kernel.command(SERVER, Command::Stop, 1).unwrap();
        let stopped = Err(Denied::State(State::Stopped));
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Knock(Knock::Exit), 1), stopped);
        assert_eq!(kernel.command_for(MANAGER, SERVER, Command::Wake, 1), stopped);
    });
}

#[test]
fn every_knock_comes_back_from_its_number_and_from_its_word() {
    for knock in Knock::ALL {
        assert_eq!(Knock::of_code(knock.code()), Some(knock));
        assert_eq!(Knock::named(knock.word()), Some(knock));
    }
    assert_eq!((Knock::of_code(0), Knock::of_code(7), Knock::named("kick")), (None, None, None));
}

#[test]
fn a_command_to_or_from_nobody_is_refused() {
    running(|kernel, _, _| {
        for id in [NOBODY, ComponentId(63), ComponentId(64), ComponentId(255)] {
            assert_eq!(kernel.command_for(id, SERVER, Command::Stop, 1), Err(Denied::Unknown));
            assert!(kernel.command_for(MANAGER, id, Command::Stop, 1).is_err());
            assert_eq!(kernel.command(id, Command::Start, 1), Err(Denied::Unknown));
            assert!(kernel.facts(id).is_none() && kernel.peer(id, 0).is_none() && kernel.begin(id).is_none());
        }
        assert!(ALL.iter().all(|id| state(kernel, *id) == State::Running));
    });
}

#[test]
fn a_command_that_a_state_does_not_allow_is_refused_with_that_state() {
    running(|kernel, _, _| {
        let running = Err(Denied::State(State::Running));
        assert_eq!(kernel.command(SERVER, Command::Start, 1), running);
        assert_eq!(kernel.command(SERVER, Command::BackOff, 1), running);
        kernel.command(SERVER, Command::Stop, 1).unwrap();
        assert_eq!(kernel.command(SERVER, Command::End(Fault::Told), 1), Err(Denied::State(State::Stopped)));
    });
}

#[test]
fn only_those_with_the_right_may_ask_about_others() {
    running(|kernel, _, _| {
        assert!(kernel.facts_for(MANAGER, SERVER).is_ok());
        assert!(kernel.facts_for(CLIENT, CLIENT).is_ok());
        assert_eq!(kernel.facts_for(CLIENT, SERVER), Err(Denied::Right));
        assert_eq!(kernel.facts_for(MANAGER, NOBODY), Err(Denied::Unknown));
    });
}

#[test]
fn a_complaint_without_the_right_is_refused_and_changes_nothing() {
    running(|kernel, _, other| {
        let (mut client, mut server) = (Client::open(other.record(), 1), Server::open(other.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"a");
        let before = (facts(kernel, SERVER), snapshot(&other.far));
        assert!(!kernel.blame(BYSTANDER, 0, 0, 1, 1));
        assert!(!kernel.blame(CLIENT, 7, 0, 1, 1));
        assert!(!kernel.blame(NOBODY, 0, 0, 1, 1));
        assert_eq!((facts(kernel, SERVER), snapshot(&other.far)), before);
        assert_eq!(client.consume(), Some((Outcome::Answer, b"a".to_vec())));
    });
}

#[test]
fn a_complaint_with_the_right_ends_the_server_and_opens_the_request_again() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        assert!(kernel.blame(CLIENT, 0, 0, 1, 1));
        assert_eq!(facts(kernel, SERVER).fault, Some(Fault::BadMessage));
        assert_eq!(client.reply(0), Ok(None));
        assert_eq!(Server::open(port.record(), 2).take().unwrap().payload, b"q");
    });
}

#[test]
fn a_complaint_about_a_server_that_died_meanwhile_still_opens_the_request_again() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        kernel.fault(SERVER, Fault::Panic, 1);
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!((facts(kernel, SERVER).fault, kernel.incidents().count()), (Some(Fault::Panic), 1));
        assert_eq!(client.reply(0), Ok(None));
    });
}

#[test]
fn a_complaint_about_a_server_that_is_gone_is_answered_so() {
    running(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"q");
        server.take().unwrap();
        server.answer(0, b"spoilt");
        kernel.command(SERVER, Command::GiveUp, 1).unwrap();
        assert!(kernel.blame(CLIENT, 0, 0, 1, 2));
        assert_eq!(state(kernel, SERVER), State::GivenUp);
        assert_eq!(client.consume(), Some((Outcome::Gone, vec![])));
    });
}

#[test]
fn a_complaint_of_one_client_is_no_second_death_for_the_requests_of_another() {
    running(|kernel, port, other| {
        let mut server = Server::open(other.record(), 1);
        Client::open(other.record(), 1).send(0, b"q");
        server.take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 1);
        let _ = Client::open(port.record(), 1);
        kernel.blame(CLIENT, 0, 0, 1, 2);
        kernel.start(SERVER, Begin::Recovered, 3).unwrap();
        Server::open(other.record(), 2).take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 4);
        assert_eq!(kernel.incidents().get(1).unwrap().seal.poisoned, 1);
    });
}
