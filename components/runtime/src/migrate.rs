//! Ways between what one version of a component keeps and what an older one has kept.
//!
//! An author writes one type for each older state, with the way up, and the way down if there is one; and one list of them,
//! of which the component's [`Description`](crate::Description) and its [`Kept`](crate::Kept) are made:
//!
//! ```no_run
//! use koboshi_runtime::kit::{Key, MaxSize, Schema};
//! use koboshi_runtime::{Kept, KeptDescription, Migration, Way, WayBack};
//! use serde::{Deserialize, Serialize};
//!
//! /// What version 0.1 kept.
//! #[derive(Serialize, Deserialize, Schema, MaxSize)]
//! struct First { baud: u32 }
//!
//! /// What this version keeps.
//! #[derive(Serialize, Deserialize, Schema, MaxSize)]
//! struct State { baud: u32, errors: u32 }
//!
//! struct FromFirst;
//!
//! impl Migration for FromFirst {
//!     type Old = First;
//!     type New = State;
//!     fn up(old: First) -> State { State { baud: old.baud, errors: 0 } }
//! }
//!
//! impl WayBack for FromFirst {
//!     fn down(new: &State) -> First { First { baud: new.baud } }
//! }
//!
//! const WAYS: &[Way] = &[Way::and_back::<FromFirst>()];
//! const KEPT: KeptDescription = KeptDescription::of::<State>().with_ways(WAYS);
//! let kept = Kept::<State>::described(&KEPT);
//! ```
//!
//! The rules: both directions are total. Where the older state cannot say what the newer one says, `down` says what comes nearest:
//! otherwise nobody could promise that who goes back finds what is one step old at most.

use koboshi_interface_kit::{Key, MAX_MESSAGE, Message, decode, encode};

/// A way up from an older kept state.
pub trait Migration {
    /// What the older version keeps.
    type Old: Message;
    /// What this version keeps.
    type New: Message;

    /// What this version takes over of it.
    fn up(old: Self::Old) -> Self::New;
}

/// A way down again, so that the older version can go on with what this one has kept.
pub trait WayBack: Migration {
    /// What the older version is to find.
    fn down(new: &Self::New) -> Self::Old;
}

/// From the bytes of one state to those of the other, at the front of the room; how many there are.
type Convert = fn(&[u8], &mut [u8; MAX_MESSAGE]) -> Option<usize>;

/// A declared way from an older kept state.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    from: Key,
    to: Key,
    up: Convert,
    down: Option<Convert>,
}

impl Way {
    /// A way up alone: who takes it cannot go back.
    #[must_use]
    pub const fn up<M: Migration>() -> Self {
        Way { from: Key::of_state::<M::Old>(), to: Key::of_state::<M::New>(), up: up::<M>, down: None }
    }

    /// A way up, and down again.
    #[must_use]
    pub const fn and_back<M: WayBack>() -> Self {
        Way { down: Some(down::<M>), ..Way::up::<M>() }
    }

    /// The key of the older state.
    #[must_use]
    pub const fn from(&self) -> Key {
        self.from
    }

    /// Whether there is a way down.
    #[must_use]
    pub const fn leads_back(&self) -> bool {
        self.down.is_some()
    }

    /// The key of the state that it leads to.
    pub(crate) const fn to(&self) -> Key {
        self.to
    }

    /// The newer state, of the bytes of the older one.
    pub(crate) fn taken_up<T: Message>(&self, old: &[u8]) -> Option<T> {
        let mut room = [0; MAX_MESSAGE];
        let length = (self.up)(old, &mut room)?;
        decode(room.get(..length)?)
    }

    /// The bytes of the older state, of those of the newer one.
    pub(crate) fn taken_down<'r>(&self, new: &[u8], room: &'r mut [u8; MAX_MESSAGE]) -> Option<&'r [u8]> {
        let length = (self.down?)(new, room)?;
        room.get(..length)
    }
}

fn up<M: Migration>(old: &[u8], room: &mut [u8; MAX_MESSAGE]) -> Option<usize> {
    encode(&M::up(decode(old)?), room).map(<[u8]>::len)
}

fn down<M: WayBack>(new: &[u8], room: &mut [u8; MAX_MESSAGE]) -> Option<usize> {
    encode(&M::down(&decode(new)?), room).map(<[u8]>::len)
}
