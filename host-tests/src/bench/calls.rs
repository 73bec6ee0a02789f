//! Calls between two components of a machine, and what contracts and windows cost when nothing fails.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_core::record::{Half, Outcome, Position};
use koboshi_core::ring::{Geometry, Header, Message, Slots};
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{self, Machine};
use koboshi_runtime::{Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, sleep, window};

use super::rings::Memory;
use super::{Options, Row, in_turns, paired, timed};

pub(super) mod adder {
    koboshi_interface_kit::interface! {
        /// The least that a service can do.
        service adder;

        | operation | contract   | request | reply | deadline | meaning                 |
        | --------- | ---------- | ------- | ----- | -------- | ----------------------- |
        | add_one   | Idempotent | u64     | u64   | 1 s      | "Adds one to a number." |
    }
}

/// Requests that may wait.
const SLOTS: u32 = 8;

/// Platform time between two slices. Nothing in it costs real time.
pub(super) const PAUSE: u64 = 1_000_000_000;

pub(super) const SERVES: Description = Description {
    name: "adder",
    ports: &[PortDescription { name: "adder", side: Side::Offers, interface: &adder::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

pub(super) const ASKS: Description = Description {
    name: "client",
    ports: &[PortDescription { name: "adder", side: Side::Uses, interface: &adder::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const ALONE: Description = Description { name: "windows", ports: &[], devices: &[], interrupts: &[], kept: None };

pub(super) fn component(name: &str, linked: Linked) -> ImageComponent {
    ImageComponent {
        recover_within: None,
        swappable: None,
        name: name.to_owned(),
        linked,
        vcpu: 1,
        respond_within: 10_000_000,
        configuration: vec![],
        rights: Rights::default(),
    }
}

/// A machine under the virtual clock in which nothing costs platform time.
pub(super) fn machine(
    components: Vec<ImageComponent>,
    server_of: &[(ComponentId, ComponentId)],
    manager: Option<ComponentId>,
) -> Machine {
    let connection = |(client, server): &(ComponentId, ComponentId)| Connection {
        when_gone: WhenGone::default(),
        interface: &adder::INTERFACE,
        near: PortEnd { component: *client, port: 0 },
        far: PortEnd { component: *server, port: 0 },
        slots: SLOTS,
        routed: false,
    };
    let image = Image {
        components,
        connections: server_of.iter().map(connection).collect(),
        devices: vec![],
        manager,
        costs: Costs { turn: 0, start: 0, ..Costs::default() },
    };
    Machine::new(&image, machine::Options::default()).expect("the image of the bench is whole")
}

struct Adder;

impl adder::Server for Adder {
    async fn add_one(&mut self, number: u64) -> u64 {
        number.wrapping_add(1)
    }
}

/// What a slice came to.
#[derive(Default)]
struct Slice {
    /// Nanoseconds for each operation, as bits.
    took: AtomicU64,
    wrong: AtomicBool,
}

impl Slice {
    fn put(&self, took: f64) {
        self.took.store(took.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        if self.wrong.load(Ordering::Relaxed) { f64::NAN } else { f64::from_bits(self.took.load(Ordering::Relaxed)) }
    }
}

async fn client(slice: Arc<Slice>, count: u64) -> Exit {
    let mut adder = match RequestPort::open::<adder::Port>(0) {
        Ok(port) => adder::Client::new(port),
        Err(unfit) => return unfit,
    };
    loop {
        sleep(Duration::from_nanos(PAUSE)).await;
        let began = Instant::now();
        for number in 0..count {
            if adder.add_one(number).await.ok() != Some(number + 1) {
                slice.wrong.store(true, Ordering::Relaxed);
            }
        }
        slice.put(began.elapsed().as_nanos() as f64 / count as f64);
    }
}

async fn server() -> Exit {
    match ServicePort::open::<adder::Port>(0) {
        Ok(port) => match adder::serve(Adder, port).await {},
        Err(unfit) => unfit,
    }
}

/// Two components that call and reply, slice by slice.
struct Typed {
    machine: Machine,
    slice: Arc<Slice>,
}

impl Typed {
    fn new(count: u64) -> Self {
        let slice = Arc::new(Slice::default());
        let shared = Arc::clone(&slice);
        let components = vec![
            component("adder", Linked::new(&SERVES, move |_| server())),
            component("client", Linked::new(&ASKS, move |_| client(Arc::clone(&shared), count))),
        ];
        let machine = machine(components, &[(ComponentId(1), ComponentId(0))], None);
        Typed { machine, slice }
    }

    fn slice(&mut self) -> f64 {
        self.slice.put(f64::NAN);
        let until = self.machine.now() + PAUSE;
        self.machine.run_until(until);
        self.slice.get()
    }
}

fn calls(options: &Options) -> u64 {
    if options.quick { 200 } else { 2_000 }
}

type Pipe = (SyncSender<u64>, Receiver<u64>);

fn through_mpsc(count: u64, (ask, asked): &Pipe, (answer, answered): &Pipe) -> f64 {
    timed(count, || {
        for number in 0..count {
            let _ = ask.send(black_box(number));
            let request = asked.recv().unwrap_or_default();
            let _ = answer.send(request.wrapping_add(1));
            black_box(answered.recv().ok());
        }
    })
}

pub(super) fn run(options: &Options) -> Vec<Row> {
    let count = calls(options);
    let mut typed = Typed::new(count);
    let (requests, replies): (Pipe, Pipe) = (sync_channel(SLOTS as usize), sync_channel(SLOTS as usize));
    let [ours, peer] = in_turns(options, |contestant| match contestant {
        0 => typed.slice(),
        _ => through_mpsc(count, &requests, &replies),
    });
    let row = Row::new("call/mpsc", "A call and its reply, two components in one process", "typed call + reply, u64")
        .beside("std::sync::mpsc, one thread")
        .measured(paired(&ours, &peer))
        .noting(
            "The call: two components of the host's machine, virtual clock, with encoding, deadline, contract, record, \
             scheduling, and the numbered points at which a test can strike. std's two channels have none of that: no \
             contract, no record, no isolation, and here not even a second task.",
        );
    vec![row]
}

/// Both sides of a service port, called by hand.
struct RawCalls<'m> {
    client: Half<'m>,
    server: Half<'m>,
    requests: Slots<'m>,
    replies: Slots<'m>,
}

const HEADER: Header = Header { epoch: 1, tag: Outcome::Answer as u8, origin: 0 };

fn number_in(message: &Message) -> u64 {
    message.bytes().try_into().map_or(0, u64::from_le_bytes)
}

impl<'m> RawCalls<'m> {
    fn new(client: Half<'m>, server: Half<'m>) -> Self {
        let slots = |half: &Half<'m>| half.slots().expect("both halves of a service have slots");
        RawCalls { requests: slots(&client), replies: slots(&server), client, server }
    }

    /// `CONTRACTS`: with the words that let a dead server's requests be judged.
    #[inline]
    fn call<const CONTRACTS: bool>(&self, at: u32, number: u64) -> u64 {
        self.requests.write(at, HEADER, &number.to_le_bytes());
        if CONTRACTS {
            self.requests.write_deadline(at, u64::MAX);
        }
        self.requests.commit(at);
        self.client.set(Position::Sent, at.wrapping_add(1));

        let mut request = Message::new();
        if self.requests.read(at, HEADER.epoch, &mut request) != Ok(true) {
            return 0;
        }
        if CONTRACTS {
            let words = [self.replies.progress(at), self.replies.mark(at)];
            words.into_iter().flatten().for_each(|word| word.store(0, Ordering::Relaxed));
            self.server.set(Position::Taken, at.wrapping_add(1));
        }
        let answer = number_in(&request).wrapping_add(1);
        self.replies.write(at, HEADER, &answer.to_le_bytes());
        self.replies.commit(at);
        if CONTRACTS {
            self.server.set(Position::Answered, at.wrapping_add(1));
        }

        let mut reply = Message::new();
        if self.replies.read(at, HEADER.epoch, &mut reply) != Ok(true) {
            return 0;
        }
        self.client.set(Position::Consumed, at.wrapping_add(1));
        number_in(&reply)
    }

    fn slice<const CONTRACTS: bool>(&self, at: &mut u32, count: u64) -> f64 {
        let mut wrong = false;
        let took = timed(count, || {
            for number in 0..count {
                wrong |= black_box(self.call::<CONTRACTS>(*at, black_box(number))) != number + 1;
                *at = at.wrapping_add(1);
            }
        });
        if wrong { f64::NAN } else { took }
    }
}

const NOTHING_FAILS: &str = "When nothing fails: what is paid for recovery";

fn contracts(options: &Options) -> Vec<Row> {
    let count = calls(options);
    let mut typed = Typed::new(count);
    let geometry = Geometry::new(SLOTS, size_of::<u64>());
    let halves: [Memory; 4] = std::array::from_fn(|_| Memory::new(Half::words(geometry)));
    let [a, b, c, d] = halves.each_ref().map(|memory| memory.half(geometry));
    let (bare, with_words) = (RawCalls::new(a, b), RawCalls::new(c, d));
    let (mut bare_at, mut with_words_at) = (0, 0);
    let [whole, bare, with_words] = in_turns(options, |contestant| match contestant {
        0 => typed.slice(),
        1 => bare.slice::<false>(&mut bare_at, count),
        _ => with_words.slice::<true>(&mut with_words_at, count),
    });
    vec![
        Row::new("nothing-fails/typed-path", NOTHING_FAILS, "typed call + reply, u64")
            .beside("two raw rings, no contract words")
            .measured(paired(&whole, &bare))
            .noting(
                "The raw rings carry the same numbers, one thread playing both sides: no encoding, no components, no \
                 turns. So the first ratio is that of everything together.",
            ),
        Row::new("nothing-fails/contract-words", NOTHING_FAILS, "raw rings with contract words")
            .beside("two raw rings, no contract words")
            .measured(paired(&with_words, &bare))
            .noting(
                "Contract words: the request's deadline, its progress and mark, and the server's taken and answered.",
            ),
    ]
}

/// Times windows around nothing, and nothing, in each of its turns.
async fn windows(slices: Arc<[Slice; 2]>, count: u64) -> Exit {
    loop {
        sleep(Duration::from_nanos(PAUSE)).await;
        slices[0].put(timed(count, || {
            for _ in 0..count {
                window(|| black_box(()));
            }
        }));
        slices[1].put(timed(count, || {
            for _ in 0..count {
                black_box(());
            }
        }));
    }
}

fn window_row(options: &Options) -> Row {
    // More in one turn, and the machine takes the component for one that runs in circles.
    let count = 1_000;
    let slices = Arc::new([Slice::default(), Slice::default()]);
    let shared = Arc::clone(&slices);
    let components = vec![component("windows", Linked::new(&ALONE, move |_| windows(Arc::clone(&shared), count)))];
    let mut machine = machine(components, &[], None);
    let [with, without] = in_turns(options, |contestant| {
        let until = machine.now() + PAUSE;
        slices.iter().for_each(|slice| slice.put(f64::NAN));
        machine.run_until(until);
        slices[contestant].get()
    });
    Row::new("nothing-fails/window", NOTHING_FAILS, "window() around nothing")
        .beside("nothing, in a loop")
        .measured(paired(&with, &without))
        .noting(
            "A window on the host closes a gate in the machine and passes two numbered points; beside an empty loop its \
             ratio says little, its time is what a byte pays.",
        )
}

pub(super) fn run_when_nothing_fails(options: &Options) -> Vec<Row> {
    let mut rows = contracts(options);
    rows.push(window_row(options));
    rows
}
