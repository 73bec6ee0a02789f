//! Every public entry point of koboshi-core's kernel, rings, records, timers and schedule, and of koboshi-link, as functions of a module.
//!
//! Job: give the optimiser all of them, with nothing known of their arguments. Its panic handler calls a function that
//! the module imports. If that import is gone from the finished module, none of them can panic.
//!
//! Everything that describes an image (components, ports, geometry) is written by exported functions too, so that the
//! optimiser cannot use what a fixed image would tell it.
#![no_std]

mod link;

use core::cell::UnsafeCell;

use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Component, Kernel, Life, Line, Port, Record, Rights, SwapPhase, Swappable, Tables, Version};
use koboshi_core::knock::Knock;
use koboshi_core::life::{Begin, Fault};
use koboshi_core::place::Place;
use koboshi_core::record::{Contracts, Half, Outcome, Position, Seal, Sealed, ServiceRecord, StreamRecord};
use koboshi_core::ring::{Geometry, Header, Message, Slots};
use koboshi_core::schedule::Schedule;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_core::timer::Timers;
use koboshi_core::{ComponentId, LineId, PortId};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn koboshi_panicked();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    koboshi_panicked();
    loop {}
}

/// A value of this module's one thread.
struct Global<T>(UnsafeCell<T>);

// SAFETY: a module of wasm32v1-none has one thread.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    const fn new(value: T) -> Self {
        Global(UnsafeCell::new(value))
    }

    #[expect(clippy::mut_from_ref, reason = "each exported function asks once")]
    fn get(&self) -> &mut T {
        // SAFETY: there is one thread, and no exported function calls another.
        unsafe { &mut *self.0.get() }
    }

    /// The value for good.
    #[expect(clippy::mut_from_ref, reason = "the host calls `begin` once")]
    fn lend(&'static self) -> &'static mut T {
        // SAFETY: only `begin` lends, and the host calls it once.
        unsafe { &mut *self.0.get() }
    }
}

const WORDS: usize = 1 << 16;
static NEAR: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];
static FAR: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];

const NOTHING: Component<'static> = Component {
    name: "",
    vcpu: 0,
    respond_within: 0,
    recover_within: None,
    ports: &[],
    lines: &[],
    rights: Rights { control: 0, facts: false, blame: false, reboot: false, load: 0 },
    swappable: None,
};
static COMPONENTS: Global<[Component<'static>; 64]> = Global::new([NOTHING; 64]);
static LIVES: Global<Option<[Life; 64]>> = Global::new(None);
static PORT_TABLE: Global<Option<[Port<'static>; 8]>> = Global::new(None);
static SEALED: Global<Option<[Sealed; 8]>> = Global::new(None);
static LINES: Global<[Line; 8]> = Global::new([Line::new(ComponentId(0)); 8]);
static INCIDENTS: Global<[Option<Incident>; 8]> = Global::new([None; 8]);
static KERNEL: Global<Option<Kernel<'static>>> = Global::new(None);
static PORT_IDS: Global<[PortId; 64]> = Global::new([PortId(0); 64]);
static LINE_IDS: Global<[LineId; 64]> = Global::new([LineId(0); 64]);

/// Arguments that the host writes before it calls: the optimiser knows none of them.
static ARGUMENTS: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
/// What a call gave.
static RESULTS: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
static BYTES: Global<[u8; 256]> = Global::new([0; 256]);

#[unsafe(no_mangle)]
pub extern "C" fn arguments() -> *const AtomicU32 {
    ARGUMENTS.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn results() -> *const AtomicU32 {
    RESULTS.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn bytes() -> *const u8 {
    BYTES.get().as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn near() -> *const AtomicU32 {
    NEAR.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn far() -> *const AtomicU32 {
    FAR.as_ptr()
}

fn argument(at: usize) -> u32 {
    ARGUMENTS.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
}

fn result(at: usize, value: u32) {
    if let Some(word) = RESULTS.get(at) {
        word.store(value, Ordering::Relaxed);
    }
}

fn geometry() -> Option<Geometry> {
    Geometry::new(argument(28), argument(29) as usize)
}

fn words(memory: &'static [AtomicU32]) -> &'static [AtomicU32] {
    memory.get(..argument(30) as usize).unwrap_or(&[])
}

fn slots() -> Option<Slots<'static>> {
    Slots::new(words(&NEAR), geometry()?)
}

fn half(memory: &'static [AtomicU32], with_slots: bool) -> Option<Half<'static>> {
    Half::new(words(memory), if with_slots { Some(geometry()?) } else { None })
}

fn service() -> Option<ServiceRecord<'static>> {
    Some(ServiceRecord { client: half(&NEAR, true)?, server: half(&FAR, argument(31) & 1 != 0)? })
}

fn stream() -> Option<StreamRecord<'static>> {
    Some(StreamRecord { producer: half(&NEAR, true)?, consumer: half(&FAR, argument(31) & 1 != 0)? })
}

fn header() -> Header {
    Header { epoch: argument(1), tag: argument(2) as u8, origin: argument(3) }
}

fn payload() -> &'static [u8] {
    BYTES.lend().get(..argument(4) as usize).unwrap_or(&[])
}

fn show_message(message: &Message) {
    result(0, message.header.epoch);
    result(1, message.header.tag.into());
    result(2, message.header.origin);
    result(3, message.deadline() as u32);
    result(4, (message.deadline() >> 32) as u32);
    result(5, message.progress());
    result(6, message.bytes().len() as u32);
    for (to, from) in BYTES.get().iter_mut().zip(message.bytes()) {
        *to = *from;
    }
}

fn show_seal(seal: Seal) {
    let mut sum = Seal::default();
    sum.add(seal);
    for (at, value) in [sum.offered_again, sum.interrupted, sum.poisoned, sum.blamed.into(), sum.progressed.into()]
        .into_iter()
        .enumerate()
    {
        result(at, value);
    }
}

// Rings.

#[unsafe(no_mangle)]
pub extern "C" fn ring_geometry() -> usize {
    geometry().map_or(0, |found| found.words() + found.payload() + found.slots() as usize + Half::words(Some(found)))
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_write(position: u32) -> bool {
    slots().is_some_and(|slots| slots.write(position, header(), payload()))
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_commit(position: u32, deadline: u64) {
    if let Some(slots) = slots() {
        slots.write_deadline(position, deadline);
        slots.commit(position);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_clear(position: u32) {
    if let Some(slots) = slots() {
        slots.clear(position);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_read(position: u32, epoch: u32) -> u32 {
    let mut message = Message::new();
    let read = slots().map(|slots| slots.read(position, epoch, &mut message));
    show_message(&message);
    match read {
        None => 0,
        Some(Ok(ready)) => 1 + u32::from(ready),
        Some(Err(malformed)) => 3 + malformed as u32,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_look(position: u32, epoch: u32) -> u64 {
    slots().map_or(0, |slots| {
        let (tag, origin) = slots.tag_and_origin(position);
        let words = [slots.progress(position), slots.mark(position)];
        let words = words.into_iter().flatten().map(|word| u64::from(word.load(Ordering::Relaxed)));
        words.fold(slots.ready(position) as u64, u64::wrapping_add)
            ^ u64::from(slots.committed(position, epoch))
            ^ u64::from(tag)
            ^ u64::from(origin)
            ^ u64::from(slots.epoch(position))
            ^ slots.deadline(position)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn ring_fill(position: u32, at: usize, byte: u8) -> u8 {
    slots().map_or(0, |slots| {
        slots.set_payload_byte(position, at, byte);
        slots.finish(position, header(), at);
        slots.payload_byte(position, at ^ 1)
    })
}

// Records.

fn position(number: u32) -> Position {
    match number {
        0 => Position::Sent,
        1 => Position::Consumed,
        2 => Position::Filling,
        3 => Position::Taken,
        4 => Position::Answered,
        5 => Position::Replayed,
        _ => Position::Moved,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn half_get(number: u32, with_slots: bool) -> u32 {
    half(&NEAR, with_slots).map_or(0, |half| half.get(position(number)) + u32::from(half.slots().is_some()))
}

#[unsafe(no_mangle)]
pub extern "C" fn half_set(number: u32, value: u32) {
    if let Some(half) = half(&NEAR, true) {
        half.set(position(number), value);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn outcome(tag: u8) -> u32 {
    Outcome::from_tag(tag).map_or(99, |outcome| outcome as u32)
}

fn contracts() -> Contracts {
    Contracts { at_most_once: argument(5), idempotent: argument(6), routed: argument(7) != 0 }
}

fn sealed() -> &'static mut Sealed {
    static ONE: Global<Option<Sealed>> = Global::new(None);
    ONE.lend().get_or_insert_default()
}

#[unsafe(no_mangle)]
pub extern "C" fn seal_client() {
    if let Some(record) = service() {
        show_seal(record.seal_client(sealed()));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn seal_server(epoch: u32) {
    if let Some(record) = service() {
        show_seal(record.seal_server(sealed(), contracts(), epoch));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn take_back(position: u32, epoch: u32) {
    if let Some(record) = service() {
        record.take_back(position, epoch);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn refuse_request(position: u32) {
    if let Some(record) = service() {
        record.refuse_request(position);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn answer_gone(epoch: u32) {
    if let Some(record) = service() {
        record.answer_gone(sealed(), epoch);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn seal_producer() {
    if let Some(record) = stream() {
        show_seal(record.seal_producer(sealed()));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn seal_consumer() {
    if let Some(record) = stream() {
        show_seal(record.seal_consumer(sealed()));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn refuse_item(position: u32) {
    if let Some(record) = stream() {
        record.refuse_item(position);
    }
}

// Timers and schedule.

static TIMERS: Global<Timers> = Global::new(Timers::new());

#[unsafe(no_mangle)]
pub extern "C" fn timers_set(id: u8, deadline: u64) {
    TIMERS.get().set(ComponentId(id), deadline);
}

#[unsafe(no_mangle)]
pub extern "C" fn timers_look(id: u8, now: u64) -> u64 {
    let timers = TIMERS.get();
    timers.get(ComponentId(id)) ^ timers.earliest() ^ timers.due(now).map_or(99, |id| u64::from(id.0))
}

static SCHEDULE: Global<Option<Schedule>> = Global::new(None);

#[unsafe(no_mangle)]
pub extern "C" fn schedule(vcpu: u8, id: u8, ready: bool) -> u32 {
    let schedule = SCHEDULE.get().get_or_insert_default();
    if ready {
        schedule.ready(vcpu, ComponentId(id));
    } else {
        schedule.idle(vcpu, ComponentId(id));
    }
    let highest = schedule.highest().map_or(99, u32::from);
    highest << 8 | schedule.turn().map_or(99, |id| u32::from(id.0))
}

// The kernel. A host describes components and ports, calls `begin` once, and then the rest.

#[unsafe(no_mangle)]
pub extern "C" fn describe_component(at: usize) {
    let ports = PORT_IDS.lend().get(argument(0) as usize..argument(1) as usize).unwrap_or(&[]);
    let lines = LINE_IDS.lend().get(argument(2) as usize..argument(3) as usize).unwrap_or(&[]);
    let rights = Rights {
        control: u64::from(argument(4)) | u64::from(argument(5)) << 32,
        facts: argument(6) != 0,
        blame: argument(7) != 0,
        reboot: argument(8) != 0,
        load: 0,
    };
    if let Some(component) = COMPONENTS.get().get_mut(at) {
        let (vcpu, respond_within) = (argument(9) as u8, u64::from(argument(10)));
        let recover_within = (argument(11) != 0).then_some(u64::from(argument(11)));
        let swappable = (argument(12) != 0).then_some(Swappable {
            quiesce_within: argument(12).into(),
            answers: argument(13),
            within: argument(14).into(),
        });
        *component = Component { name: "", vcpu, respond_within, recover_within, ports, lines, rights, swappable };
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn describe_ids(at: usize, port: u16, line: u8) {
    if let Some(id) = PORT_IDS.get().get_mut(at) {
        *id = PortId(port);
    }
    if let Some(id) = LINE_IDS.get().get_mut(at) {
        *id = LineId(line);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn describe_line(at: usize, owner: u8) {
    if let Some(line) = LINES.get().get_mut(at) {
        *line = Line::new(ComponentId(owner));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn describe_port(at: usize, near: u8, far: u8, is_stream: bool) {
    let record =
        if is_stream { stream().map(Record::Stream) } else { service().map(|it| Record::Service(it, contracts())) };
    if let Some(record) = record {
        let port = Port { near: ComponentId(near), far: ComponentId(far), record, waits: argument(14) != 0 };
        if let Some(place) = PORT_TABLE.get().get_or_insert([port; 8]).get_mut(at) {
            *place = port;
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn begin() -> bool {
    let lives = LIVES.lend().get_or_insert([Life::default(); 64]);
    let sealed = SEALED.lend().get_or_insert([Sealed::default(); 8]);
    let ports: &'static [Port<'static>] = PORT_TABLE.lend().as_ref().map_or(&[], |table| table);
    *KERNEL.get() = Kernel::new(Tables {
        components: COMPONENTS.lend().get(..argument(0) as usize).unwrap_or(&[]),
        lives: lives.get_mut(..argument(1) as usize).unwrap_or(&mut []),
        ports: ports.get(..argument(2) as usize).unwrap_or(&[]),
        sealed: sealed.get_mut(..argument(3) as usize).unwrap_or(&mut []),
        lines: LINES.lend().get_mut(..argument(4) as usize).unwrap_or(&mut []),
        incidents: INCIDENTS.lend().get_mut(..argument(5) as usize).unwrap_or(&mut []),
        manager: u8::try_from(argument(6)).ok().map(ComponentId),
    });
    KERNEL.get().is_some()
}

fn fault_of(number: u32) -> Fault {
    match number {
        0 => Fault::Access { address: argument(11) },
        1 => Fault::IllegalInstruction,
        2 => Fault::Panic,
        3 => Fault::Stack,
        4 => Fault::Stuck,
        5 => Fault::RunAway,
        6 => Fault::BadMessage,
        7 => Fault::Exit,
        8 => Fault::Told,
        9 => Fault::Reset,
        10 => Fault::Watchdog,
        11 => Fault::Swapped,
        _ => Fault::Late,
    }
}

fn command_of(number: u32) -> Command {
    match number {
        0 => Command::Start,
        1 => Command::End(fault_of(argument(12))),
        2 => Command::Stop,
        3 => Command::BackOff,
        4 => Command::GiveUp,
        5 => Command::EndReported(fault_of(argument(12)), argument(13) as u8),
        6 => Command::Knock(Knock::of_code(argument(13) as u8).unwrap_or(Knock::Panic)),
        7 => Command::Wake,
        8 => Command::Swap(Version::Before),
        9 => Command::Swap(Version::New { way_back: argument(13) != 0 }),
        _ => Command::Reboot,
    }
}

fn with<T>(act: impl FnOnce(&mut Kernel<'static>) -> T) -> Option<T> {
    KERNEL.get().as_mut().map(act)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_start(id: u8, begin: u32, now: u64) -> u32 {
    let begin = match begin {
        0 => Begin::Fresh,
        1 => Begin::Recovered,
        _ => Begin::Updated,
    };
    with(|kernel| kernel.start(ComponentId(id), begin, now).unwrap_or(0)).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_ring(id: u8, port: u8, now: u64) {
    with(|kernel| kernel.ring(ComponentId(id), port, now));
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_interrupt(line: u8) {
    with(|kernel| kernel.interrupt(LineId(line)));
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_acknowledge(id: u8, line: u8) -> bool {
    with(|kernel| {
        kernel.acknowledge(ComponentId(id), line);
        kernel.masked(LineId(line)) ^ kernel.delivered(ComponentId(id), line)
    })
    .unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_dispatch(now: u64) -> u32 {
    with(|kernel| kernel.dispatch(now).map_or(99, |id| u32::from(id.0))).unwrap_or(99)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_wait(id: u8, alarm: u64, now: u64) {
    with(|kernel| kernel.wait(ComponentId(id), alarm, now));
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_swap_phase(id: u8) -> u32 {
    with(|kernel| {
        let id = ComponentId(id);
        kernel.forget_before(id);
        let flags = u32::from(kernel.has_before(id)) | u32::from(kernel.quiesces(id)) << 1;
        match kernel.swap_phase(id) {
            SwapPhase::None => flags,
            SwapPhase::Quiescing => flags | 4,
            SwapPhase::Probation(incident) => incident ^ u32::from(kernel.place(id)),
        }
    })
    .unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_expire(now: u64) -> bool {
    with(|kernel| kernel.expire(now)).unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_fault(id: u8, fault: u32, now: u64) {
    with(|kernel| kernel.fault(ComponentId(id), fault_of(fault), now));
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_blame(id: u8, port: u8, position: u32, epoch: u32, now: u64) -> bool {
    with(|kernel| kernel.blame(ComponentId(id), port, position, epoch, now)).unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_command(id: u8, command: u32, now: u64) -> bool {
    with(|kernel| kernel.command(ComponentId(id), command_of(command), now).is_ok()).unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_command_for(from: u8, id: u8, command: u32, now: u64) -> bool {
    with(|kernel| kernel.command_for(ComponentId(from), ComponentId(id), command_of(command), now).is_ok())
        .unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_reboot(now: u64) {
    with(|kernel| kernel.reboot(now));
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_placed(id: u8, line: u32) -> u32 {
    let mut place = Place::default();
    place.panicked(payload(), line);
    let number = with(|kernel| {
        kernel.incident_of(ComponentId(id)).map(|incident| {
            incident.at = place;
            incident.number
        })
    });
    number.flatten().unwrap_or(0) ^ place.file().len() as u32
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_take_over(number: u32, given_up: u64, now: u64) -> u64 {
    with(|kernel| {
        let known = kernel.incidents().first_from(number).copied();
        if let Some(mut incident) = known {
            incident.number = number ^ argument(13);
            kernel.take_over(incident);
        }
        kernel.keep_given_up(given_up);
        kernel.note_reset(Fault::Reset, number, now);
        let changed = if kernel.incidents_have_changed() { kernel.take_changed_incidents() } else { 0..0 };
        u64::from(changed.start ^ changed.end ^ kernel.incidents().room()) ^ kernel.given_up()
    })
    .unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn kernel_look(id: u8, of: u8, port: u8, number: u32, back: u32) -> u64 {
    with(|kernel| {
        let (id, of) = (ComponentId(id), ComponentId(of));
        let actions = kernel.take_actions();
        let mut sum = actions.halt ^ actions.load ^ actions.safe ^ u64::from(actions.reboot);
        sum ^= kernel.next_deadline() ^ kernel.highest_ready().map_or(99, u64::from);
        sum ^= kernel.begin(id).map_or(99, |begin| begin as u64);
        sum ^= kernel.component(id).map_or(0, |component| component.respond_within);
        sum ^= kernel.down_for(id) ^ u64::from(kernel.has_actions());
        sum ^= kernel.standing(id).map_or(99, |(state, epoch)| state as u64 ^ u64::from(epoch));
        sum ^= kernel.last_fault(id).map_or(99, |fault| u64::from(fault.code()));
        if let Some(facts) = kernel.facts_for(id, of).ok().or_else(|| kernel.facts(of)) {
            sum ^= u64::from(facts.starts.since(sum));
            sum ^= facts.fruitless.last(back).unwrap_or(0) ^ u64::from(facts.fruitless.count());
            sum ^= facts.failed_at ^ u64::from(facts.epoch) ^ facts.fault.map_or(0, |fault| u64::from(fault.code()));
        }
        if let Some(peer) = kernel.peer(id, port) {
            sum ^= u64::from(peer.epoch) ^ peer.state as u64;
        }
        let log = kernel.incidents();
        let incident = log.get(number).or_else(|| log.first_from(number));
        sum ^ u64::from(log.count())
            ^ incident.map_or(0, |incident| incident.failed_at ^ u64::from(incident.missed(log.count().into())))
    })
    .unwrap_or(0)
}

#[cfg(feature = "panics")]
#[unsafe(no_mangle)]
pub extern "C" fn may_panic(at: usize) -> u8 {
    BYTES.get()[at]
}
