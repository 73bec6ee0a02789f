//! Another version takes a component's place.

use koboshi_core::incident::{CutShort, Incident, Noticed, Successor, Swapped, Verdict};
use koboshi_core::kernel::{SwapPhase, Swappable, Version};

use super::*;
use crate::common::Port;
use crate::common::house::{Fit, running_as};

const RULES: Swappable = Swappable { quiesce_within: 20, answers: 3, within: 1_000 };
const NEW: Command = Command::Swap(Version::New { way_back: true });
const ONE_WAY: Command = Command::Swap(Version::New { way_back: false });
const BEFORE: Command = Command::Swap(Version::Before);

fn swappable(test: impl FnOnce(&mut Kernel<'_>, &Port, &Port)) {
    running_as(Fit { swappable: Some(RULES), ..Fit::default() }, test);
}

fn incident(kernel: &Kernel<'_>, number: u32) -> Incident {
    *kernel.incidents().get(number).expect("it is remembered")
}

fn verdict(kernel: &Kernel<'_>, number: u32) -> Verdict {
    incident(kernel, number).swap.expect("it is one of a swap").verdict
}

/// The server's present incarnation answers what it is asked, once for each of these.
fn answers(port: &Port, epoch: u32, count: u32) {
    let mut server = Server::open(port.record(), epoch);
    let mut client = Client::open(port.record(), 1);
    for _ in 0..count {
        client.send(0, b"ask");
        let taken = server.take().expect("it was asked");
        server.answer(taken.position, b"told");
        client.consume();
    }
}

/// A new version runs, on probation since `now`.
fn on_probation(kernel: &mut Kernel<'_>, command: Command, now: u64) {
    kernel.command(SERVER, command, now).unwrap();
    assert!(matches!(kernel.swap_phase(SERVER), SwapPhase::Probation(_)));
    rest(kernel, now);
    kernel.take_actions();
}

#[test]
fn one_with_nothing_in_hand_is_swapped_at_once() {
    swappable(|kernel, _, _| {
        assert_eq!(kernel.place(SERVER), 0);
        kernel.command_for(MANAGER, SERVER, NEW, 5).unwrap();
        assert_eq!(kernel.take_actions(), Actions { halt: SERVER.bit(), load: SERVER.bit(), ..Actions::default() });
        assert_eq!((kernel.place(SERVER), kernel.begin(SERVER)), (1, Some(Begin::Updated)));
        assert_eq!((facts(kernel, SERVER).epoch, kernel.swap_phase(SERVER)), (2, SwapPhase::Probation(0)));
        let Incident { fault, noticed, swap, seal, .. } = incident(kernel, 0);
        assert_eq!((fault, noticed), (Fault::Swapped, Noticed::Component { by: MANAGER }));
        assert_eq!(swap, Some(Swapped { to: Successor::New, asked_at: 5, verdict: Verdict::Open }));
        assert_eq!(seal.offered_again + seal.interrupted, 0);
        assert_eq!(facts(kernel, SERVER).fruitless.count(), 0, "nothing is held against it");
    });
}

#[test]
fn one_that_has_a_request_in_hand_answers_it_first_and_takes_no_other() {
    swappable(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"one");
        client.send(0, b"two");
        let taken = server.take().unwrap();
        kernel.command(SERVER, NEW, 5).unwrap();
        assert_eq!((state(kernel, SERVER), kernel.quiesces(SERVER)), (State::Quiescing, true));
        rest(kernel, 6);
        assert_eq!(kernel.next_deadline(), 25);
        server.answer(taken.position, b"told");
        kernel.wake(SERVER);
        rest(kernel, 8);
        assert_eq!((kernel.place(SERVER), facts(kernel, SERVER).epoch, kernel.quiesces(SERVER)), (1, 2, false));
        let Incident { failed_at, seal, swap, .. } = incident(kernel, 0);
        assert_eq!((failed_at, swap.map(|swap| swap.asked_at)), (8, Some(5)));
        assert_eq!((seal.in_hand, seal.progressed), (None, true));
    });
}

#[test]
fn one_that_does_not_come_to_an_end_is_cut_where_it_waits_and_its_request_offered_again() {
    swappable(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"one");
        server.take().unwrap();
        kernel.command(SERVER, NEW, 5).unwrap();
        rest(kernel, 6);
        assert!(kernel.expire(25));
        assert_eq!((kernel.place(SERVER), facts(kernel, SERVER).epoch), (1, 2));
        assert_eq!(incident(kernel, 0).seal.offered_again, 1);
    });
}

#[test]
fn one_that_hangs_while_it_is_to_come_to_an_end_is_followed_by_the_new_version() {
    swappable(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"one");
        server.take().unwrap();
        kernel.wake(SERVER);
        assert_eq!(kernel.dispatch(4), Some(SERVER));
        kernel.command(SERVER, NEW, 5).unwrap();
        assert!(kernel.expire(4 + WITHIN));
        assert_eq!((kernel.place(SERVER), kernel.begin(SERVER)), (1, Some(Begin::Updated)));
        assert_eq!((incident(kernel, 0).fault, verdict(kernel, 0)), (Fault::Stuck, Verdict::Open));
        assert_eq!(kernel.incidents().count(), 1);
    });
}

#[test]
fn a_new_version_stays_once_it_has_answered_often_enough() {
    swappable(|kernel, port, _| {
        on_probation(kernel, NEW, 5);
        for (count, phase) in [(1, SwapPhase::Probation(0)), (1, SwapPhase::Probation(0)), (1, SwapPhase::None)] {
            answers(port, 2, count);
            kernel.wake(SERVER);
            rest(kernel, 9);
            assert_eq!(kernel.swap_phase(SERVER), phase);
        }
        assert_eq!((verdict(kernel, 0), kernel.has_before(SERVER)), (Verdict::Stays(9), true));
        kernel.fault(SERVER, Fault::Panic, 10);
        assert_eq!((kernel.place(SERVER), state(kernel, SERVER)), (1, State::Failed), "its faults are its own now");
    });
}

#[test]
fn a_new_version_that_nobody_asks_stays_when_its_time_is_over() {
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        assert_eq!(kernel.next_deadline(), 1_005);
        assert!(kernel.expire(1_005));
        assert_eq!((verdict(kernel, 0), kernel.swap_phase(SERVER)), (Verdict::Stays(1_005), SwapPhase::None));
        assert_eq!(kernel.dispatch(1_005), Some(SERVER), "its own alarm may have passed too");
    });
}

#[test]
fn any_fault_on_probation_brings_the_version_before_back_and_is_not_held_against_it() {
    let faults =
        [Fault::Panic, Fault::Stuck, Fault::Late, Fault::BadMessage, Fault::Exit, Fault::Access { address: 4 }];
    for fault in faults {
        swappable(|kernel, _, _| {
            on_probation(kernel, NEW, 5);
            kernel.command_for(MANAGER, SERVER, Command::End(fault), 7).unwrap();
            assert_eq!(kernel.take_actions(), Actions { halt: SERVER.bit(), load: SERVER.bit(), ..Actions::default() });
            assert_eq!((kernel.place(SERVER), kernel.begin(SERVER)), (0, Some(Begin::Updated)));
            assert_eq!((facts(kernel, SERVER).epoch, kernel.swap_phase(SERVER)), (3, SwapPhase::None));
            assert_eq!((verdict(kernel, 0), incident(kernel, 1).fault), (Verdict::Undone(1), fault));
            let back = Swapped { to: Successor::BeforeAgain, asked_at: 7, verdict: Verdict::Stays(7) };
            assert_eq!(incident(kernel, 1).swap, Some(back));
            let facts = facts(kernel, SERVER);
            assert_eq!((facts.fruitless.count(), facts.fruitless_in_a_row), (0, 0));
            assert!(!kernel.has_before(SERVER), "what was wrong is nothing to go back to");
        });
    }
}

#[test]
fn one_that_is_told_to_end_on_probation_stays_on_it() {
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        kernel.command(SERVER, Command::End(Fault::Told), 7).unwrap();
        assert_eq!((kernel.place(SERVER), state(kernel, SERVER)), (1, State::Failed));
        kernel.command(SERVER, Command::Start, 8).unwrap();
        rest(kernel, 8);
        assert_eq!(kernel.swap_phase(SERVER), SwapPhase::Probation(0));
        kernel.fault(SERVER, Fault::Panic, 9);
        assert_eq!((kernel.place(SERVER), facts(kernel, SERVER).epoch), (0, 4));
    });
}

#[test]
fn without_a_way_back_the_first_answer_decides() {
    swappable(|kernel, port, _| {
        on_probation(kernel, ONE_WAY, 5);
        answers(port, 2, 1);
        // Even if it dies before anybody has looked.
        kernel.fault(SERVER, Fault::Panic, 6);
        assert_eq!((kernel.place(SERVER), state(kernel, SERVER)), (1, State::Failed));
        assert_eq!((verdict(kernel, 0), kernel.has_before(SERVER)), (Verdict::Stays(6), false));
        assert_eq!(kernel.command(SERVER, BEFORE, 7), Err(Denied::State(State::Failed)));
    });
    swappable(|kernel, _, _| {
        on_probation(kernel, ONE_WAY, 5);
        kernel.fault(SERVER, Fault::Panic, 6);
        assert_eq!(kernel.place(SERVER), 0, "before it there is one");
    });
    for gone in [Command::Stop, Command::GiveUp] {
        for (count, place) in [(0, 0), (1, 1)] {
            swappable(|kernel, port, _| {
                on_probation(kernel, ONE_WAY, 5);
                answers(port, 2, count);
                kernel.command(SERVER, gone, 6).unwrap();
                assert_eq!((kernel.place(SERVER), kernel.swap_phase(SERVER)), (place, SwapPhase::None));
                let stays = matches!(verdict(kernel, 0), Verdict::Stays(6));
                assert_eq!(stays, count > 0, "nobody else can read what it keeps once it has answered");
            });
        }
    }
}

#[test]
fn the_version_before_comes_back_at_once_if_somebody_wants_it() {
    swappable(|kernel, _, _| {
        assert_eq!(kernel.command(SERVER, BEFORE, 4), Err(Denied::State(State::Running)), "there is none yet");
        on_probation(kernel, NEW, 5);
        kernel.command(SERVER, BEFORE, 6).unwrap();
        assert_eq!((kernel.place(SERVER), facts(kernel, SERVER).epoch), (0, 3));
        assert_eq!((verdict(kernel, 0), kernel.swap_phase(SERVER)), (Verdict::Undone(1), SwapPhase::None));
        assert_eq!(incident(kernel, 1).swap.map(|swap| swap.to), Some(Successor::Before));
    });
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        kernel.expire(1_005);
        rest(kernel, 1_006);
        for (now, place) in [(1_007, 0), (1_008, 1)] {
            kernel.command(SERVER, BEFORE, now).unwrap();
            rest(kernel, now);
            assert_eq!((kernel.place(SERVER), kernel.swap_phase(SERVER)), (place, SwapPhase::None));
            assert!(kernel.has_before(SERVER), "both have proved themselves");
        }
        kernel.forget_before(SERVER);
        assert!(kernel.command(SERVER, BEFORE, 1_009).is_err(), "other code lies there now");
    });
}

#[test]
fn a_swap_that_has_not_begun_is_called_off_by_the_version_before() {
    swappable(|kernel, port, _| {
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"one");
        server.take().unwrap();
        kernel.command(SERVER, NEW, 5).unwrap();
        rest(kernel, 5);
        kernel.command(SERVER, BEFORE, 6).unwrap();
        assert_eq!((state(kernel, SERVER), kernel.quiesces(SERVER)), (State::Running, false));
        assert_eq!(kernel.dispatch(6), Some(SERVER), "it may take what it has left");
        kernel.wait(SERVER, NEVER, 7);
        kernel.expire(25);
        assert_eq!((kernel.place(SERVER), kernel.incidents().count()), (0, 0));
    });
}

#[test]
fn one_swap_follows_another_only_when_that_is_over() {
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        assert_eq!(kernel.command(SERVER, NEW, 6), Err(Denied::State(State::Running)));
        assert_eq!(kernel.place(SERVER), 1);
        kernel.expire(1_005);
        kernel.command(SERVER, NEW, 1_006).unwrap();
        rest(kernel, 1_006);
        assert_eq!(kernel.place(SERVER), 0);
    });
}

#[test]
fn who_is_down_or_was_given_up_is_swapped_too() {
    swappable(|kernel, _, _| {
        kernel.fault(SERVER, Fault::Panic, 4);
        kernel.command(SERVER, NEW, 5).unwrap();
        assert_eq!((kernel.place(SERVER), kernel.begin(SERVER)), (1, Some(Begin::Updated)));
        assert_eq!(incident(kernel, 0).cut_short, Some((CutShort::Swapped, 5)));
    });
    for gone in [Command::GiveUp, Command::Stop] {
        swappable(|kernel, _, _| {
            kernel.command(SERVER, gone, 4).unwrap();
            kernel.command(SERVER, NEW, 5).unwrap();
            assert_eq!(
                (kernel.place(SERVER), kernel.begin(SERVER)),
                (1, Some(Begin::Fresh)),
                "its device is not as it was"
            );
        });
    }
}

#[test]
fn who_may_not_be_swapped_is_not_and_neither_is_one_that_was_never_started() {
    running(|kernel, _, _| {
        assert_eq!(kernel.command(SERVER, NEW, 1), Err(Denied::Right));
    });
    swappable(|kernel, _, _| {
        assert_eq!(kernel.command_for(CLIENT, SERVER, NEW, 1), Err(Denied::Right));
        assert_eq!(kernel.command(NOBODY, NEW, 1), Err(Denied::Unknown));
        kernel.reboot(2);
        for wanted in [NEW, BEFORE] {
            assert_eq!(kernel.command(SERVER, wanted, 3), Err(Denied::State(State::Absent)));
        }
    });
}

#[test]
fn an_image_that_begins_anew_runs_what_has_proved_itself() {
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        kernel.reboot(6);
        assert_eq!((kernel.place(SERVER), kernel.swap_phase(SERVER)), (0, SwapPhase::None));
        assert_eq!(verdict(kernel, 0), Verdict::PutBack(6));
    });
    swappable(|kernel, _, _| {
        on_probation(kernel, NEW, 5);
        kernel.expire(1_005);
        kernel.reboot(1_006);
        assert_eq!(kernel.place(SERVER), 1);
    });
}

#[test]
fn the_restart_manager_can_be_swapped_and_its_death_on_probation_brings_the_one_before_back() {
    swappable(|kernel, _, _| {
        kernel.command(MANAGER, NEW, 5).unwrap();
        rest(kernel, 5);
        assert_eq!((kernel.place(MANAGER), facts(kernel, MANAGER).epoch), (1, 2));
        kernel.fault(MANAGER, Fault::Panic, 6);
        assert_eq!((kernel.place(MANAGER), facts(kernel, MANAGER).epoch), (0, 3));
        assert!(!kernel.take_actions().reboot);
    });
}

/// The incidents that are remembered.
fn remembered(kernel: &Kernel<'_>) -> Vec<Incident> {
    (0..kernel.incidents().count()).filter_map(|number| kernel.incidents().get(number).copied()).collect()
}

/// The incident by which whoever is on probation has come.
fn trial(kernel: &Kernel<'_>) -> Option<u32> {
    let is_open = |found: &&Incident| found.swap.is_some_and(|swap| swap.verdict == Verdict::Open);
    remembered(kernel).iter().find(is_open).map(|found| found.number)
}

/// What may happen to a component in any order.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Command(Command),
    Fault(Fault),
    Reboot,
    Turn,
    Answers(u32),
    Time(u64),
}

fn anything() -> impl Strategy<Value = Happens> {
    let commands = [NEW, ONE_WAY, BEFORE].into_iter().chain(COMMANDS).collect::<Vec<_>>();
    prop_oneof![
        proptest::sample::select(commands).prop_map(Happens::Command),
        proptest::sample::select(vec![Fault::Panic, Fault::Late, Fault::Told]).prop_map(Happens::Fault),
        Just(Happens::Reboot),
        Just(Happens::Turn),
        (1..4u32).prop_map(Happens::Answers),
        (1..2_000u64).prop_map(Happens::Time),
    ]
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Whatever happens: the place changes only with an incident that says so, or where a version on probation is put back; and
    /// what is told of a swap is over when it is.
    #[test]
    fn the_place_changes_only_with_an_incident_that_says_so(happens in proptest::collection::vec(anything(), 1..40)) {
        swappable(|kernel, port, _| {
            let mut now = 10;
            for one in happens {
                let (place, count) = (kernel.place(SERVER), kernel.incidents().count());
                let trial = trial(kernel);
                match one {
                    Happens::Command(command) => _ = kernel.command(SERVER, command, now),
                    Happens::Fault(fault) => kernel.fault(SERVER, fault, now),
                    Happens::Reboot => kernel.reboot(now),
                    Happens::Turn => {
                        kernel.wake(SERVER);
                        rest(kernel, now);
                    }
                    Happens::Answers(count) if state(kernel, SERVER).alive() => {
                        answers(port, facts(kernel, SERVER).epoch, count);
                    }
                    Happens::Answers(_) => {}
                    Happens::Time(passes) => {
                        now += passes;
                        while kernel.expire(now) {}
                    }
                }
                kernel.take_actions();
                let swaps = (count..kernel.incidents().count()).filter(|n| incident(kernel, *n).swap.is_some()).count();
                let moved = usize::from(kernel.place(SERVER) != place);
                let put_back = trial.and_then(|number| kernel.incidents().get(number)).is_some_and(|found| {
                    found.swap.is_some_and(|swap| matches!(swap.verdict, Verdict::PutBack(_)))
                });
                assert!(moved == (swaps + usize::from(put_back)) % 2, "{one:?}: {moved} {swaps}");
                for found in remembered(kernel) {
                    let open = found.swap.is_some_and(|swap| swap.verdict == Verdict::Open);
                    let phase = kernel.swap_phase(SERVER);
                    assert!(open || phase != SwapPhase::Probation(found.number), "{one:?}");
                    // One that is asked to give its place back is on probation until it has.
                    let expected = phase == SwapPhase::Probation(found.number) || phase == SwapPhase::Quiescing;
                    assert!(!open || expected, "{one:?}");
                }
                let quiesces = kernel.swap_phase(SERVER) == SwapPhase::Quiescing;
                let (state, alive) = (state(kernel, SERVER), state(kernel, SERVER).alive());
                assert_eq!(state == State::Quiescing, quiesces && state != State::Starting && alive);
            }
            // Whoever is asked comes to an end, whatever it does.
            now += RULES.quiesce_within + WITHIN;
            while kernel.expire(now) {}
            rest(kernel, now);
            assert!(kernel.swap_phase(SERVER) != SwapPhase::Quiescing);
        });
    }
}

#[test]
fn what_the_kernel_answers_is_no_answer_of_the_new_version() {
    swappable(|kernel, port, _| {
        // The second operation must never be repeated: of one that was in hand the kernel says that it was interrupted.
        on_probation(kernel, ONE_WAY, 5);
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 2));
        client.send(1, b"once");
        server.take().unwrap();
        kernel.fault(SERVER, Fault::Panic, 6);
        assert_eq!(incident(kernel, 1).seal.interrupted, 1);
        assert_eq!((kernel.place(SERVER), verdict(kernel, 0)), (0, Verdict::Undone(1)), "it had answered nothing");
    });
    swappable(|kernel, port, _| {
        on_probation(kernel, NEW, 5);
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 2));
        for _ in 0..3 {
            client.send(1, b"once");
            server.take().unwrap();
        }
        kernel.command(SERVER, Command::End(Fault::Told), 6).unwrap();
        kernel.command(SERVER, Command::Start, 7).unwrap();
        rest(kernel, 8);
        assert_eq!(kernel.swap_phase(SERVER), SwapPhase::Probation(0), "nor was it asked what it would answer");
        assert_eq!(kernel.next_deadline(), 7 + RULES.within, "and it has all of its time again");
    });
}

#[test]
fn a_complaint_about_the_one_before_does_not_undo_the_new_version() {
    swappable(|kernel, port, _| {
        answers(port, 1, 0);
        let (mut client, mut server) = (Client::open(port.record(), 1), Server::open(port.record(), 1));
        client.send(0, b"ask");
        let taken = server.take().unwrap();
        server.answer(taken.position, b"rubbish");
        on_probation(kernel, NEW, 5);
        assert!(kernel.blame(CLIENT, 0, taken.position, 1, 6));
        assert_eq!((kernel.place(SERVER), kernel.swap_phase(SERVER)), (1, SwapPhase::Probation(0)));
    });
}

#[test]
fn one_that_is_stopped_or_given_up_on_probation_is_put_back() {
    for gone in [Command::Stop, Command::GiveUp] {
        swappable(|kernel, _, _| {
            on_probation(kernel, NEW, 5);
            kernel.command(SERVER, gone, 6).unwrap();
            assert_eq!((kernel.place(SERVER), verdict(kernel, 0)), (0, Verdict::PutBack(6)));
            kernel.command(SERVER, NEW, 7).unwrap();
            assert_eq!(
                (kernel.place(SERVER), kernel.begin(SERVER)),
                (1, Some(Begin::Fresh)),
                "and can be swapped again"
            );
        });
    }
}
