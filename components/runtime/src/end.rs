//! What both ends of every port have in common.

use koboshi_core::record::Half;
use koboshi_core::ring::Slots;

use crate::platform::{Point, koboshi_peer, koboshi_port, koboshi_ring, step};

/// One end of a port: the own half, the peer's half, and the bell.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) port: u8,
    pub(crate) own: Half<'static>,
    pub(crate) peer: Half<'static>,
}

impl End {
    /// The component's port with this number, if the interface at the other end has this key.
    pub(crate) fn open(port: u8, key: u64) -> Option<Self> {
        let memory = koboshi_port(port).filter(|memory| memory.key == key)?;
        Some(End {
            port,
            own: Half::new(memory.own, memory.own_slots)?,
            peer: Half::new(memory.peer, memory.peer_slots)?,
        })
    }

    pub(crate) fn own_slots(&self) -> Option<Slots<'static>> {
        self.own.slots()
    }

    pub(crate) fn peer_slots(&self) -> Option<Slots<'static>> {
        self.peer.slots()
    }

    /// The peer's present epoch: no slot of it may carry a later one.
    pub(crate) fn peer_epoch(&self) -> u32 {
        koboshi_peer(self.port).map_or(0, |peer| peer.epoch)
    }

    pub(crate) fn peer_gone(&self) -> bool {
        koboshi_peer(self.port).is_none_or(|peer| peer.state.gone())
    }

    pub(crate) fn peer_alive(&self) -> bool {
        koboshi_peer(self.port).is_some_and(|peer| peer.state.alive())
    }

    /// Whether what is asked of the peer waits while the peer is gone.
    pub(crate) fn waits_for_peer(&self) -> bool {
        koboshi_peer(self.port).is_some_and(|peer| peer.waits)
    }

    pub(crate) fn ring(&self) {
        step(Point::Port, || koboshi_ring(self.port));
    }
}
