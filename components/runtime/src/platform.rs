//! The functions through which a component reaches its platform. Each platform defines each of them once, at link time.
//!
//! So no type parameter for the platform, and no `dyn`, runs through a component's code. A platform that leaves one out
//! does not link.
#![allow(unsafe_code, reason = "functions resolved at link time are declared in an `unsafe extern` block")]

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, Peer};
use koboshi_core::life::{Begin, Facts};
use koboshi_core::place::Registers;
use koboshi_core::ring::Geometry;
use koboshi_core::sync::AtomicU32;

/// What a component touches at a numbered point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A port's memory, or a doorbell.
    Port,
    /// Kept state.
    Kept,
    /// A register of a device, or its interrupt.
    Device,
    /// The clock, or an alarm.
    Timer,
    /// A command about another component.
    Command,
    /// A wait.
    Await,
}

/// One end of a port, as its component's memory holds it.
#[derive(Clone, Copy)]
pub struct PortMemory {
    /// The half that this component writes.
    pub own: &'static [AtomicU32],
    /// The half that the peer writes.
    pub peer: &'static [AtomicU32],
    /// The shape of the own half's slots, if it has any.
    pub own_slots: Option<Geometry>,
    /// The shape of the peer's slots, if it has any.
    pub peer_slots: Option<Geometry>,
    /// The key of the interface at the other end.
    pub key: u64,
}

/// The width of a device register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

unsafe extern "Rust" {
    /// Platform time in nanoseconds since boot.
    pub safe fn koboshi_now() -> u64;
    /// Asks to be woken at this time at the latest. It holds until the component next comes to its wait.
    pub safe fn koboshi_alarm(at: u64);
    /// Rings the peer behind a port.
    pub safe fn koboshi_ring(port: u8);
    /// The memory of a port; `None` if the component has no such port.
    pub safe fn koboshi_port(port: u8) -> Option<PortMemory>;
    /// What is known of the peer behind a port.
    pub safe fn koboshi_peer(port: u8) -> Option<Peer>;
    /// The memory of kept state.
    pub safe fn koboshi_kept() -> &'static [AtomicU32];
    /// The component's own part of the image's manifest.
    pub safe fn koboshi_configuration() -> &'static [u8];
    /// Which incarnation this is, and why it began.
    pub safe fn koboshi_begin() -> (u32, Begin);
    /// Whether this incarnation must take no new requests: it is ended, for another version's sake, once it has answered those
    /// that it has in hand.
    pub safe fn koboshi_quiesces() -> bool;
    /// Reads a device register. An access that the component has no right to ends it.
    pub safe fn koboshi_read(device: u8, offset: u32, width: Width) -> u32;
    /// Writes a device register. An access that the component has no right to ends it.
    pub safe fn koboshi_write(device: u8, offset: u32, width: Width, value: u32);
    /// Whether an interrupt was delivered on this line; `acknowledge` unmasks it.
    pub safe fn koboshi_interrupt(line: u8, acknowledge: bool) -> bool;
    /// Opens or closes a window: a kill from outside waits until it is closed.
    pub safe fn koboshi_window(open: bool);
    /// The message of a peer at this position, written in this epoch, is malformed. True if the component has the right to say so.
    pub safe fn koboshi_blame(port: u8, position: u32, epoch: u32) -> bool;
    /// The facts about a component.
    pub safe fn koboshi_facts(of: ComponentId) -> Result<Facts, Denied>;
    /// The components that are neither alive nor stopped nor given up, as bits; all of them for who may not read facts.
    pub safe fn koboshi_down() -> u64;
    /// A command about a component.
    pub safe fn koboshi_command(target: ComponentId, command: Command) -> Result<(), Denied>;
    /// The first incident with this number or a later one that is remembered, if the component may read facts.
    pub safe fn koboshi_incident(number: u32) -> Option<Incident>;
    /// What the processor held when the component's last incarnation ended, if the platform knows and the caller may read
    /// facts.
    pub safe fn koboshi_registers(of: ComponentId) -> Option<Registers>;
    /// Puts bytes into the place of a component's code that is not in use, so far behind its beginning: only where the platform
    /// takes code from components, and from whoever has the right to load it. Offset and length are multiples of 4.
    pub safe fn koboshi_put(target: ComponentId, offset: u32, bytes: &[u8]) -> Result<(), Denied>;
    /// Writes a line to the log.
    pub safe fn koboshi_log(text: &str);
    /// A numbered point: a test may end the component here. False in an incarnation that has ended, whose destructors
    /// are running: it must not touch anything any more.
    pub safe fn koboshi_point(point: Point, after: bool) -> bool;
}

/// Does something to the outside, between two points.
///
/// In an incarnation that has ended it does nothing.
#[inline]
pub(crate) fn step(point: Point, act: impl FnOnce()) {
    if koboshi_point(point, false) {
        act();
        koboshi_point(point, true);
    }
}
