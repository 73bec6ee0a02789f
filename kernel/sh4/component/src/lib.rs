//! A component's side of the SH-4 platform: the functions of `koboshi_runtime::platform`, and the loop around its future.
//!
//! Job: ask the kernel by traps what only the kernel can do, and read everything else in the page that it shows. Device
//! registers are plain accesses: the MMU lets a component reach exactly its own.
//!
//! With the feature `module` it is the side of a component on the host that is a module of its own: the traps are the
//! module's imports, and those for device registers are two more of them.
//!
//! Rules kept here: a turn ends with one trap, which rings all peers that were to be rung and waits; what the kernel
//! tells is read anew each time. Nothing of a component is in a `static` but what this page itself needs.
//!
//! It must never: decide anything that the kernel decides on other platforms.
#![no_std]
#![allow(unsafe_code, reason = "traps, device registers, and memory at addresses that the composer has chosen")]

#[cfg(feature = "knocks")]
mod knocks;

use core::panic::PanicInfo;
use core::pin::pin;
#[cfg(not(feature = "module"))]
use core::ptr;
use core::slice;
use core::task::Poll;

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, Peer, Version};
use koboshi_core::life::{Begin, Facts, Fault};
use koboshi_core::place::Registers;
use koboshi_core::ring::Geometry;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_runtime::executor::turn;
use koboshi_runtime::life::{Exit, Start};
use koboshi_runtime::platform::{Point, PortMemory, Width};
#[cfg(feature = "line-end")]
use koboshi_sh4_abi::line_end::{self, Face, LineEnd};
use koboshi_sh4_abi::{self as abi, PortView, View, WAITS, answer, command, version, words};

unsafe extern "C" {
    // Each of these is `trapa #N; rts`, in `traps.S`: r4 to r7 in, r0 and r1 out.
    safe fn koboshi_trap_wait(rings: u32, alarm_low: u32, alarm_high: u32);
    safe fn koboshi_trap_ring(rings: u32);
    safe fn koboshi_trap_now() -> u64;
    safe fn koboshi_trap_acknowledge(line: u32);
    safe fn koboshi_trap_blame(port: u32, position: u32, epoch: u32) -> u32;
    safe fn koboshi_trap_facts(of: u32, to: *mut u32) -> u32;
    safe fn koboshi_trap_command(target: u32, command: u32, argument: u32) -> u32;
    safe fn koboshi_trap_incident(number: u32, to: *mut u32) -> u32;
    safe fn koboshi_trap_log(text: *const u8, length: usize);
    safe fn koboshi_trap_exit(text: *const u8, length: usize) -> !;
    safe fn koboshi_trap_panic(file: *const u8, length: usize, line: u32) -> !;
    safe fn koboshi_trap_window_closed();
    safe fn koboshi_trap_down() -> u64;
    safe fn koboshi_trap_registers(of: u32, to: *mut u32) -> u32;
    safe fn koboshi_trap_put(target: u32, offset: u32, from: *const u8, length: usize) -> u32;
}

#[cfg(feature = "module")]
unsafe extern "C" {
    // Widths are in bytes.
    safe fn koboshi_trap_read(device: u32, offset: u32, width: u32) -> u32;
    safe fn koboshi_trap_write(device: u32, offset: u32, width: u32, value: u32);
}

/// What the kernel and the composer tell. The kernel passes it to the component's first instruction.
static VIEW: AtomicU32 = AtomicU32::new(0);

/// Peers to ring at the end of the turn, as bits of their ports.
static RINGS: AtomicU32 = AtomicU32::new(0);

/// The earliest alarm that was asked for in this turn: low half, high half, all bits inverted. So it begins with zeros: a
/// component whose variables all do takes a page less, and less time to begin anew.
static ALARM: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

fn get(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

fn set(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Relaxed);
}

fn view() -> &'static View {
    // SAFETY: the kernel gave this address of a page that the composer has filled; the component may read it, always.
    unsafe { &*(get(&VIEW) as *const View) }
}

/// Words of memory that is the component's for all its life.
fn words([address, length]: [u32; 2]) -> &'static [AtomicU32] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the composer has put these words there, aligned, and the image maps them; they are shared as atomic words.
    unsafe { slice::from_raw_parts(address as *const AtomicU32, length as usize) }
}

/// Runs a component: the whole of its life. `view` is what the kernel passed to the first instruction.
pub fn run<F: Future<Output = Exit>>(view: u32, start: impl FnOnce(Start) -> F) -> ! {
    set(&VIEW, view);
    let mut future = pin!(start(Start::now()));
    loop {
        match turn(future.as_mut()) {
            Poll::Pending => {
                let (rings, low, high) = (get(&RINGS), !get(&ALARM[0]), !get(&ALARM[1]));
                set(&RINGS, 0);
                ALARM.iter().for_each(|half| set(half, 0));
                koboshi_trap_wait(rings, low, high);
            }
            Poll::Ready(Exit::Done) => exit("it had nothing more to do"),
            Poll::Ready(Exit::Unfit(why)) => exit(why),
        }
    }
}

/// Its `run` has come back.
fn exit(why: &str) -> ! {
    koboshi_trap_ring(get(&RINGS));
    koboshi_trap_exit(why.as_ptr(), why.len())
}

/// What a component's `#[panic_handler]` does: the kernel is told where it was.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    koboshi_trap_panic(file.as_ptr(), file.len(), line)
}

/// A component as a program: its first instruction, and what it does when it panics.
#[macro_export]
macro_rules! component {
    ($start:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn koboshi_component(view: u32) -> ! {
            $crate::run(view, $start)
        }

        #[panic_handler]
        fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }
    };
}

#[unsafe(no_mangle)]
fn koboshi_now() -> u64 {
    koboshi_trap_now()
}

#[unsafe(no_mangle)]
fn koboshi_alarm(at: u64) {
    let before = u64::from(!get(&ALARM[0])) | u64::from(!get(&ALARM[1])) << 32;
    if at < before {
        set(&ALARM[0], !(at as u32));
        set(&ALARM[1], !((at >> 32) as u32));
    }
}

#[unsafe(no_mangle)]
fn koboshi_ring(port: u8) {
    #[cfg(feature = "knocks")]
    if knocks::takes_reply(port) {
        return;
    }
    set(&RINGS, get(&RINGS) | 1u32.wrapping_shl(port.into()));
}

fn port_view(port: u8) -> Option<&'static PortView> {
    view().ports.get(usize::from(port)).filter(|port| port.own[1] != 0)
}

#[unsafe(no_mangle)]
fn koboshi_port(port: u8) -> Option<PortMemory> {
    let port = port_view(port)?;
    let geometry = |[slots, payload]: [u32; 2]| Geometry::new(slots, payload as usize);
    Some(PortMemory {
        own: words(port.own),
        peer: words(port.peer),
        own_slots: geometry(port.own_slots),
        peer_slots: geometry(port.peer_slots),
        key: u64::from(port.key[0]) | u64::from(port.key[1]) << 32,
    })
}

#[unsafe(no_mangle)]
fn koboshi_peer(port: u8) -> Option<Peer> {
    let port = port_view(port)?;
    // The kernel may write both in between: the state goes with an epoch that was the same before and after it.
    let mut epoch = get(&port.peer_epoch);
    let mut state = get(&port.peer_state);
    while epoch != get(&port.peer_epoch) {
        (epoch, state) = (get(&port.peer_epoch), get(&port.peer_state));
    }
    Some(Peer { epoch, state: abi::state_of_words(state & 0xFF), waits: state & WAITS != 0 })
}

#[unsafe(no_mangle)]
fn koboshi_kept() -> &'static [AtomicU32] {
    words(view().kept)
}

#[unsafe(no_mangle)]
fn koboshi_configuration() -> &'static [u8] {
    let [address, length] = view().configuration;
    if length == 0 {
        return &[];
    }
    // SAFETY: the composer has put so many bytes there, which nobody writes.
    unsafe { slice::from_raw_parts(address as *const u8, length as usize) }
}

#[unsafe(no_mangle)]
fn koboshi_begin() -> (u32, Begin) {
    let view = view();
    (get(&view.epoch), abi::begin_of_words(get(&view.begin)))
}

#[unsafe(no_mangle)]
fn koboshi_quiesces() -> bool {
    get(&view().quiesces) != 0
}

/// The address of a register. That of a device that the component does not have is one that nobody has.
#[cfg(not(feature = "module"))]
fn register(device: u8, offset: u32) -> u32 {
    let base = view().devices.get(usize::from(device)).copied().unwrap_or(0);
    if base == 0 { offset & 0xFFF } else { base.wrapping_add(offset) }
}

#[cfg(not(feature = "module"))]
fn read(device: u8, offset: u32, width: Width) -> u32 {
    let address = register(device, offset);
    match width {
        // SAFETY: whatever the address: the MMU lets the component reach its own, and ends it for any other.
        Width::Byte => unsafe { ptr::read_volatile(address as *const u8) }.into(),
        // SAFETY: as above.
        Width::Half => unsafe { ptr::read_volatile(address as *const u16) }.into(),
        // SAFETY: as above.
        Width::Word => unsafe { ptr::read_volatile(address as *const u32) },
    }
}

#[cfg(not(feature = "module"))]
fn write(device: u8, offset: u32, width: Width, value: u32) {
    let address = register(device, offset);
    match width {
        // SAFETY: as in `read`: a device's register is no memory of the program.
        Width::Byte => unsafe { ptr::write_volatile(address as *mut u8, value as u8) },
        // SAFETY: as above.
        Width::Half => unsafe { ptr::write_volatile(address as *mut u16, value as u16) },
        // SAFETY: as above.
        Width::Word => unsafe { ptr::write_volatile(address as *mut u32, value) },
    }
}

#[cfg(feature = "module")]
const fn bytes(width: Width) -> u32 {
    match width {
        Width::Byte => 1,
        Width::Half => 2,
        Width::Word => 4,
    }
}

#[cfg(feature = "module")]
fn read(device: u8, offset: u32, width: Width) -> u32 {
    koboshi_trap_read(device.into(), offset, bytes(width))
}

#[cfg(feature = "module")]
fn write(device: u8, offset: u32, width: Width, value: u32) {
    koboshi_trap_write(device.into(), offset, bytes(width), value);
}

/// The line's end that this device is, if it is one.
#[cfg(feature = "line-end")]
fn line_end(device: u8) -> Option<LineEnd<'static>> {
    let face = Face::marked(*view().devices.get(usize::from(device))?)?;
    let [own, peer, _] = view().line_end;
    Some(LineEnd::new(face, words([own, line_end::WORDS as u32]), words([peer, line_end::WORDS as u32])))
}

/// The other side of a line's end is to look, if this access tells it something.
#[cfg(feature = "line-end")]
fn tell_other_side(end: LineEnd<'_>, offset: u32, written: bool) {
    if end.tells(offset, written) {
        koboshi_ring(view().line_end[2] as u8);
    }
}

#[unsafe(no_mangle)]
fn koboshi_read(device: u8, offset: u32, width: Width) -> u32 {
    #[cfg(feature = "line-end")]
    if let Some(end) = line_end(device) {
        tell_other_side(end, offset, false);
        return end.read(offset);
    }
    read(device, offset, width)
}

#[unsafe(no_mangle)]
fn koboshi_write(device: u8, offset: u32, width: Width, value: u32) {
    #[cfg(feature = "line-end")]
    if let Some(end) = line_end(device) {
        tell_other_side(end, offset, true);
        return end.write(offset, value);
    }
    write(device, offset, width, value);
}

#[unsafe(no_mangle)]
fn koboshi_interrupt(line: u8, acknowledge: bool) -> bool {
    if acknowledge {
        koboshi_trap_acknowledge(line.into());
    }
    get(&view().delivered) & 1u32.wrapping_shl(line.into()) != 0
}

/// The word that is not 0 while a window is open.
fn window() -> &'static AtomicU32 {
    // SAFETY: the composer has put this word there for this component alone to write.
    unsafe { &*(view().window as *const AtomicU32) }
}

#[unsafe(no_mangle)]
fn koboshi_window(open: bool) {
    let view = view();
    set(window(), open.into());
    if !open && get(&view.end_wanted) != 0 {
        koboshi_trap_window_closed();
    }
}

#[unsafe(no_mangle)]
fn koboshi_blame(port: u8, position: u32, epoch: u32) -> bool {
    koboshi_trap_blame(port.into(), position, epoch) != 0
}

fn denied(number: u32) -> Denied {
    match number {
        answer::UNKNOWN => Denied::Unknown,
        answer::RIGHT => Denied::Right,
        state => Denied::State(abi::state_of_words(state & 0xFF)),
    }
}

#[unsafe(no_mangle)]
fn koboshi_facts(of: ComponentId) -> Result<Facts, Denied> {
    let mut room = [0; words::FACTS];
    match koboshi_trap_facts(of.0.into(), room.as_mut_ptr()) {
        answer::DONE => Ok(words::facts(&room)),
        refused => Err(denied(refused)),
    }
}

#[unsafe(no_mangle)]
fn koboshi_down() -> u64 {
    koboshi_trap_down()
}

#[unsafe(no_mangle)]
fn koboshi_command(target: ComponentId, wanted: Command) -> Result<(), Denied> {
    let fault = |fault: Fault| u32::from(fault.code());
    let (number, argument) = match wanted {
        Command::Start => (command::START, 0),
        Command::End(why) => (command::END, fault(why)),
        Command::EndReported(why, port) => (command::END_REPORTED, fault(why) | u32::from(port) << 8),
        Command::Stop => (command::STOP, 0),
        Command::BackOff => (command::BACK_OFF, 0),
        Command::GiveUp => (command::GIVE_UP, 0),
        Command::Reboot => (command::REBOOT, 0),
        Command::Knock(how) => (command::KNOCK, how.code().into()),
        Command::Wake => (command::WAKE, 0),
        Command::Swap(Version::Before) => (command::SWAP, version::BEFORE),
        Command::Swap(Version::New { way_back: false }) => (command::SWAP, version::NEW),
        Command::Swap(Version::New { way_back: true }) => (command::SWAP, version::NEW_WITH_WAY_BACK),
    };
    match koboshi_trap_command(target.0.into(), number, argument) {
        answer::DONE => Ok(()),
        refused => Err(denied(refused)),
    }
}

#[unsafe(no_mangle)]
fn koboshi_incident(number: u32) -> Option<Incident> {
    let mut room = [0; words::INCIDENT];
    (koboshi_trap_incident(number, room.as_mut_ptr()) != 0).then(|| words::incident(&room))
}

#[unsafe(no_mangle)]
fn koboshi_registers(of: ComponentId) -> Option<Registers> {
    let mut room = [0; words::REGISTERS];
    (koboshi_trap_registers(of.0.into(), room.as_mut_ptr()) != 0).then(|| words::registers(&room))
}

#[unsafe(no_mangle)]
fn koboshi_put(target: ComponentId, offset: u32, bytes: &[u8]) -> Result<(), Denied> {
    let mut at = offset;
    for piece in bytes.chunks(abi::room::MOST as usize) {
        match koboshi_trap_put(target.0.into(), at, piece.as_ptr(), piece.len()) {
            answer::DONE => at = at.wrapping_add(piece.len() as u32),
            refused => return Err(denied(refused)),
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
fn koboshi_log(text: &str) {
    koboshi_trap_log(text.as_ptr(), text.len());
}

#[unsafe(no_mangle)]
fn koboshi_point(_point: Point, _after: bool) -> bool {
    #[cfg(feature = "knocks")]
    if knocks::is_due() {
        knocks::point();
    }
    true
}
