//! `exchange`: numbered requests.

use koboshi_interface_kit::interface;
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// Numbered requests.
    service exchange;

    | operation | contract | request  | reply  | deadline | meaning               |
    | --------- | -------- | -------- | ------ | -------- | --------------------- |
    | ask       | Pure     | Question | Answer | 1 s      | "Answers the number." |
}

/// A numbered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Question(pub u32);

/// The answer to one request, and to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Answer {
    /// What comes of the number.
    pub number: u32,
    /// How many requests its server had answered at this port before, by its own memory.
    pub before: u32,
}

impl Question {
    /// The one right answer, if so many were answered before.
    #[must_use]
    pub const fn answer(self, before: u32) -> Answer {
        Answer { number: self.0.wrapping_mul(0x9E37_79B9).rotate_left(7), before }
    }
}
