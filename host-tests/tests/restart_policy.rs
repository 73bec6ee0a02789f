//! The restart manager in whole images, under the virtual clock.
//!
//! Three dolls that fall over when they are told to, and a watcher that asks them for work and sits at the restart
//! manager's ports.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use koboshi_core::ComponentId;
use koboshi_core::incident::Noticed;
use koboshi_core::kernel::Rights;
use koboshi_core::life::{Facts, Fault, State};
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::{How, Planned, Strike};
use koboshi_interfaces::control::{Complaint, Denied, Reboot, Report};
use koboshi_interfaces::health::{Health, NoSuch, Outcome};
use koboshi_interfaces::{Incarnation, control, health};
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_runtime::{
    Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, join4, select, sleep,
};

mod work {
    koboshi_interface_kit::interface! {
        /// What a doll does.
        service work;

        | operation | contract   | request | reply | deadline | meaning                 |
        | --------- | ---------- | ------- | ----- | -------- | ----------------------- |
        | add_one   | Idempotent | u32     | u32   | 1 s      | "Adds one to a number." |
    }
}

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

const SOS: ComponentId = ComponentId(0);
const DRIVER: ComponentId = ComponentId(1);
const OTHER: ComponentId = ComponentId(2);
const WATCHER: ComponentId = ComponentId(3);
const MANAGER: ComponentId = ComponentId(4);
const DOLLS: [ComponentId; 3] = [SOS, DRIVER, OTHER];

const DOLL: Description = Description {
    name: "doll",
    ports: &[PortDescription { name: "work", side: Side::Offers, interface: &work::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const WATCHES: Description = Description {
    name: "watcher",
    ports: &[
        PortDescription { name: "control", side: Side::Uses, interface: &control::INTERFACE },
        PortDescription { name: "control-sos", side: Side::Uses, interface: &control::INTERFACE },
        PortDescription { name: "health", side: Side::Uses, interface: &health::INTERFACE },
        PortDescription { name: "sos", side: Side::Uses, interface: &work::INTERFACE },
        PortDescription { name: "driver", side: Side::Uses, interface: &work::INTERFACE },
        PortDescription { name: "other", side: Side::Uses, interface: &work::INTERFACE },
    ],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// What a doll does with itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    /// It works.
    #[default]
    Well,
    /// It falls over as soon as it is started.
    Broken,
    /// It falls over after each answer.
    Tired,
}

/// What the watcher is to ask of the restart manager.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Report(Report),
    Stop(u8),
    Start(u8),
    Restart(Incarnation),
    Reboot(Reboot),
    States(u8),
    Incidents(u32),
}

/// What it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Done(Result<(), Denied>),
    States(Result<Health, NoSuch>),
    Incidents(Option<health::Incident>),
}

/// What the test and its components share.
#[derive(Default)]
struct Shared {
    moods: [Mood; 3],
    /// Whether the watcher asks this doll for work.
    busy: [bool; 3],
    answers: [u32; 3],
    gone: [u32; 3],
    asks: VecDeque<Ask>,
    told: Vec<Told>,
}

type Stage = Arc<Mutex<Shared>>;

struct Adder;

impl work::Server for Adder {
    async fn add_one(&mut self, number: u32) -> u32 {
        number + 1
    }
}

async fn doll(stage: Stage, which: usize) -> Exit {
    let mood = || stage.lock().unwrap().moods[which];
    if mood() == Mood::Broken {
        return Exit::Done;
    }
    let mut port = ServicePort::open::<work::Port>(0).unwrap();
    if mood() == Mood::Tired {
        use koboshi_interface_kit::ServerEnd;
        let taken = port.next().await;
        let number: u32 = port.request(&taken).unwrap();
        port.answer(taken, &(number + 1)).await;
        return Exit::Done;
    }
    let wakes = async {
        loop {
            sleep(Duration::from_millis(1)).await;
        }
    };
    match select(work::serve(Adder, port), wakes).await {
        koboshi_runtime::Either::First(never) => match never {},
        koboshi_runtime::Either::Second(never) => never,
    }
}

async fn asks_for_work(stage: &Stage, which: usize) -> Exit {
    let mut client = work::Client::new(RequestPort::open::<work::Port>(3 + which as u8).unwrap());
    let mut number = 0;
    loop {
        while !stage.lock().unwrap().busy[which] {
            sleep(Duration::from_millis(1)).await;
        }
        match client.within(Duration::from_secs(3_600)).add_one(number).await {
            Ok(answer) => {
                assert_eq!(answer, number + 1);
                number = answer;
                stage.lock().unwrap().answers[which] += 1;
            }
            Err(koboshi_interface_kit::Failure::Gone { .. }) => stage.lock().unwrap().gone[which] += 1,
            Err(other) => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn asks_the_manager(stage: &Stage) -> Exit {
    let hour = Duration::from_secs(3_600);
    let mut control = [0, 1].map(|port| control::Client::new(RequestPort::open::<control::Port>(port).unwrap()));
    let mut health = health::Client::new(RequestPort::open::<health::Port>(2).unwrap());
    let id = koboshi_interfaces::ComponentId;
    loop {
        let ask = stage.lock().unwrap().asks.pop_front();
        let Some(ask) = ask else {
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        control.rotate_left(1);
        let mut control = control[0].within(hour);
        let mut health = health.within(hour);
        let told = match ask {
            Ask::Report(report) => Told::Done(control.report(report).await.unwrap()),
            Ask::Stop(component) => Told::Done(control.stop(id(component)).await.unwrap()),
            Ask::Start(component) => Told::Done(control.start(id(component)).await.unwrap()),
            Ask::Restart(run) => Told::Done(control.restart(run).await.unwrap()),
            Ask::Reboot(reboot) => Told::Done(control.reboot(reboot).await.unwrap()),
            Ask::States(component) => Told::States(health.states(id(component)).await.unwrap()),
            Ask::Incidents(number) => Told::Incidents(health.incidents(number).await.unwrap()),
        };
        stage.lock().unwrap().told.push(told);
    }
}

async fn watcher(stage: Stage) -> Exit {
    join4(asks_the_manager(&stage), asks_for_work(&stage, 0), asks_for_work(&stage, 1), asks_for_work(&stage, 2))
        .await
        .0
}

/// A running image.
struct House {
    machine: Machine,
    stage: Stage,
}

impl House {
    /// Boots, and lets everybody come up.
    fn new(groups: &[Group]) -> Self {
        let mut house = House::dark(groups);
        house.run(100 * MS);
        for id in DOLLS {
            assert_eq!(house.state(id), State::Running);
        }
        house
    }

    /// The same, before anything has happened.
    fn dark(groups: &[Group]) -> Self {
        let stage = Stage::default();
        let image = image(groups, &stage);
        let options = Options { journal: Depth::All, ..Options::default() };
        House { machine: Machine::new(&image, options).unwrap(), stage }
    }

    fn run(&mut self, span: u64) {
        let until = self.machine.now() + span;
        self.machine.run_until(until);
        assert!(self.machine.panics().is_empty(), "{:?}", self.machine.panics());
    }

    fn facts(&self, id: ComponentId) -> Facts {
        self.machine.facts(id).unwrap()
    }

    fn state(&self, id: ComponentId) -> State {
        self.facts(id).state
    }

    fn epochs(&self) -> [u32; 3] {
        DOLLS.map(|id| self.facts(id).epoch)
    }

    fn shared<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.stage.lock().unwrap())
    }

    fn mood(&self, id: ComponentId, mood: Mood) {
        self.shared(|shared| shared.moods[id.index()] = mood);
    }

    fn keep_busy(&self, id: ComponentId) {
        self.shared(|shared| shared.busy[id.index()] = true);
    }

    /// Asks the restart manager, and gives its answer.
    fn ask(&mut self, ask: Ask) -> Told {
        self.shared(|shared| shared.asks.push_back(ask));
        self.run(20 * MS);
        self.shared(|shared| shared.told.pop().expect("the restart manager answers"))
    }

    /// Times of the starts of a component.
    fn starts(&self, id: ComponentId) -> Vec<u64> {
        let journal = self.machine.journal();
        let of_it = journal.events().filter_map(|(at, event)| match event {
            Event::Started { component, .. } if *component == id => Some(*at),
            _ => None,
        });
        of_it.collect()
    }

    /// Times and reasons of the ends of a component.
    fn ends(&self, id: ComponentId) -> Vec<(u64, Fault)> {
        let journal = self.machine.journal();
        let of_it = journal.events().filter_map(|(at, event)| match event {
            Event::Ended { component, fault, .. } if *component == id => Some((*at, *fault)),
            _ => None,
        });
        of_it.collect()
    }
}

fn image(groups: &[Group], stage: &Stage) -> Image {
    let policy = Policy { groups: groups.iter().cloned().chain([group(&[WATCHER.0])]).collect() };
    let mut room = [0; 1_024];
    let configuration = postcard::to_slice(&policy, &mut room).unwrap().to_vec();
    let component = |name: &str, linked: Linked| ImageComponent {
        recover_within: None,
        name: name.to_owned(),
        linked,
        vcpu: 1,
        respond_within: 10 * MS,
        configuration: vec![],
        rights: Rights::default(),
    };
    let mut components: Vec<_> = ["sos", "driver", "other"]
        .into_iter()
        .enumerate()
        .map(|(which, name)| {
            let stage = Arc::clone(stage);
            component(name, Linked::new(&DOLL, move |_| doll(Arc::clone(&stage), which)))
        })
        .collect();
    let watches = Arc::clone(stage);
    components.push(component("watcher", Linked::new(&WATCHES, move |_| watcher(Arc::clone(&watches)))));
    components.push(ImageComponent {
        recover_within: None,
        vcpu: 0,
        configuration,
        rights: Rights { control: 0b1111, facts: true, blame: false, reboot: true },
        ..component("manager", Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start))
    });
    let connect = |interface, port, component, its_port| Connection {
        when_gone: WhenGone::default(),
        interface,
        near: PortEnd { component: WATCHER, port },
        far: PortEnd { component, port: its_port },
        slots: 8,
        routed: false,
    };
    Image {
        components,
        connections: vec![
            connect(&control::INTERFACE, 0, MANAGER, 0),
            connect(&control::INTERFACE, 1, MANAGER, 1),
            connect(&health::INTERFACE, 2, MANAGER, 2),
            connect(&work::INTERFACE, 3, SOS, 0),
            connect(&work::INTERFACE, 4, DRIVER, 0),
            connect(&work::INTERFACE, 5, OTHER, 0),
        ],
        devices: vec![],
        manager: Some(MANAGER),
        costs: Costs::default(),
    }
}

fn group(members: &[u8]) -> Group {
    Group {
        members: members.iter().copied().collect(),
        strategy: Strategy::OneForOne,
        intensity: 3,
        period_ms: 10_000,
        backoff_first_ms: 10,
        backoff_most_ms: 40,
        rate_per_second: 200,
        escalate: Escalation::GiveUp,
    }
}

fn each_alone() -> [Group; 1] {
    [group(&[0, 1, 2])]
}

fn all_together(strategy: Strategy) -> [Group; 1] {
    [Group { strategy, ..group(&[0, 1, 2]) }]
}

/// SOS, and two drivers that escalate to it.
fn sos_and_drivers() -> [Group; 2] {
    [
        Group { escalate: Escalation::Group(1), ..group(&[DRIVER.0, OTHER.0]) },
        Group { escalate: Escalation::Image, intensity: 2, ..group(&[SOS.0]) },
    ]
}

#[test]
fn the_manager_starts_everybody_at_boot() {
    let mut house = House::dark(&each_alone());
    for id in DOLLS {
        assert_eq!(house.state(id), State::Absent);
    }
    house.run(MS);
    assert_eq!(house.epochs(), [1, 1, 1]);
}

#[test]
fn a_doll_that_works_stands_up_again_within_a_hundred_microseconds() {
    let mut house = House::new(&each_alone());
    house.keep_busy(DRIVER);
    house.run(10 * MS);
    house.machine.knock(DRIVER, How::Panic);
    house.run(10 * MS);
    assert_eq!(house.epochs(), [1, 2, 1]);
    let (died, fault) = house.ends(DRIVER)[0];
    assert_eq!(fault, Fault::Panic);
    let took = house.starts(DRIVER)[1] - died;
    assert!(took <= 100_000, "{took} ns");
}

#[test]
fn fruitless_deaths_are_followed_by_pauses_that_double_up_to_the_longest() {
    let mut house = House::new(&[Group { intensity: 6, ..group(&[0, 1, 2]) }]);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    let starts = house.starts(DRIVER);
    let pauses: Vec<u64> =
        house.ends(DRIVER).iter().zip(&starts[1..]).map(|((died, _), started)| (started - died) / MS).collect();
    assert_eq!(pauses, [0, 10, 20, 40, 40, 40]);
    assert_eq!(house.state(DRIVER), State::GivenUp);
}

#[test]
fn a_doll_in_backoff_is_shown_as_such() {
    let mut house = House::new(&each_alone());
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(6 * MS);
    assert_eq!(house.state(DRIVER), State::Backoff);
    house.mood(DRIVER, Mood::Well);
    house.run(20 * MS);
    assert_eq!(house.state(DRIVER), State::Running);
}

#[test]
fn a_doll_that_is_given_up_leaves_its_clients_with_a_clear_error_and_the_others_alone() {
    let mut house = House::new(&each_alone());
    house.keep_busy(OTHER);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.keep_busy(DRIVER);
    house.run(S);
    assert_eq!(house.state(DRIVER), State::GivenUp);
    assert!(house.shared(|shared| shared.gone[DRIVER.index()]) > 0, "the client waits on");
    assert_eq!(house.epochs(), [1, 4, 1]);
    assert!(house.shared(|shared| shared.answers[OTHER.index()]) > 0);
}

#[test]
fn a_doll_that_is_started_again_after_it_was_given_up_serves_its_clients() {
    let mut house = House::new(&each_alone());
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.ask(Ask::Restart(run_of(&house, DRIVER))), Told::Done(Err(Denied::GivenUp)));
    assert_eq!(house.ask(Ask::Stop(DRIVER.0)), Told::Done(Err(Denied::GivenUp)));
    house.mood(DRIVER, Mood::Well);
    assert_eq!(house.ask(Ask::Start(DRIVER.0)), Told::Done(Ok(())));
    house.keep_busy(DRIVER);
    house.run(20 * MS);
    assert!(house.shared(|shared| shared.answers[DRIVER.index()]) > 0);
}

#[test]
fn a_doll_that_falls_over_after_each_answer_is_started_two_hundred_times_a_second() {
    let mut house = House::new(&each_alone());
    house.keep_busy(DRIVER);
    house.mood(DRIVER, Mood::Tired);
    house.machine.knock(DRIVER, How::Panic);
    house.run(5 * S);
    let restarts = house.starts(DRIVER).len();
    assert!((900..=1_017).contains(&restarts), "{restarts} in 5 s");
    assert_ne!(house.state(DRIVER), State::GivenUp);
    assert!(house.shared(|shared| shared.answers[DRIVER.index()]) >= 900, "each life gives one answer");
}

#[test]
fn one_for_all_restarts_everybody_once() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.epochs(), [2, 2, 2]);
    assert_eq!(house.ends(SOS).iter().map(|(_, fault)| *fault).collect::<Vec<_>>(), [Fault::Told]);
}

#[test]
fn rest_for_one_restarts_those_after_the_one_who_died_once() {
    let mut house = House::new(&all_together(Strategy::RestForOne));
    house.machine.knock(DRIVER, How::Panic);
    house.run(S);
    assert_eq!(house.epochs(), [1, 2, 2]);
}

#[test]
fn a_broken_driver_takes_its_sos_along_and_then_the_image() {
    let mut house = House::new(&sos_and_drivers());
    house.keep_busy(SOS);
    house.mood(DRIVER, Mood::Broken);
    house.machine.knock(DRIVER, How::Panic);
    house.run(150 * MS);
    assert_eq!(house.machine.reboots(), 0);
    assert_eq!(house.facts(SOS).epoch, 2, "SOS is rebooted once so far");
    assert_eq!(house.facts(OTHER).epoch, 2, "and its other driver with it");
    while house.machine.reboots() == 0 {
        house.run(10 * MS);
        assert!(house.machine.now() < S, "it never comes to the image");
    }
    assert_eq!(house.facts(WATCHER).epoch, 2);
    let reboots_of_sos = house.ends(SOS).iter().filter(|(_, fault)| *fault == Fault::Told).count();
    assert_eq!(reboots_of_sos, 2, "the intensity of its group");
    house.mood(DRIVER, Mood::Well);
    house.run(S);
    assert_eq!(house.machine.reboots(), 1);
    assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running));
}

/// Strikes the manager at these of its points, each counted from the strike before; false if it did not come to all.
fn strike_the_manager(house: &mut House, points: &[u64], span: u64) -> bool {
    let before = house.machine.struck().len();
    for after_points in points {
        house.machine.plan(Planned { component: MANAGER, after_points: *after_points, strike: Strike::Crash });
    }
    house.run(span);
    house.machine.struck().len() == before + points.len()
}

#[test]
fn the_manager_may_die_at_any_of_its_points_during_a_group_restart() {
    let mut point = 0;
    loop {
        point += 1;
        let mut house = House::new(&all_together(Strategy::OneForAll));
        house.machine.knock(DRIVER, How::Panic);
        let struck = strike_the_manager(&mut house, &[point], 100 * MS);
        assert_eq!(house.epochs(), [2, 2, 2], "struck at point {point}");
        assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running), "struck at point {point}");
        if !struck {
            break;
        }
    }
    assert!(point > 10, "five commands have ten points");
}

#[test]
fn the_manager_may_die_twice_at_any_of_its_points_during_an_escalation() {
    for first in 1..40 {
        for second in [1, 2, 5, 9, 12] {
            let mut house = House::new(&sos_and_drivers());
            house.mood(DRIVER, Mood::Broken);
            house.machine.knock(DRIVER, How::Panic);
            // Up to the third pause: the next death escalates.
            while house.facts(DRIVER).fruitless.count() < 3 {
                house.run(MS);
            }
            strike_the_manager(&mut house, &[first, second], 60 * MS);
            let case = format!("struck at point {first}, then {second}");
            assert_eq!(house.facts(SOS).epoch, 2, "{case}");
            assert_eq!(house.facts(OTHER).epoch, 2, "{case}");
            assert_eq!(house.machine.reboots(), 0, "{case}");
            house.mood(DRIVER, Mood::Well);
            house.run(100 * MS);
            assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running), "{case}");
        }
    }
}

#[test]
fn the_manager_may_die_at_any_of_its_points_while_it_reboots_a_group_on_demand() {
    let mut point = 0;
    loop {
        point += 1;
        let mut house = House::new(&all_together(Strategy::OneForOne));
        house.shared(|shared| shared.asks.push_back(Ask::Reboot(Reboot { group: 0, at_or_before: 1 })));
        let struck = strike_the_manager(&mut house, &[point], 100 * MS);
        assert_eq!(house.shared(|shared| shared.told.pop()), Some(Told::Done(Ok(()))), "struck at point {point}");
        assert_eq!(house.epochs(), [2, 2, 2], "struck at point {point}");
        if !struck {
            break;
        }
    }
    assert!(point > 12);
}

#[test]
fn a_manager_that_dies_three_times_without_a_command_reboots_the_image() {
    let mut house = House::new(&each_alone());
    // The first of these lives has started everybody: that was progress.
    house.machine.knock(DRIVER, How::Panic);
    assert!(strike_the_manager(&mut house, &[1, 1, 1], 50 * MS));
    assert_eq!(house.machine.reboots(), 0);
    house.machine.knock(DRIVER, How::Panic);
    assert!(strike_the_manager(&mut house, &[1, 1, 1, 1], 50 * MS));
    assert_eq!(house.machine.reboots(), 1);
    house.run(100 * MS);
    assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running));
}

#[test]
fn a_manager_that_dies_after_each_command_reboots_nothing() {
    let mut house = House::new(&each_alone());
    for _ in 0..10 {
        house.keep_busy(DRIVER);
        house.run(5 * MS);
        let manager = house.facts(MANAGER).epoch;
        house.machine.knock(DRIVER, How::Panic);
        // Just behind its first command: three waits at ports, the command, and the point behind it.
        assert!(strike_the_manager(&mut house, &[5], 20 * MS));
        assert_eq!(house.facts(MANAGER).epoch, manager + 1);
    }
    assert_eq!(house.machine.reboots(), 0);
    assert_eq!(house.epochs(), [1, 11, 1]);
}

fn run_of(house: &House, id: ComponentId) -> Incarnation {
    Incarnation { component: koboshi_interfaces::ComponentId(id.0), epoch: house.facts(id).epoch }
}

fn report(run: Incarnation, why: Complaint) -> Ask {
    Ask::Report(Report { component: run.component, epoch: run.epoch, why })
}

#[test]
fn a_report_ends_the_run_that_it_names_and_no_later_one() {
    let mut house = House::new(&each_alone());
    let run = run_of(&house, DRIVER);
    for why in [Complaint::Late, Complaint::BadMessage, Complaint::RuleBroken] {
        assert_eq!(house.ask(report(run, why)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [1, 2, 1]);
    }
    assert_eq!(house.ends(DRIVER)[0].1, Fault::Late);
    let noticed = house.machine.incidents(0).1[0].noticed;
    assert_eq!(noticed, Noticed::Reported { by: WATCHER, to: MANAGER }, "the incident names who reported it");
    let Told::States(Ok(health)) = house.ask(Ask::States(DRIVER.0)) else { panic!("it is there") };
    assert_eq!(health.fault, Some(health::Fault::Late));
    let bad = report(run_of(&house, DRIVER), Complaint::BadMessage);
    house.ask(bad);
    assert_eq!(house.ends(DRIVER)[1].1, Fault::BadMessage);
}

#[test]
fn a_restart_is_of_the_run_that_it_names_and_of_nobody_else() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    let run = run_of(&house, DRIVER);
    for _ in 0..3 {
        assert_eq!(house.ask(Ask::Restart(run)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [1, 2, 1]);
    }
}

#[test]
fn whoever_was_stopped_stays_stopped_until_it_is_started() {
    let mut house = House::new(&all_together(Strategy::OneForAll));
    for _ in 0..2 {
        assert_eq!(house.ask(Ask::Stop(OTHER.0)), Told::Done(Ok(())));
        assert_eq!(house.state(OTHER), State::Stopped);
    }
    house.machine.knock(DRIVER, How::Panic);
    house.run(100 * MS);
    assert_eq!(house.epochs(), [2, 2, 1]);
    for _ in 0..2 {
        assert_eq!(house.ask(Ask::Start(OTHER.0)), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [2, 2, 2]);
    }
}

#[test]
fn a_reboot_on_demand_leaves_a_newer_group_alone() {
    let mut house = House::new(&sos_and_drivers());
    let reboot = Ask::Reboot(Reboot { group: 1, at_or_before: 1 });
    for _ in 0..3 {
        assert_eq!(house.ask(reboot), Told::Done(Ok(())));
        assert_eq!(house.epochs(), [2, 2, 2]);
    }
    let next = Ask::Reboot(Reboot { group: 1, at_or_before: 2 });
    assert_eq!(house.ask(next), Told::Done(Ok(())));
    assert_eq!(house.epochs(), [3, 3, 3]);
}

#[test]
fn whoever_does_not_exist_is_named_as_such_and_whoever_is_out_of_reach_too() {
    let mut house = House::new(&each_alone());
    assert_eq!(house.ask(Ask::Stop(99)), Told::Done(Err(Denied::NoSuch)));
    assert_eq!(house.ask(Ask::Reboot(Reboot { group: 9, at_or_before: 99 })), Told::Done(Err(Denied::NoSuch)));
    assert_eq!(house.ask(Ask::States(99)), Told::States(Err(NoSuch)));
    assert_eq!(house.ask(Ask::Stop(MANAGER.0)), Told::Done(Err(Denied::NotAllowed)));
}

#[test]
fn health_shows_states_and_incidents() {
    let mut house = House::new(&each_alone());
    house.machine.knock(DRIVER, How::Panic);
    house.run(10 * MS);
    let Told::States(Ok(health)) = house.ask(Ask::States(DRIVER.0)) else { panic!("it is there") };
    let expected = Health { state: health::State::Running, epoch: 2, restarts: 1, fault: Some(health::Fault::Panic) };
    assert_eq!(health, expected);
    let Told::Incidents(Some(incident)) = house.ask(Ask::Incidents(0)) else { panic!("there was one") };
    assert_eq!((incident.sequence, incident.ended.epoch, incident.fault), (0, 1, health::Fault::Panic));
    assert!(matches!(incident.outcome, Outcome::Recovered { epoch: 2, took: 1..100_000 }), "{:?}", incident.outcome);
    assert_eq!(house.ask(Ask::Incidents(1)), Told::Incidents(None));
    house.mood(OTHER, Mood::Broken);
    house.machine.knock(OTHER, How::Panic);
    house.run(S);
    let Told::Incidents(Some(last)) = house.ask(Ask::Incidents(3)) else { panic!("the fourth death of this group") };
    assert_eq!(last.outcome, Outcome::GivenUp);
}

#[test]
fn the_same_image_gives_the_same_run() {
    let run = || {
        let mut house = House::new(&sos_and_drivers());
        house.mood(DRIVER, Mood::Broken);
        house.machine.knock(DRIVER, How::Panic);
        house.run(S);
        house.machine.journal().to_string()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_the_manager_keeps_between_two_waits_fits_into_what_its_manifest_says() {
    let linked = Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start);
    assert!(linked.size() <= 8 * 1_024, "{} bytes", linked.size());
}
