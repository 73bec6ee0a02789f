//! What a platform tells the kernel of an image, and how the two speak.
//!
//! Job: the words alone. What they mean is the kernel's.

use crate::incident::Incident;
use crate::kernel::{Life, Line};
use crate::knock::Knock;
use crate::life::{Fault, State};
use crate::record::{Contracts, Sealed, ServiceRecord, StreamRecord};
use crate::{ComponentId, LineId, Nanoseconds, PortId};

/// What a component may do to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The components that it may start, stop and give up: bits of [`ComponentId::bit`].
    pub control: u64,
    /// It may read the facts of all components.
    pub facts: bool,
    /// It may end a server of its own by reporting a malformed reply or a broken rule.
    pub blame: bool,
    /// It may reboot the image.
    pub reboot: bool,
    /// The components for which it may bring code, and have it take their place: bits of [`ComponentId::bit`].
    pub load: u64,
}

/// A component, as the composer describes it.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its VCPU; 0 has the highest priority.
    pub vcpu: u8,
    /// How long it may be away from its wait once it was woken.
    pub respond_within: Nanoseconds,
    /// How long it may take from a fault until it is up again; a miss is shown. `None`: no bound.
    pub recover_within: Option<Nanoseconds>,
    /// Its ports, in the order in which it counts them.
    pub ports: &'a [PortId],
    /// Its interrupt lines.
    pub lines: &'a [LineId],
    /// What it may do to others.
    pub rights: Rights,
    /// Another version may take its place, by these rules; `None`: none may.
    pub swappable: Option<Swappable>,
}

/// How another version takes a component's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swappable {
    /// How long the one that runs has to answer what it has in hand. Then it is ended all the same, once it waits, and what
    /// it has in hand is treated as at a death.
    pub quiesce_within: Nanoseconds,
    /// The new version stays once it has answered, or published, so often.
    pub answers: u32,
    /// Or once it has lived for so long.
    pub within: Nanoseconds,
}

/// Which version takes a component's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that the platform has put into the place which is not in use. It is on probation first.
    New {
        /// The version before can use the kept state of this one. If not, there is no going back from its first answer on.
        way_back: bool,
    },
    /// The one that ran before, which has proved itself.
    Before,
}

/// Which kind of port, with its two halves.
#[derive(Clone, Copy)]
pub enum Record<'a> {
    /// Requests one way, replies the other; `near` is the client.
    Service(ServiceRecord<'a>, Contracts),
    /// Items one way, credit the other; `near` is the producer.
    Stream(StreamRecord<'a>),
}

/// A port, as the composer describes it.
#[derive(Clone, Copy)]
pub struct Port<'a> {
    /// The client or producer.
    pub near: ComponentId,
    /// The server or consumer.
    pub far: ComponentId,
    /// Its memory.
    pub record: Record<'a>,
    /// Of a service: requests wait while the server is stopped or given up, instead of being refused.
    pub waits: bool,
}

/// What the platform must do after a call into the kernel. Sets of components, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Stop these: their memory is no longer theirs.
    pub halt: u64,
    /// Reset the memory of these and start them (after halting).
    pub load: u64,
    /// Carry out the safe action of these (after halting, before a start or a reboot).
    pub safe: u64,
    /// Reboot the image.
    pub reboot: bool,
}

/// What a component with the right may tell the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start one that is not alive.
    Start,
    /// End this one's incarnation, for this reason.
    End(Fault),
    /// The same, on the account of the peer behind this port of whoever commands.
    EndReported(Fault, u8),
    /// Stop it on purpose.
    Stop,
    /// It will be started later.
    BackOff,
    /// It will not be started again.
    GiveUp,
    /// Reboot the image.
    Reboot,
    /// Knock over one that is alive: the platform leaves this where it looks at its next turn.
    Knock(Knock),
    /// Give one that is alive a turn, though it may have nothing to do.
    Wake,
    /// Put another version in its place: as soon as it has answered what it has in hand, or at once if it does not live.
    Swap(Version),
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No such component.
    Unknown,
    /// The caller has no such right.
    Right,
    /// Not in the state that the component is in.
    State(State),
}

/// What a component sees of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's present or last epoch.
    pub epoch: u32,
    /// Where it stands.
    pub state: State,
    /// What is asked of it waits while it is stopped or given up.
    pub waits: bool,
}

/// The tables that a platform lends to the kernel; all of one image.
pub struct Tables<'a> {
    /// At most [`crate::MAX_COMPONENTS`].
    pub components: &'a [Component<'a>],
    /// As many as `components`.
    pub lives: &'a mut [Life],
    /// The ports.
    pub ports: &'a [Port<'a>],
    /// As many as `ports`.
    pub sealed: &'a mut [Sealed],
    /// The interrupt lines.
    pub lines: &'a mut [Line],
    /// Room for incidents.
    pub incidents: &'a mut [Option<Incident>],
    /// The restart manager, whose death the kernel handles itself.
    pub manager: Option<ComponentId>,
}
