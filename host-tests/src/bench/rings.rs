//! Queues of one producer and one consumer: the ring beside the three that Rust programs use most.
//!
//! Each end of each has the same shape here, so that all run through the same loops. Ours does what a port does: the
//! writer counts its credit, writes, commits and stores its position; the reader takes a private copy, judges it and
//! stores its own. Like a client, and like the peers, the writer looks at the reader's position only when the credit that
//! it knows of is used up. Each half lies in memory of its own, at the start of a cache line.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex, RawMutex};
use embassy_sync::channel::Channel;
use koboshi_core::record::{Half, Position};
use koboshi_core::ring::{Geometry, Header, Message, Slots};
use koboshi_core::sync::AtomicU32;
use koboshi_interface_kit::wire::Bytes;
use koboshi_interface_kit::{MAX_MESSAGE, decode, encode};

use super::{Options, Row, alone, in_turns, paired, timed};

/// Messages that each queue holds.
const DEPTH: usize = 64;

/// The epoch of the producer.
const EPOCH: u32 = 1;

/// Two lines of memory: halves never share what a processor fetches at once.
const FAR_APART: usize = 128;

/// A one-way trip that takes longer has lost its message.
const AT_MOST: Duration = Duration::from_secs(5);

/// Words of memory that begin a cache line and share none with anybody else's.
pub(super) struct Memory {
    words: Vec<AtomicU32>,
    skip: usize,
    count: usize,
}

impl Memory {
    pub(super) fn new(count: usize) -> Self {
        let slack = FAR_APART / size_of::<AtomicU32>();
        let words: Vec<AtomicU32> = (0..count.next_multiple_of(slack) + slack).map(|_| AtomicU32::new(0)).collect();
        let skip = words.as_ptr().align_offset(FAR_APART).min(slack);
        Memory { words, skip, count }
    }

    pub(super) fn half(&self, geometry: Option<Geometry>) -> Half<'_> {
        let words = self.words.get(self.skip..self.skip + self.count).unwrap_or(&[]);
        Half::new(words, geometry).expect("memory of a half's size is a half")
    }
}

/// What is sent.
trait Payload: Copy + Send + Sync {
    const NAME: &'static str;
    /// The number's payload.
    fn of(number: u64) -> Self;
    /// Shows its bytes to whoever sends them.
    fn show<T>(&self, to: impl FnOnce(&[u8]) -> T) -> T;
}

impl Payload for u64 {
    const NAME: &'static str = "u64";

    fn of(number: u64) -> Self {
        number
    }

    #[inline]
    fn show<T>(&self, to: impl FnOnce(&[u8]) -> T) -> T {
        to(&self.to_le_bytes())
    }
}

/// 32 bytes, aligned to words.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Block([u8; 32]);

impl Payload for Block {
    const NAME: &'static str = "32 bytes";

    fn of(number: u64) -> Self {
        Block(std::array::from_fn(|at| number.to_le_bytes()[at % 8]))
    }

    #[inline]
    fn show<T>(&self, to: impl FnOnce(&[u8]) -> T) -> T {
        to(&self.0)
    }
}

/// What is sent in turn. It was written long ago: a payload that was just written is read back slowly.
struct Source<T>([T; DEPTH]);

impl<T: Payload> Source<T> {
    fn new() -> Self {
        Source(std::array::from_fn(|number| T::of(number as u64)))
    }

    #[inline]
    fn at(&self, number: u64) -> T {
        *black_box(&self.0[number as usize % DEPTH])
    }
}

trait Sends<T> {
    /// False: it is full.
    fn send(&mut self, payload: T) -> bool;
}

trait Receives<T> {
    /// Receives a payload into memory of its own. False: nothing is there.
    fn receive(&mut self) -> bool;
}

/// Our ring's two halves.
struct Ring {
    near: Memory,
    far: Memory,
    geometry: Geometry,
}

impl Ring {
    fn new<T: Payload>() -> Self {
        let geometry = Geometry::new(DEPTH as u32, size_of::<T>()).expect("the payload fits a slot");
        let (near, far) = (Memory::new(Half::words(Some(geometry))), Memory::new(Half::words(None)));
        Ring { near, far, geometry }
    }

    fn ends(&self) -> (Producer<'_>, Consumer<'_>) {
        let (near, far) = (self.near.half(Some(self.geometry)), self.far.half(None));
        let slots = near.slots().expect("the producer's half has slots");
        (
            Producer { slots, own: near, peer: far, sent: 0, consumed: 0 },
            Consumer { slots, own: far, consumed: 0, message: Box::default() },
        )
    }
}

struct Producer<'m> {
    slots: Slots<'m>,
    own: Half<'m>,
    peer: Half<'m>,
    sent: u32,
    /// The reader's position, when it was last looked at.
    consumed: u32,
}

impl Producer<'_> {
    #[inline(always)]
    fn has_room(&mut self) -> bool {
        let slots = self.slots.geometry().slots();
        if self.sent.wrapping_sub(self.consumed) >= slots {
            self.consumed = self.peer.get(Position::Consumed);
        }
        self.sent.wrapping_sub(self.consumed) < slots
    }
}

impl<T: Payload> Sends<T> for Producer<'_> {
    #[inline(always)]
    fn send(&mut self, payload: T) -> bool {
        if !self.has_room() {
            return false;
        }
        let header = Header { epoch: EPOCH, tag: 0, origin: 0 };
        if !payload.show(|bytes| self.slots.write(self.sent, header, bytes)) {
            return false;
        }
        self.slots.commit(self.sent);
        self.sent = self.sent.wrapping_add(1);
        self.own.set(Position::Sent, self.sent);
        true
    }
}

struct Consumer<'m> {
    slots: Slots<'m>,
    own: Half<'m>,
    consumed: u32,
    /// Apart, because whoever shows its address to the compiler must not show the other fields too.
    message: Box<Message>,
}

impl<T: Payload> Receives<T> for Consumer<'_> {
    #[inline(always)]
    fn receive(&mut self) -> bool {
        if self.slots.read(self.consumed, EPOCH, &mut self.message) != Ok(true) {
            return false;
        }
        let whole = black_box(self.message.bytes()).len() == size_of::<T>();
        self.consumed = self.consumed.wrapping_add(1);
        self.own.set(Position::Consumed, self.consumed);
        whole
    }
}

impl<T> Sends<T> for rtrb::Producer<T> {
    #[inline(always)]
    fn send(&mut self, payload: T) -> bool {
        self.push(payload).is_ok()
    }
}

impl<T> Receives<T> for rtrb::Consumer<T> {
    #[inline(always)]
    fn receive(&mut self) -> bool {
        black_box(self.pop()).is_ok()
    }
}

/// One slot of it stays empty.
type Heapless<T> = heapless::spsc::Queue<T, { DEPTH + 1 }>;

impl<T> Sends<T> for heapless::spsc::Producer<'_, T> {
    #[inline(always)]
    fn send(&mut self, payload: T) -> bool {
        self.enqueue(payload).is_ok()
    }
}

impl<T> Receives<T> for heapless::spsc::Consumer<'_, T> {
    #[inline(always)]
    fn receive(&mut self) -> bool {
        black_box(self.dequeue()).is_some()
    }
}

impl<M: RawMutex, T> Sends<T> for &Channel<M, T, DEPTH> {
    #[inline(always)]
    fn send(&mut self, payload: T) -> bool {
        self.try_send(payload).is_ok()
    }
}

impl<M: RawMutex, T> Receives<T> for &Channel<M, T, DEPTH> {
    #[inline(always)]
    fn receive(&mut self) -> bool {
        black_box(self.try_receive()).is_ok()
    }
}

const ONE_THREAD: &str = "A queue, one thread: send and receive";
const TWO_THREADS: &str = "A queue, two threads: one way (half of a ping-pong), busy polling";

/// One function for each queue, which owns both ends while it runs: what the compiler makes of one queue depends neither
/// on the others nor on where its ends are kept.
#[inline(never)]
fn to_and_fro<T: Payload, S: Sends<T>, R: Receives<T>>(
    count: u64,
    source: &Source<T>,
    ends: &mut Option<(S, R)>,
) -> f64 {
    let Some((mut send, mut receive)) = ends.take() else {
        return f64::NAN;
    };
    let mut lost = false;
    let took = timed(count, || {
        for number in 0..count {
            lost |= !send.send(source.at(number));
            lost |= !receive.receive();
        }
    });
    *ends = Some((send, receive));
    if lost { f64::NAN } else { took }
}

/// The rows of all peers, from the values of ours and theirs.
fn rows<T: Payload>(
    group: &'static str,
    id: &str,
    aim: f64,
    embassy: &str,
    note: &str,
    values: Option<&[Vec<f64>; 4]>,
) -> Vec<Row> {
    let what = T::NAME.to_owned();
    let name = T::NAME.replace(' ', "-");
    let peers = [("rtrb", "rtrb"), ("heapless", "heapless spsc"), ("embassy-sync", embassy)];
    let row = |(at, (key, peer)): (usize, &(&str, &str))| {
        let row = Row::new(&format!("{id}/{name}/{key}"), group, &what).beside(peer).noting(note);
        let row = if *key == "rtrb" { row.aiming_at(aim) } else { row };
        match values {
            Some(values) => row.measured(paired(&values[0], &values[at + 1])),
            None => row,
        }
    };
    peers.iter().enumerate().map(row).collect()
}

fn one_thread<T: Payload>(options: &Options) -> Vec<Row> {
    let count = if options.quick { 2_000 } else { 20_000 };
    let source = Source::<T>::new();
    let ring = Ring::new::<T>();
    let mut ours = Some(ring.ends());
    let mut rtrb = Some(rtrb::RingBuffer::<T>::new(DEPTH));
    let mut queue = Box::new(Heapless::<T>::new());
    let mut heapless = Some(queue.split());
    let channel = Channel::<NoopRawMutex, T, DEPTH>::new();
    let mut embassy = Some((&channel, &channel));
    let values = in_turns(options, |contestant| match contestant {
        0 => to_and_fro(count, &source, &mut ours),
        1 => to_and_fro(count, &source, &mut rtrb),
        2 => to_and_fro(count, &source, &mut heapless),
        _ => to_and_fro(count, &source, &mut embassy),
    });
    let note = "Queues: raw slots of 64 messages. Ours alone stamps each message with its writer's epoch and judges the \
                reader's private copy; the others trust their memory. The message's encoding is a row of its own.";
    rows::<T>(ONE_THREAD, "one-thread", 2.0, "embassy-sync, NoopRawMutex", note, Some(&values))
}

/// Waits, busy, for a message. False: it never came.
#[inline]
fn wait<T>(receive: &mut impl Receives<T>) -> bool {
    let mut spins = 0u32;
    let mut began = None;
    loop {
        if receive.receive() {
            return true;
        }
        spin_loop();
        spins = spins.wrapping_add(1);
        if spins.is_multiple_of(1 << 16) && began.get_or_insert_with(Instant::now).elapsed() > AT_MOST {
            return false;
        }
    }
}

/// Sends and waits for the echo; nanoseconds one way, or none if a message was lost.
#[inline(never)]
fn ping<T: Payload>(rounds: u64, source: &Source<T>, send: &mut impl Sends<T>, receive: &mut impl Receives<T>) -> f64 {
    let mut lost = false;
    let one_way = timed(2 * rounds, || {
        for number in 0..rounds {
            lost = lost || !send.send(source.at(number)) || !wait(receive);
        }
    });
    if lost { f64::NAN } else { one_way }
}

/// Waits and sends as much back.
#[inline(never)]
fn echo<T: Payload>(rounds: u64, source: &Source<T>, receive: &mut impl Receives<T>, send: &mut impl Sends<T>) -> f64 {
    let mut lost = false;
    for number in 0..rounds {
        lost = lost || !wait(receive) || !send.send(source.at(number));
    }
    0.0
}

/// Two processors that this process may use, on two cores if the machine says so.
fn two_cores() -> Option<[usize; 2]> {
    let allowed = affinity::allowed();
    let first = *allowed.first()?;
    let path = format!("/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list");
    let siblings = std::fs::read_to_string(path).unwrap_or_default();
    let is_sibling = |cpu: usize| siblings.trim().split([',', '-']).any(|number| number.parse() == Ok(cpu));
    let others = || allowed.iter().copied().filter(|cpu| *cpu != first);
    let second = others().find(|cpu| !is_sibling(*cpu)).or_else(|| others().next())?;
    Some([first, second])
}

#[cfg(target_os = "linux")]
mod affinity {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> Vec<usize> {
        sched_getaffinity(None)
            .map_or_else(|_| vec![], |set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
    }

    /// Keeps this thread on a processor; where that is not permitted, the thread stays free.
    pub(super) fn pin(cpu: usize) {
        let mut set = CpuSet::new();
        set.set(cpu);
        let _ = sched_setaffinity(None, &set);
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn allowed() -> Vec<usize> {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    }

    /// Threads are not pinned here.
    pub(super) fn pin(_cpu: usize) {}
}

fn two_threads<T: Payload>(options: &Options) -> Vec<Row> {
    let embassy_name = "embassy-sync, CriticalSectionRawMutex";
    let note = "Two threads: on two processors, each thread kept on its own where that is permitted. The critical \
                section of embassy-sync is the one that the critical-section crate has for std: one lock for the process.";
    let Some(cores) = two_cores() else {
        let none = "Two threads: this process may use only one processor, where polling measures the scheduler.";
        return rows::<T>(TWO_THREADS, "two-threads", 1.0, embassy_name, none, None);
    };
    let rounds = if options.quick { 100 } else { 500 };
    let rings = [Ring::new::<T>(), Ring::new::<T>()];
    let [(mut ours_in, mut ours_far), (mut ours_back, mut ours_out)] = rings.each_ref().map(Ring::ends);
    let (mut rtrb_in, mut rtrb_far) = rtrb::RingBuffer::<T>::new(DEPTH);
    let (mut rtrb_back, mut rtrb_out) = rtrb::RingBuffer::<T>::new(DEPTH);
    let mut there = Box::new(Heapless::<T>::new());
    let mut back = Box::new(Heapless::<T>::new());
    let (mut heapless_in, mut heapless_far) = there.split();
    let (mut heapless_back, mut heapless_out) = back.split();
    let channel = || Box::new(Channel::<CriticalSectionRawMutex, T, DEPTH>::new());
    let (embassy_there, embassy_back) = (channel(), channel());
    let (mut embassy_in, mut embassy_out) = (&*embassy_there, &*embassy_back);
    let (mut embassy_far, mut embassy_answers) = (embassy_in, embassy_out);
    let (source, together) = (&Source::<T>::new(), &Barrier::new(2));
    let values: [Vec<f64>; 4] = std::thread::scope(|scope| {
        // Both threads go through the same contestants in the same order.
        scope.spawn(move || {
            affinity::pin(cores[1]);
            together.wait();
            in_turns::<4>(options, |contestant| match contestant {
                0 => echo(rounds, source, &mut ours_far, &mut ours_back),
                1 => echo(rounds, source, &mut rtrb_far, &mut rtrb_back),
                2 => echo(rounds, source, &mut heapless_far, &mut heapless_back),
                _ => echo(rounds, source, &mut embassy_far, &mut embassy_answers),
            });
        });
        let pings = scope.spawn(move || {
            affinity::pin(cores[0]);
            together.wait();
            in_turns(options, |contestant| match contestant {
                0 => ping(rounds, source, &mut ours_in, &mut ours_out),
                1 => ping(rounds, source, &mut rtrb_in, &mut rtrb_out),
                2 => ping(rounds, source, &mut heapless_in, &mut heapless_out),
                _ => ping(rounds, source, &mut embassy_in, &mut embassy_out),
            })
        });
        pings.join().expect("the pinging thread comes back")
    });
    rows::<T>(TWO_THREADS, "two-threads", 1.0, embassy_name, note, Some(&values))
}

fn spelling(options: &Options) -> Vec<Row> {
    let count = if options.quick { 2_000 } else { 20_000 };
    let chunk = Bytes::<32>::try_from(&[7u8; 32][..]).unwrap_or_default();
    let mut room = [0; MAX_MESSAGE];
    let [number, bytes] = in_turns(options, |contestant| {
        timed(count, || {
            for at in 0..count {
                let done = match contestant {
                    0 => encode(&black_box(at), &mut room).and_then(|spelt| decode::<u64>(black_box(spelt))).is_some(),
                    _ => {
                        let spelt = encode(black_box(&chunk), &mut room);
                        black_box(spelt.and_then(|spelt| decode::<Bytes<32>>(black_box(spelt)))).is_some()
                    }
                };
                black_box(done);
            }
        })
    });
    let group = "A message's encoding in postcard: encode and decode";
    vec![
        Row::new("postcard/u64", group, "u64").measured(alone(&number)),
        Row::new("postcard/32-bytes", group, "32 bytes").measured(alone(&bytes)),
    ]
}

pub(super) fn run(options: &Options) -> Vec<Row> {
    let parts: [fn(&Options) -> Vec<Row>; 5] =
        [one_thread::<u64>, one_thread::<Block>, spelling, two_threads::<u64>, two_threads::<Block>];
    parts.iter().flat_map(|part| part(options)).collect()
}
