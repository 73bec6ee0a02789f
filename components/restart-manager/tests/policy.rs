//! The policy over facts that a small model of the kernel keeps.

use std::cell::Cell;

use koboshi_restart_manager::policy::{Decision, Escalation, Flaw, Group, MOST_INTENSITY, Next, Policy, Strategy};
use koboshi_runtime::authority::{Command, ComponentId, History};
use koboshi_runtime::{Facts, Fault, State};
use proptest::prelude::{Just, any, prop_assert, prop_oneof, proptest};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// Longer than any pause of these tests.
const LONG: u64 = 1_000 * S;

#[derive(Clone)]
struct World {
    policy: Policy,
    facts: Vec<Facts>,
    now: u64,
    done: Vec<(u8, Command)>,
    rebooted: bool,
}

impl World {
    /// A booted world with so many components.
    fn new(count: usize, groups: &[Group]) -> Self {
        let mut world = World::before_boot(count, groups);
        world.settle();
        world.done.clear();
        world.now = LONG;
        world
    }

    fn before_boot(count: usize, groups: &[Group]) -> Self {
        let policy = Policy { groups: groups.iter().cloned().collect() };
        let absent = Facts {
            state: State::Absent,
            epoch: 0,
            on_probation: false,
            fault: None,
            failed_at: 0,
            starts: History::EMPTY,
            fruitless: History::EMPTY,
            fruitless_in_a_row: 0,
            down_since: None,
            recover_within: None,
        };
        World { policy, facts: vec![absent; count], now: 0, done: vec![], rebooted: false }
    }

    fn decide(&self, down: u64) -> Decision {
        self.policy.decide(down, |id| self.facts.get(usize::from(id)).copied(), self.now)
    }

    /// What is next, judged alone. Whoever is named to be started behind it must be what would come anyway.
    fn next(&self) -> Next {
        let Decision { next, then } = self.decide(u64::MAX);
        assert!(self.leads_to(next, &then), "{next:?}, then {then:?}");
        next
    }

    /// Whether one decision after the other, each over the facts as they are by then, comes to this.
    fn leads_to(&self, next: Next, then: &[u8]) -> bool {
        let mut world = self.clone();
        let mut wanted = next;
        for id in then {
            let Next::Act(ComponentId(done), command) = wanted else { return false };
            world.carry_out(done, command);
            wanted = Next::Act(ComponentId(*id), Command::Start);
            if world.decide(u64::MAX).next != wanted {
                return false;
            }
        }
        true
    }

    /// Carries out one command; when to look again, if there was none.
    fn step(&mut self) -> Option<u64> {
        match self.next() {
            Next::Wait(at) => return Some(at),
            Next::Act(ComponentId(id), command) => {
                self.done.push((id, command));
                self.carry_out(id, command);
            }
        }
        None
    }

    /// Carries out what is due now; when to look again.
    fn settle(&mut self) -> u64 {
        for _ in 0..1_000 {
            if self.rebooted {
                return u64::MAX;
            }
            if let Some(at) = self.step() {
                return at;
            }
        }
        panic!("the policy does not come to rest: {:?}", &self.done[..20]);
    }

    /// Carries out what is due now and later, until nothing is.
    fn settle_for_good(&mut self) {
        loop {
            match self.settle() {
                u64::MAX => return,
                at => {
                    assert!(at > self.now, "it asks to be woken in the past");
                    self.now = at;
                }
            }
        }
    }

    /// What the kernel does.
    fn carry_out(&mut self, id: u8, command: Command) {
        let now = self.now;
        let facts = &mut self.facts[usize::from(id)];
        match command {
            Command::Start => {
                assert!(!facts.state.alive(), "{id} is alive");
                if facts.state.gone() {
                    facts.fruitless = History::EMPTY;
                    facts.fruitless_in_a_row = 0;
                }
                facts.state = State::Running;
                facts.epoch += 1;
                facts.starts.add(now);
            }
            Command::End(fault) | Command::EndReported(fault, _) => {
                assert!(facts.state.alive(), "{id} is not alive");
                self.die(id, fault, false);
            }
            Command::Stop => facts.state = State::Stopped,
            Command::BackOff => {
                assert_eq!(facts.state, State::Failed);
                facts.state = State::Backoff;
            }
            Command::GiveUp => facts.state = State::GivenUp,
            Command::Reboot => self.rebooted = true,
            Command::Knock(_) | Command::Wake | Command::Swap(_) => {
                panic!("the policy knocks nobody over: {command:?}")
            }
        }
    }

    fn die(&mut self, id: u8, fault: Fault, progress: bool) {
        let facts = &mut self.facts[usize::from(id)];
        facts.state = State::Failed;
        facts.fault = Some(fault);
        facts.failed_at = self.now;
        if progress {
            facts.fruitless_in_a_row = 0;
        } else if fault != Fault::Told {
            facts.fruitless.add(self.now);
            facts.fruitless_in_a_row += 1;
        }
    }

    fn die_fruitless(&mut self, id: u8) {
        self.die(id, Fault::Panic, false);
    }

    fn die_after_progress(&mut self, id: u8) {
        self.die(id, Fault::Panic, true);
    }

    fn done(&mut self) -> Vec<(u8, Command)> {
        core::mem::take(&mut self.done)
    }

    fn state(&self, id: u8) -> State {
        self.facts[usize::from(id)].state
    }

    fn epochs(&self) -> Vec<u32> {
        self.facts.iter().map(|facts| facts.epoch).collect()
    }

    /// How long after a fruitless death it is started.
    fn pause_after_fruitless_death(&mut self, id: u8) -> u64 {
        let died = self.now;
        self.die_fruitless(id);
        self.settle_for_good();
        assert!(self.state(id).alive());
        self.now - died
    }
}

fn group(members: &[u8]) -> Group {
    Group {
        members: members.iter().copied().collect(),
        strategy: Strategy::OneForOne,
        intensity: 3,
        period_ms: 10_000,
        backoff_first_ms: 10,
        backoff_most_ms: 100,
        rate_per_second: 200,
        escalate: Escalation::GiveUp,
    }
}

fn together(members: &[u8], strategy: Strategy) -> Group {
    Group { strategy, ..group(members) }
}

const END: Command = Command::End(Fault::Told);
const START: Command = Command::Start;

#[test]
fn everybody_is_started_at_boot_and_a_group_before_those_that_escalate_to_it() {
    let drivers = Group { escalate: Escalation::Group(1), ..group(&[2, 1]) };
    let mut world = World::before_boot(4, &[drivers, group(&[3, 0])]);
    world.settle();
    assert_eq!(world.done(), [(3, START), (0, START), (2, START), (1, START)]);
}

#[test]
fn a_whole_image_is_judged_once_to_be_started() {
    let members: Vec<u8> = (0..32).collect();
    let world = World::before_boot(32, &[group(&members[1..]), group(&members[..1])]);
    let asked = Cell::new(0);
    let facts = |id: u8| {
        asked.set(asked.get() + 1);
        world.facts.get(usize::from(id)).copied()
    };
    let Decision { next, then } = world.policy.decide(u64::from(u32::MAX), facts, 0);
    assert_eq!((next, then.as_slice()), (Next::Act(ComponentId(0), START), &members[1..]));
    assert_eq!(asked.get(), 32);
}

#[test]
fn who_is_started_together_is_held_against_one_decision_after_the_other() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.now += MS;
    world.die_after_progress(1);
    world.die_after_progress(2);
    world.now += MS;
    // Both would be started at once, looked at alone; but the one who is left is ended first.
    let alone =
        |id: u8| world.policy.decide(1 << id, |of| (of == id).then_some(world.facts[usize::from(id)]), world.now);
    for id in [1, 2] {
        assert_eq!(alone(id).next, Next::Act(ComponentId(id), START));
    }
    assert!(!world.leads_to(Next::Act(ComponentId(1), START), &[2]));
    assert!(world.decide(u64::MAX).then.is_empty());
}

#[test]
fn a_component_that_made_progress_is_started_at_once() {
    let mut world = World::new(2, &[group(&[0, 1])]);
    world.die_after_progress(1);
    world.now += 500;
    world.settle();
    assert_eq!(world.done(), [(1, START)]);
}

#[test]
fn a_start_is_always_later_than_the_death_that_it_follows() {
    let mut world = World::new(1, &[group(&[0])]);
    world.die_after_progress(0);
    assert_eq!(world.settle(), LONG + 1);
    assert_eq!(world.done(), [(0, Command::BackOff)]);
}

#[test]
fn the_first_fruitless_death_is_followed_by_a_start_at_once_and_then_pauses_double_up_to_the_longest() {
    let mut world = World::new(1, &[Group { intensity: MOST_INTENSITY, ..group(&[0]) }]);
    let pauses: Vec<u64> = (0..8).map(|_| world.pause_after_fruitless_death(0)).collect();
    assert_eq!(pauses, [1, 10 * MS, 20 * MS, 40 * MS, 80 * MS, 100 * MS, 100 * MS, 100 * MS]);
}

#[test]
fn it_is_in_backoff_during_a_pause() {
    let mut world = World::new(1, &[group(&[0])]);
    world.pause_after_fruitless_death(0);
    world.die_fruitless(0);
    world.settle();
    assert_eq!(world.state(0), State::Backoff);
}

#[test]
fn progress_ends_the_row_of_fruitless_deaths() {
    let mut world = World::new(1, &[Group { intensity: MOST_INTENSITY, ..group(&[0]) }]);
    (0..4).for_each(|_| _ = world.pause_after_fruitless_death(0));
    world.die_after_progress(0);
    world.settle_for_good();
    assert_eq!(world.pause_after_fruitless_death(0), 1);
}

#[test]
fn restarts_after_progress_keep_to_the_rate_cap() {
    let mut world = World::new(1, &[group(&[0])]);
    let began = world.now;
    for _ in 0..1_000 {
        world.die_after_progress(0);
        world.settle_for_good();
    }
    let took = world.now - began;
    assert!((4_900 * MS..=5_000 * MS).contains(&took), "1000 restarts took {took} ns: 200 a second are 5 s");
    assert_eq!(world.state(0), State::Running);
}

#[test]
fn more_fruitless_deaths_than_the_intensity_within_the_period_are_too_many() {
    let mut world = World::new(1, &[group(&[0])]);
    (0..3).for_each(|_| _ = world.pause_after_fruitless_death(0));
    world.done();
    world.die_fruitless(0);
    world.settle_for_good();
    assert_eq!(world.done(), [(0, Command::GiveUp)]);
    assert_eq!(world.state(0), State::GivenUp);
}

#[test]
fn fruitless_deaths_of_all_members_count_together() {
    let mut world = World::new(4, &[group(&[0, 1, 2, 3])]);
    (0..3).for_each(|id| _ = world.pause_after_fruitless_death(id));
    world.die_fruitless(3);
    world.settle_for_good();
    assert_eq!(world.state(3), State::GivenUp);
}

#[test]
fn fruitless_deaths_older_than_the_period_do_not_count() {
    let mut world = World::new(1, &[group(&[0])]);
    for _ in 0..20 {
        world.now += 4 * S;
        world.pause_after_fruitless_death(0);
    }
}

#[test]
fn deaths_after_progress_never_count_against_the_intensity() {
    let mut world = World::new(2, &[group(&[0, 1])]);
    for _ in 0..100 {
        world.die_after_progress(0);
        world.settle_for_good();
    }
    assert_eq!(world.pause_after_fruitless_death(1), 1);
}

#[test]
fn whoever_was_given_up_does_not_count_against_those_who_are_left() {
    let mut world = World::new(2, &[group(&[0, 1])]);
    (0..3).for_each(|_| _ = world.pause_after_fruitless_death(0));
    world.die_fruitless(0);
    world.settle_for_good();
    assert_eq!(world.state(0), State::GivenUp);
    assert_eq!(world.pause_after_fruitless_death(1), 1);
}

#[test]
fn whoever_is_started_after_it_was_given_up_has_all_its_chances_again() {
    let mut world = World::new(1, &[group(&[0])]);
    (0..3).for_each(|_| _ = world.pause_after_fruitless_death(0));
    world.die_fruitless(0);
    world.settle_for_good();
    world.carry_out(0, Command::Start);
    assert_eq!(world.pause_after_fruitless_death(0), 1);
}

#[test]
fn one_for_one_restarts_only_the_one_who_died() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForOne)]);
    world.die_after_progress(1);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(1, START)]);
}

#[test]
fn one_for_all_ends_the_others_last_to_first_and_starts_all_first_to_last() {
    let mut world = World::new(4, &[together(&[2, 0, 1], Strategy::OneForAll), group(&[3])]);
    world.die_after_progress(0);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(1, END), (2, END), (2, START), (0, START), (1, START)]);
}

#[test]
fn rest_for_one_takes_along_only_those_after_the_one_who_died() {
    let mut world = World::new(4, &[together(&[3, 2, 1, 0], Strategy::RestForOne)]);
    world.die_after_progress(2);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(0, END), (1, END), (2, START), (1, START), (0, START)]);
}

#[test]
fn neighbours_wait_for_the_pause_of_the_one_who_died() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.pause_after_fruitless_death(1);
    world.done();
    world.die_fruitless(1);
    assert_eq!(world.settle(), world.now + 10 * MS);
    assert!((0..3).all(|id| world.state(id) == State::Backoff));
    world.done();
    world.settle_for_good();
    assert_eq!(world.done(), [(0, START), (1, START), (2, START)]);
}

#[test]
fn a_neighbour_that_was_ended_is_no_reason_to_act_again() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    let before = world.epochs();
    for _ in 0..10 {
        world.die_after_progress(2);
        world.settle_for_good();
    }
    assert!(world.epochs().iter().zip(before).all(|(after, before)| *after == before + 10), "{:?}", world.epochs());
    assert_eq!(world.pause_after_fruitless_death(0), 1, "being ended was taken for a fruitless death");
}

#[test]
fn a_neighbour_that_somebody_stopped_stays_stopped() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.carry_out(1, Command::Stop);
    world.die_after_progress(0);
    world.settle_for_good();
    assert_eq!(world.state(1), State::Stopped);
    assert_eq!(world.state(2), State::Running);
}

#[test]
fn whoever_was_told_to_end_is_started_again_alone() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.die(1, Fault::Told, false);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(1, START)]);
}

#[test]
fn two_who_die_together_are_one_restart() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.die_after_progress(0);
    world.now += 10;
    world.die_after_progress(2);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(1, END), (0, START), (1, START), (2, START)]);
}

#[test]
fn one_who_dies_while_others_still_wait_to_be_started_restarts_all_once_more() {
    let mut world = World::new(3, &[together(&[0, 1, 2], Strategy::OneForAll)]);
    world.die_after_progress(1);
    world.now += 1;
    while world.state(0) != State::Running || world.state(2) == State::Running {
        assert_eq!(world.step(), None);
    }
    world.done();
    world.now += 10;
    world.die_after_progress(0);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(0, START), (1, START), (2, START)]);
}

/// A driver (1) and another one (2), whose SOS is 0.
fn sos(intensity: u8) -> [Group; 3] {
    [
        Group { escalate: Escalation::Group(2), ..group(&[1]) },
        Group { escalate: Escalation::Group(2), ..group(&[2]) },
        Group { escalate: Escalation::Image, intensity, ..together(&[0], Strategy::RestForOne) },
    ]
}

/// Lets the driver die so often that its own group has no more to give; the next death escalates.
fn use_up_the_driver(world: &mut World) {
    (0..3).for_each(|_| _ = world.pause_after_fruitless_death(1));
    assert!(world.done().iter().all(|(id, _)| *id == 1), "it escalated too early");
}

#[test]
fn a_driver_escalates_to_its_sos_with_all_drivers_and_that_to_the_image() {
    let mut world = World::new(3, &sos(2));
    for _ in 0..2 {
        use_up_the_driver(&mut world);
        world.die_fruitless(1);
        world.settle_for_good();
        let pauses: Vec<_> = world.done().into_iter().filter(|(_, command)| *command != Command::BackOff).collect();
        assert_eq!(pauses, [(2, END), (0, END), (0, START), (2, START), (1, START)]);
    }
    use_up_the_driver(&mut world);
    world.die_fruitless(1);
    world.settle_for_good();
    assert_eq!(world.done(), [(1, Command::Reboot)]);
}

#[test]
fn the_way_up_is_the_same_if_the_parent_lists_its_drivers_itself() {
    let mut groups = sos(1);
    groups[2].members = [0, 1, 2].into_iter().collect();
    let mut world = World::new(3, &groups);
    use_up_the_driver(&mut world);
    world.die_fruitless(1);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(2, END), (0, END), (0, START), (1, START), (2, START)]);
    world.die_after_progress(0);
    world.now += 1;
    world.settle();
    assert_eq!(world.done(), [(2, END), (1, END), (0, START), (1, START), (2, START)], "rest_for_one from SOS on");
}

#[test]
fn a_reboot_of_the_parent_group_long_ago_does_not_count() {
    let mut world = World::new(3, &sos(1));
    for _ in 0..5 {
        use_up_the_driver(&mut world);
        world.die_fruitless(1);
        world.settle_for_good();
        assert!(!world.rebooted);
        world.done();
        world.now += 11 * S;
    }
}

#[test]
fn a_parent_that_may_not_be_rebooted_at_all_is_passed_over() {
    let mut world = World::new(3, &sos(0));
    use_up_the_driver(&mut world);
    world.die_fruitless(1);
    world.settle();
    assert_eq!(world.done(), [(1, Command::Reboot)]);
}

#[test]
fn a_parent_whose_own_members_were_all_stopped_is_passed_over() {
    let groups = [Group { escalate: Escalation::Group(1), ..group(&[1]) }, group(&[0])];
    let mut world = World::new(2, &groups);
    world.carry_out(0, Command::Stop);
    use_up_the_driver(&mut world);
    world.die_fruitless(1);
    world.settle();
    assert_eq!(world.done(), [(1, Command::GiveUp)]);
}

#[test]
fn fruitless_deaths_of_sos_itself_reboot_the_image() {
    let mut world = World::new(3, &sos(2));
    (0..2).for_each(|_| _ = world.pause_after_fruitless_death(0));
    world.die_fruitless(0);
    world.settle();
    assert!(world.rebooted);
}

#[test]
fn a_restart_of_somebody_in_the_parent_group_does_not_change_a_remedy_that_is_being_carried_out() {
    // SOS was never restarted, the other driver once: starting SOS again makes both restarted once, which would be the
    // parent's whole intensity, if it were looked at anew.
    let mut world = World::new(3, &sos(1));
    world.die_after_progress(2);
    world.settle_for_good();
    world.done();
    use_up_the_driver(&mut world);
    world.die_fruitless(1);
    world.settle_for_good();
    assert!(!world.rebooted);
    assert_eq!(world.done().iter().filter(|(_, command)| *command == START).count(), 3);
}

/// Worlds in which several are about to be restarted together.
fn group_restarts() -> Vec<World> {
    let mut all = World::new(4, &[together(&[0, 1, 2, 3], Strategy::OneForAll)]);
    all.die_after_progress(2);
    let mut paused = World::new(4, &[together(&[0, 1, 2, 3], Strategy::OneForAll)]);
    paused.pause_after_fruitless_death(2);
    paused.die_fruitless(2);
    let mut rest = World::new(4, &[together(&[0, 1, 2, 3], Strategy::RestForOne)]);
    rest.die_after_progress(1);
    let mut escalated = World::new(4, &[sos(1).as_slice(), &[group(&[3])]].concat());
    use_up_the_driver(&mut escalated);
    escalated.die_fruitless(1);
    let mut worlds = vec![all, paused, rest, escalated];
    worlds.iter_mut().for_each(|world| world.done.clear());
    worlds
}

#[test]
fn a_group_restart_that_is_cut_short_at_any_command_is_completed_and_nothing_is_done_twice() {
    for before in group_restarts() {
        let mut whole = before.clone();
        whole.settle_for_good();
        let commands = |world: &World| -> Vec<_> {
            world.done.iter().filter(|(_, command)| *command != Command::BackOff).copied().collect()
        };
        for cut in 0..=whole.done.len() {
            for late in [0, 1, 700, 5 * MS, 30 * MS, S] {
                let mut world = before.clone();
                while world.done.len() < cut {
                    if let Some(at) = world.step() {
                        world.now = at;
                    }
                }
                // Nothing is kept over this but facts and time.
                world.now += late;
                world.settle_for_good();
                assert_eq!(commands(&world), commands(&whole), "cut at {cut}, {late} ns late");
                assert_eq!(world.epochs(), whole.epochs());
            }
        }
    }
}

#[test]
fn a_groups_generation_changes_when_the_reboot_can_no_longer_be_cut_short() {
    let world = World::new(4, &[sos(1).as_slice(), &[group(&[3])]].concat());
    let facts = |world: &World, id: u8| world.facts.get(usize::from(id)).copied();
    let backwards = world.policy.backwards(2);
    assert_eq!(backwards, [1, 2, 0].as_slice().iter().copied().collect::<heapless::Vec<u8, 4>>());
    let mut ended = world.clone();
    for id in backwards {
        assert_eq!(ended.policy.generation(2, |id| facts(&ended, id)), Some(1), "none is started yet");
        ended.carry_out(id, END);
    }
    ended.settle_for_good();
    assert_eq!(ended.policy.generation(2, |id| facts(&ended, id)), Some(2));
    assert_eq!(ended.policy.generation(9, |id| facts(&ended, id)), None);
}

#[test]
fn a_policy_that_cannot_be_followed_is_named() {
    let check = |groups: &[Group]| Policy { groups: groups.iter().cloned().collect() }.check();
    assert_eq!(check(&sos(2)), Ok(()));
    assert_eq!(check(&[group(&[])]), Err(Flaw::Members(0)));
    assert_eq!(check(&[group(&[64])]), Err(Flaw::Members(0)));
    assert_eq!(check(&[Group { intensity: 16, ..group(&[0]) }]), Err(Flaw::Intensity(0)));
    assert_eq!(check(&[Group { rate_per_second: 0, ..group(&[0]) }]), Err(Flaw::Rate(0)));
    assert_eq!(check(&[group(&[0]), Group { escalate: Escalation::Group(0), ..group(&[1]) }]), Err(Flaw::Order(1)));
    assert_eq!(check(&[Group { escalate: Escalation::Group(1), ..group(&[0]) }]), Err(Flaw::Order(0)));
}

fn any_strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)]
}

proptest! {
    /// Whatever dies, and however long the manager is away: it comes to rest, everybody is up or gone, and nobody is
    /// restarted more often than there were deaths.
    #[test]
    fn no_deaths_make_a_storm_and_nobody_is_forgotten(
        strategies in [any_strategy(), any_strategy(), any_strategy()],
        intensity in 0u8..4,
        deaths in proptest::collection::vec((0u8..6, any::<bool>(), 0u64..50 * MS, any::<bool>()), 1..40),
    ) {
        let escalations = [Escalation::Group(2), Escalation::Group(2), Escalation::GiveUp];
        let members: [&[u8]; 3] = [&[1, 2], &[3, 4], &[5, 0]];
        let groups: Vec<Group> = (0..3)
            .map(|at| Group { escalate: escalations[at], intensity, ..together(members[at], strategies[at]) })
            .collect();
        let mut world = World::new(6, &groups);
        let before = world.epochs();
        let mut died = 0;
        for (id, progress, wait, rests) in &deaths {
            if world.state(*id).alive() {
                world.die(*id, Fault::Panic, *progress);
                died += 1;
            }
            world.now += wait;
            if *rests {
                world.settle();
            }
        }
        world.settle_for_good();
        for id in 0..6 {
            prop_assert!(world.state(id).alive() || world.state(id) == State::GivenUp);
        }
        for (after, before) in world.epochs().iter().zip(before) {
            prop_assert!(after - before <= died);
        }
    }
}
