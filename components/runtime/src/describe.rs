//! What a component says of itself, for the composer: it must agree with its `component.toml`.

use koboshi_interface_kit::{Interface, Key, NamedType, Schema};

use crate::migrate::Way;

/// Which end of a port a component holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It serves requests, or publishes items.
    Offers,
    /// It asks, or consumes items.
    Uses,
}

/// One port of a component. Its place in the list is the number by which the component opens it.
#[derive(Clone, Copy, Debug)]
pub struct PortDescription {
    /// Its name in the manifests.
    pub name: &'static str,
    /// Which end.
    pub side: Side,
    /// What travels.
    pub interface: &'static Interface,
}

/// What a component keeps, for whoever compares two versions of it.
#[derive(Clone, Copy, Debug)]
pub struct KeptDescription {
    /// The key of its schema.
    pub key: Key,
    /// The schema.
    pub schema: &'static NamedType,
    /// The ways to it from older ones.
    pub ways: &'static [Way],
}

impl KeptDescription {
    /// Kept state of this type.
    #[must_use]
    pub const fn of<T: Schema>() -> Self {
        KeptDescription { key: Key::of_state::<T>(), schema: T::SCHEMA, ways: &[] }
    }

    /// The same, with ways from older states: the one of the version before comes first.
    ///
    /// # Panics
    /// While it is compiled, if a way leads to another state.
    #[must_use]
    pub const fn with_ways(self, ways: &'static [Way]) -> Self {
        let mut at = 0;
        while at < ways.len() {
            assert!(ways[at].to().0 == self.key.0, "a way leads to another state than the one that is kept");
            at += 1;
        }
        KeptDescription { ways, ..self }
    }
}

/// A component, as its code describes it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name in the manifests.
    pub name: &'static str,
    /// Its ports.
    pub ports: &'static [PortDescription],
    /// The names of its devices, in the order in which it opens them.
    pub devices: &'static [&'static str],
    /// The names of its interrupt lines, in the order in which it opens them.
    pub interrupts: &'static [&'static str],
    /// Its kept state, if it keeps any.
    pub kept: Option<KeptDescription>,
}
