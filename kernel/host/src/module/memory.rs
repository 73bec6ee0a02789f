//! What a module sees of memory that it shares: copies in its own, behind all that is its own.
//!
//! Rules kept here: only the host decides where anything lies; what the module writes about that in its own memory is read
//! by nobody else. While a component runs nobody else does, so between two copies its memory is as it would be if it were
//! shared: the order in which words are copied is seen by nobody.

use std::mem::offset_of;

use koboshi_core::knock::Knock;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_runtime::platform::{
    PortMemory, koboshi_begin, koboshi_configuration, koboshi_interrupt, koboshi_kept, koboshi_peer, koboshi_port,
    koboshi_quiesces,
};
use koboshi_sh4_abi::{MAX_PORTS, PortView, View, WAITS, begin_in_words, state_in_words};
use wasmi::{AsContextMut, Memory, Store, StoreLimits, StoreLimitsBuilder};

use super::imports::End;

/// Bytes of a page of WebAssembly.
const PAGE: usize = 1 << 16;

/// What is shared begins at multiples of this many bytes.
const LINE: usize = 64;

/// Bytes that a module's memory has at most, before what is shared.
const MOST_MEMORY: usize = 16 << 20;

/// Elements that a module's table has at most.
const MOST_ELEMENTS: usize = 1 << 16;

/// Words of the platform, and where the module has them.
struct Shared {
    at: usize,
    words: &'static [AtomicU32],
}

/// What the host keeps of an instance.
pub(super) struct Host {
    pub(super) memory: Option<Memory>,
    pub(super) limits: StoreLimits,
    /// Why an import has ended the turn.
    pub(super) end: Option<End>,
    /// It has asked the platform for something since somebody last looked at this.
    pub(super) asked: bool,
    /// It is to be ended as soon as it has closed its window.
    pub(super) end_wanted: bool,
    /// The address of the page that it reads.
    pub(super) view: u32,
    /// What it writes: the halves of its ports, and what it keeps.
    own: Vec<Shared>,
    /// What its peers write.
    peers: Vec<Shared>,
    /// Its ports that are joined.
    ports: Vec<u8>,
    lines: u8,
    window: usize,
}

impl Default for Host {
    fn default() -> Self {
        Host {
            memory: None,
            limits: StoreLimitsBuilder::new().memory_size(MOST_MEMORY).table_elements(MOST_ELEMENTS).build(),
            end: None,
            asked: false,
            end_wanted: false,
            view: 0,
            own: Vec::new(),
            peers: Vec::new(),
            ports: Vec::new(),
            lines: 0,
            window: 0,
        }
    }
}

/// Writes a word. Where there is no memory nothing is written.
fn put(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = word.to_le_bytes();
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Hands out places, one behind the other.
struct Places(usize);

impl Places {
    /// So many bytes at the beginning of a line.
    fn take(&mut self, bytes: usize) -> usize {
        let at = self.0;
        self.0 = (at + bytes).next_multiple_of(LINE);
        at
    }

    fn words(&mut self, words: &'static [AtomicU32]) -> Shared {
        Shared { at: self.take(size_of_val(words)), words }
    }
}

/// Finds a place behind the module's own memory for all that the component that has its turn is given, and writes its page.
/// From then on its memory does not grow. The text says why that cannot be.
pub(super) fn lay_out(store: &mut Store<Host>, lines: u8) -> Result<(), String> {
    let Some(memory) = store.data().memory else { return Err("it has no memory".to_owned()) };
    let begin = memory.data_size(&*store);
    let mut places = Places(begin);
    let (view, window) = (places.take(size_of::<View>()), places.take(LINE));
    let configuration = koboshi_configuration();
    let configured = places.take(configuration.len());
    let kept = places.words(koboshi_kept());
    let mut words = vec![
        (offset_of!(View, kept), kept.at),
        (offset_of!(View, kept) + 4, kept.words.len()),
        (offset_of!(View, configuration), configured),
        (offset_of!(View, configuration) + 4, configuration.len()),
        (offset_of!(View, window), window),
        (offset_of!(View, port_count), MAX_PORTS),
    ];
    let (mut own, mut peers, mut ports) = (vec![kept], vec![], vec![]);
    for number in 0..MAX_PORTS {
        let Some(port) = koboshi_port(number as u8) else { continue };
        let PortMemory { own: near, peer: far, own_slots, peer_slots, key } = port;
        let (near, far) = (places.words(near), places.words(far));
        let slots = |slots: Option<koboshi_core::ring::Geometry>| {
            slots.map_or([0, 0], |slots| [slots.slots() as usize, slots.payload()])
        };
        let base = port_view(number);
        for (offset, pair) in [
            (offset_of!(PortView, own), [near.at, near.words.len()]),
            (offset_of!(PortView, peer), [far.at, far.words.len()]),
            (offset_of!(PortView, own_slots), slots(own_slots)),
            (offset_of!(PortView, peer_slots), slots(peer_slots)),
            (offset_of!(PortView, key), [key as u32 as usize, (key >> 32) as usize]),
        ] {
            words.extend([(base + offset, pair[0]), (base + offset + 4, pair[1])]);
        }
        own.push(near);
        peers.push(far);
        ports.push(number as u8);
    }
    let size = places.0.next_multiple_of(PAGE);
    store.data_mut().limits = StoreLimitsBuilder::new().memory_size(size).table_elements(0).build();
    let grown = memory.grow(&mut *store, ((size - begin) / PAGE) as u64);
    grown.map_err(|error| format!("its memory has no room for its ports: {error}"))?;
    let (bytes, host) = memory.data_and_store_mut(&mut *store);
    for (offset, value) in words {
        put(bytes, view + offset, value as u32);
    }
    if let Some(place) = bytes.get_mut(configured..).and_then(|rest| rest.get_mut(..configuration.len())) {
        place.copy_from_slice(configuration);
    }
    (host.view, host.window, host.lines) = (view as u32, window, lines);
    (host.own, host.peers, host.ports) = (own, peers, ports);
    Ok(())
}

fn port_view(number: usize) -> usize {
    offset_of!(View, ports) + number * size_of::<PortView>()
}

fn with<T>(store: &mut impl AsContextMut<Data = Host>, act: impl FnOnce(&mut [u8], &mut Host) -> T) -> Option<T> {
    let mut context = store.as_context_mut();
    let memory = context.data().memory?;
    let (bytes, host) = memory.data_and_store_mut(&mut context);
    Some(act(bytes, host))
}

/// What it wrote becomes what others read.
pub(super) fn copy_out(store: &mut impl AsContextMut<Data = Host>) {
    with(store, |bytes, host| {
        for Shared { at, words } in &host.own {
            let from = bytes.get(*at..).unwrap_or(&[]).as_chunks().0;
            for (word, from) in words.iter().zip(from) {
                word.store(u32::from_le_bytes(*from), Ordering::Release);
            }
        }
    });
}

/// It sees what its peers have written, what the kernel has changed in its own memory, and what the kernel tells.
pub(super) fn copy_in(store: &mut impl AsContextMut<Data = Host>) {
    with(store, |bytes, host| {
        for Shared { at, words } in host.own.iter().chain(&host.peers) {
            let to = bytes.get_mut(*at..).unwrap_or(&mut []).as_chunks_mut().0;
            for (to, word) in to.iter_mut().zip(*words) {
                *to = word.load(Ordering::Acquire).to_le_bytes();
            }
        }
        tell(bytes, host);
    });
}

/// Writes the kernel's words of the page.
fn tell(bytes: &mut [u8], host: &Host) {
    let view = host.view as usize;
    let (epoch, begin) = koboshi_begin();
    put(bytes, view + offset_of!(View, epoch), epoch);
    put(bytes, view + offset_of!(View, begin), begin_in_words(begin));
    put(bytes, view + offset_of!(View, quiesces), u32::from(koboshi_quiesces()));
    let delivered = (0..host.lines).filter(|line| koboshi_interrupt(*line, false)).fold(0, |all, line| all | 1 << line);
    put(bytes, view + offset_of!(View, delivered), delivered);
    for number in &host.ports {
        let Some(peer) = koboshi_peer(*number) else { continue };
        let base = view + port_view(usize::from(*number));
        let waits = if peer.waits { WAITS } else { 0 };
        put(bytes, base + offset_of!(PortView, peer_epoch), peer.epoch);
        put(bytes, base + offset_of!(PortView, peer_state), state_in_words(peer.state) | waits);
    }
}

/// It sees the kernel's words of its page anew.
pub(super) fn look_again(store: &mut impl AsContextMut<Data = Host>) {
    with(store, |bytes, host| tell(bytes, host));
}

/// It is to fall like this; this is the so-many-th time.
pub(super) fn knock(store: &mut impl AsContextMut<Data = Host>, how: Knock, count: u32) {
    with(store, |bytes, host| {
        put(bytes, host.view as usize + offset_of!(View, knock), count << 8 | u32::from(how.code()));
    });
}

/// Whether an end now leaves the same behind as one when this was last asked, which `seen` is kept for: it has asked for
/// nothing since, a turn's end being one more thing to ask for, and what others read would be the same.
pub(super) fn leaves_the_same(store: &mut Store<Host>, seen: &mut Vec<u8>) -> bool {
    with(store, |bytes, host| {
        let own =
            || host.own.iter().map(|Shared { at, words }| bytes.get(*at..*at + size_of_val(*words)).unwrap_or(&[]));
        let mut rest = &seen[..];
        let same = own().all(|now| rest.split_off(..now.len()) == Some(now)) && rest.is_empty();
        if !same {
            *seen = own().collect::<Vec<_>>().concat();
        }
        !std::mem::take(&mut host.asked) && same
    })
    .unwrap_or(false)
}

/// Whether it says that it has a window open.
pub(super) fn is_window_open(store: &Store<Host>) -> bool {
    store.data().memory.is_some_and(|memory| word(memory.data(store), store.data().window) != 0)
}

/// It is to say when it closes its window.
pub(super) fn want_end(store: &mut impl AsContextMut<Data = Host>) {
    with(store, |bytes, host| {
        host.end_wanted = true;
        put(bytes, host.view as usize + offset_of!(View, end_wanted), 1);
    });
}
