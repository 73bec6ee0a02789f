//! How interfaces name a component, and one run of it.

use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// A component's place in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub struct ComponentId(pub u8);

/// One run of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema, MaxSize)]
pub struct Incarnation {
    /// Which component.
    pub component: ComponentId,
    /// Which run of it: grows by one at each start, and is never reused.
    pub epoch: u32,
}
