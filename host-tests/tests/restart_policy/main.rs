//! The restart manager in whole images, under the virtual clock.
//!
//! Three dolls that fall over when they are told to, and a watcher that asks them for work and sits at the restart
//! manager's ports.

mod asked;
mod deaths;
mod manager;

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
        swappable: None,
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
        swappable: None,
        recover_within: None,
        vcpu: 0,
        configuration,
        rights: Rights { control: 0b1111, facts: true, blame: false, reboot: true, load: 0 },
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

fn run_of(house: &House, id: ComponentId) -> Incarnation {
    Incarnation { component: koboshi_interfaces::ComponentId(id.0), epoch: house.facts(id).epoch }
}

fn report(run: Incarnation, why: Complaint) -> Ask {
    Ask::Report(Report { component: run.component, epoch: run.epoch, why })
}
