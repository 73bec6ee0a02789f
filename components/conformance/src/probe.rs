//! `probe`: one operation of each contract, and orders to misbehave.

use koboshi_interface_kit::interface;
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

interface! {
    /// What the tester asks of the subject.
    service probe;

    | operation | contract         | request | reply  | deadline | meaning                                                     |
    | --------- | ---------------- | ------- | ------ | -------- | ----------------------------------------------------------- |
    | status    | Pure             | ()      | Status | 1 s      | "How this life began, and what it holds."                   |
    | ask       | Pure             | Request | Answer | 1 s      | "Answers."                                                  |
    | put       | Idempotent       | Request | Answer | 1 s      | "Keeps the number."                                         |
    | order     | Idempotent       | Order   | ()     | 1 s      | "Tells the subject to misbehave; replaces the order before." |
    | emit      | Resumable<Steps> | Work    | Steps  | 2 s      | "Publishes so many steps, each once."                       |
    | fill      | Resumable<Steps> | Work    | Steps  | 2 s      | "Moves so many bytes into one item, each once."             |
    | act       | AtMostOnce       | Request | Answer | 1 s      | "Does what must never be repeated."                         |
}

/// How a life of the subject began, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Status {
    /// Which life.
    pub epoch: u32,
    /// Why it began.
    pub begun: Begun,
    /// Requests of this kind that it answered before, by its own memory.
    pub asked: u32,
    /// The number that `put` kept last.
    pub value: u32,
    /// How often it is still to do what was ordered.
    pub left: u8,
}

/// Why a life began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Begun {
    /// A first life, or one after a stop.
    Fresh,
    /// After a fault.
    Recovered,
    /// After a swap.
    Updated,
}

/// A request that says which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Request {
    /// Which; never used twice.
    pub id: u32,
    /// Something to answer.
    pub number: u32,
}

/// The answer to one request, and to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Answer {
    /// Which request.
    pub id: u32,
    /// What comes of its number.
    pub number: u32,
}

impl Request {
    /// The one right answer.
    #[must_use]
    pub const fn answer(self) -> Answer {
        Answer { id: self.id, number: self.number.wrapping_mul(0x9E37_79B9) ^ self.id }
    }
}

/// Work in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Work {
    /// Which; never used twice.
    pub id: u32,
    /// How many steps.
    pub count: u32,
}

/// How many steps were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Steps(pub u32);

impl From<u32> for Steps {
    fn from(count: u32) -> Self {
        Steps(count)
    }
}

impl From<Steps> for u32 {
    fn from(steps: Steps) -> u32 {
        steps.0
    }
}

/// An order to misbehave. It is kept, so that it outlives the deaths that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub struct Order {
    /// What to do.
    pub misdeed: Misdeed,
    /// When.
    pub moment: Moment,
    /// How often to let the moment pass before.
    pub skip: u8,
    /// How often to do it.
    pub times: u8,
}

impl Order {
    /// Behave well.
    pub const NONE: Order = Order { misdeed: Misdeed::Panic, moment: Moment::Begin, skip: 0, times: 0 };

    /// Once, at the first such moment.
    #[must_use]
    pub const fn once(misdeed: Misdeed, moment: Moment) -> Self {
        Order { misdeed, moment, skip: 0, times: 1 }
    }
}

/// A moment in the subject's life. `status` and `order` themselves have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Moment {
    /// A life begins.
    Begin,
    /// It is about to look for the next request.
    BeforeTaking,
    /// A request is taken; for work in steps: before each step.
    BeforeEffect,
    /// Its effect is made and it is not answered; for work in steps: after each step.
    AfterEffect,
    /// It is answered.
    AfterAnswering,
}

/// What the subject does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Misdeed {
    /// Panics.
    Panic,
    /// Comes back from its `run`.
    Exit,
    /// The same, after so many milliseconds of waiting.
    ExitLater(u16),
    /// Never comes back to its wait.
    Hang,
    /// Waits for ever with the request in hand.
    Never,
    /// Waits for so many milliseconds.
    Slow(u16),
    /// Between two steps, publishes an item that it gives up after so many milliseconds without room.
    Hasty(u16),
    /// Instead of its answer, writes one that is wrong in this way.
    Reply(Forgery),
    /// Publishes an item that is wrong in this way.
    Item(Forgery),
    /// Answers, and then answers the same request with rubbish.
    Twice,
    /// Answers the request after this one first.
    Backwards,
    /// Instead of its answer, says that it stands somewhere far off in the ring, and comes back from its `run`.
    Positions,
    /// Instead of its answer, writes one to a request that was never sent, and comes back from its `run`.
    Early,
}

/// How a message is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
pub enum Forgery {
    /// Nobody can read it.
    Payload,
    /// It comes from an epoch that is still to come.
    Epoch,
    /// It is longer than its slot.
    Length,
    /// Its slot's own word fits no history of the ring.
    Sequence,
    /// It ends its request in a way that does not exist.
    Outcome,
}
