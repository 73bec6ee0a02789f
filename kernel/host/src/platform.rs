//! The functions of `koboshi_runtime::platform`, for components that are linked into this process, and for the imports of
//! those that are modules.
//!
//! Each acts for the component whose turn it is, in the machine whose turn it is on this thread. Outside a turn there is
//! nobody to act for: that is a fault of whoever called.
#![allow(unsafe_code, reason = "symbols that the runtime resolves at link time are exported unmangled")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Once;

use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, Peer};
use koboshi_core::knock::Knock;
use koboshi_core::life::{Begin, Facts};
use koboshi_core::place::{Place, Registers};
use koboshi_core::sync::AtomicU32;
use koboshi_runtime::platform::{Point, PortMemory, Width};

use crate::world::World;

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Gives the thread back to whoever had it, however a turn ends.
struct Back(Option<Rc<World>>);

impl Drop for Back {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}

/// Lets the components that are polled inside `act` act in this world.
pub(crate) fn within<T>(world: &Rc<World>, act: impl FnOnce() -> T) -> T {
    close_gates_at_panics();
    let _back = Back(CURRENT.replace(Some(Rc::clone(world))));
    act()
}

/// A component that panics by itself is dead from then on: the hook runs before unwinding does, and closes its gate.
fn close_gates_at_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _no_turn = CURRENT.try_with(|world| {
                if let Ok(world) = world.try_borrow()
                    && let Some(world) = &*world
                {
                    world.close_gate();
                    let mut place = Place::default();
                    if let Some(at) = panic.location() {
                        place.panicked(at.file().as_bytes(), at.line());
                    }
                    world.panicked_at.set(Some(place));
                }
            });
            before(panic);
        }));
    });
}

fn with<T>(act: impl FnOnce(&World) -> T) -> T {
    CURRENT.with_borrow(|world| match world {
        Some(world) => act(world),
        None => panic!("a component function was called while no component has its turn on this thread"),
    })
}

/// Takes the knock that waits for the component that has its turn: it carries it out itself.
pub(crate) fn take_knock() -> Option<Knock> {
    with(World::take_knock)
}

/// The component that has its turn has panicked here.
pub(crate) fn panicked_at(place: Place) {
    with(|world| world.panicked_at.set(Some(place)));
}

#[unsafe(no_mangle)]
fn koboshi_now() -> u64 {
    with(World::now)
}

#[unsafe(no_mangle)]
fn koboshi_alarm(at: u64) {
    with(|world| world.alarm(at));
}

#[unsafe(no_mangle)]
fn koboshi_ring(port: u8) {
    with(|world| world.ring(port));
}

#[unsafe(no_mangle)]
fn koboshi_port(port: u8) -> Option<PortMemory> {
    with(|world| world.port(port))
}

#[unsafe(no_mangle)]
fn koboshi_peer(port: u8) -> Option<Peer> {
    with(|world| world.peer(port))
}

#[unsafe(no_mangle)]
fn koboshi_kept() -> &'static [AtomicU32] {
    with(World::kept)
}

#[unsafe(no_mangle)]
fn koboshi_configuration() -> &'static [u8] {
    with(World::configuration)
}

#[unsafe(no_mangle)]
fn koboshi_begin() -> (u32, Begin) {
    with(World::begin)
}

#[unsafe(no_mangle)]
fn koboshi_quiesces() -> bool {
    with(World::quiesces)
}

#[unsafe(no_mangle)]
fn koboshi_read(device: u8, offset: u32, width: Width) -> u32 {
    with(|world| world.device_read(device, offset, width))
}

#[unsafe(no_mangle)]
fn koboshi_write(device: u8, offset: u32, width: Width, value: u32) {
    with(|world| world.device_write(device, offset, width, value));
}

#[unsafe(no_mangle)]
fn koboshi_interrupt(line: u8, acknowledge: bool) -> bool {
    with(|world| world.interrupt(line, acknowledge))
}

#[unsafe(no_mangle)]
fn koboshi_window(open: bool) {
    with(|world| world.window(open));
}

#[unsafe(no_mangle)]
fn koboshi_blame(port: u8, position: u32, epoch: u32) -> bool {
    with(|world| world.blame(port, position, epoch))
}

#[unsafe(no_mangle)]
fn koboshi_facts(of: ComponentId) -> Result<Facts, Denied> {
    with(|world| world.facts(of))
}

#[unsafe(no_mangle)]
fn koboshi_down() -> u64 {
    with(|world| world.down())
}

#[unsafe(no_mangle)]
fn koboshi_command(target: ComponentId, command: Command) -> Result<(), Denied> {
    with(|world| world.command(target, command))
}

#[unsafe(no_mangle)]
fn koboshi_incident(number: u32) -> Option<Incident> {
    with(|world| world.incident(number))
}

#[unsafe(no_mangle)]
fn koboshi_registers(_: ComponentId) -> Option<Registers> {
    // They are those of this process.
    None
}

/// Here packages are let in by who supervises the image, not by one of its components.
#[unsafe(no_mangle)]
fn koboshi_put(_: ComponentId, _: u32, _: &[u8]) -> Result<(), Denied> {
    Err(Denied::Unknown)
}

#[unsafe(no_mangle)]
fn koboshi_log(text: &str) {
    with(|world| world.log(text));
}

#[unsafe(no_mangle)]
fn koboshi_point(point: Point, after: bool) -> bool {
    with(|world| world.point(point, after))
}
