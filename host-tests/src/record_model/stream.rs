//! The stream: a producer that fills its slot in place, and a consumer that counts what it moves on.
//!
//! Job: walk through a byte's way from one device into another, store by store and window by window, with deaths of either
//! side.

use super::*;

/// Bytes, at most, in an item.
pub(super) const BYTES: usize = 2;
/// The tag has one bit: the least that must do.
pub(super) const TAG: u32 = 1;

/// The stream model.
pub(super) struct Stream {
    /// How many bytes each item has at most: the producer may close it earlier, even empty.
    pub(super) items: &'static [u8],
    pub(super) deaths: u8,
    pub(super) first: u32,
    pub(super) mistakes: Mistakes,
}

impl Default for Stream {
    fn default() -> Self {
        Self { items: &[2, 2, 1, 1], deaths: 3, first: 0, mistakes: Mistakes::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemSlot {
    pub(super) sequence: u32,
    pub(super) count: u8,
    pub(super) bytes: [u8; BYTES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Filling {
    Wait(Waiting),
    Reset,
    Marked,
    /// Only with a mistake: a byte is out of the device and not yet counted.
    Popped(u8),
    Committed,
    Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Emptying {
    Wait(Waiting),
    Moving,
    /// Only with a mistake: between a byte and its count.
    HalfStep,
    /// Only with a mistake: between `consumed` and the reset of progress, in either order.
    Between,
    Consumed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamState {
    pub(super) slots: [ItemSlot; SLOTS],
    pub(super) sent: u32,
    pub(super) filling_word: u32,
    pub(super) consumed: u32,
    /// The tag and the count.
    pub(super) progress: (u8, u8),
    pub(super) producer: Life,
    pub(super) filling: Filling,
    pub(super) consumer: Life,
    pub(super) emptying: Emptying,
    pub(super) producer_bell: bool,
    pub(super) consumer_bell: bool,
    pub(super) sealed_sent: u32,
    pub(super) sealed_consumed: u32,
    /// The next byte that the first device gives.
    pub(super) given: u8,
    /// The next byte that the second device must get.
    pub(super) wanted: u8,
    pub(super) deaths: u8,
    pub(super) wrong: Wrong,
}

impl Watched for StreamState {
    fn wrong(&self) -> Wrong {
        self.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StreamStep {
    ProducerFills,
    ProducerClosesEarly,
    ConsumerEmpties,
    KernelSealsProducer,
    KernelSealsConsumer,
    KernelStartsProducer,
    KernelStartsConsumer,
    ProducerDies,
    ConsumerDies,
}

pub(super) const STREAM_STEPS: [StreamStep; 6] = [
    StreamStep::ProducerFills,
    StreamStep::ConsumerEmpties,
    StreamStep::KernelSealsProducer,
    StreamStep::KernelSealsConsumer,
    StreamStep::KernelStartsProducer,
    StreamStep::KernelStartsConsumer,
];

impl StreamState {
    pub(super) fn ready(&self, position: u32) -> bool {
        self.slots[slot(position)].sequence == position.wrapping_add(1)
    }

    pub(super) fn proven_sent(&self) -> u32 {
        let mut sent = self.sent;
        while self.ready(sent) {
            sent = sent.wrapping_add(1);
        }
        sent
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.wrong.note(Wrong::STEP, byte != self.wanted);
        self.wanted = byte + 1;
    }
}

impl Stream {
    pub(super) fn index(&self, position: u32) -> usize {
        position.wrapping_sub(self.first) as usize
    }

    pub(super) fn done(&self, state: &StreamState) -> bool {
        self.index(state.consumed) == self.items.len() && state.wanted == state.given
    }

    pub(super) fn step(&self, last: &StreamState, step: StreamStep) -> Option<StreamState> {
        let mut state = last.clone();
        let rings = !self.mistakes.has(Mistake::StreamSealDoesNotRing);
        let moved = match step {
            StreamStep::ProducerFills => last.producer == Life::Up && self.fills(&mut state, false),
            StreamStep::ProducerClosesEarly => last.producer == Life::Up && self.fills(&mut state, true),
            StreamStep::ConsumerEmpties => last.consumer == Life::Up && self.empties(&mut state),
            StreamStep::KernelSealsProducer => {
                if !self.mistakes.has(Mistake::StreamSealsBySent) {
                    state.sent = last.proven_sent();
                }
                state.wrong.note(Wrong::BACK, behind(state.sent, last.sealed_sent));
                state.sealed_sent = state.sent;
                state.consumer_bell |= rings;
                state.producer = Life::Sealed;
                last.producer == Life::Down
            }
            StreamStep::KernelSealsConsumer => {
                let clamps = self.mistakes.has(Mistake::StreamClampsBySent);
                let most = if clamps { last.sent } else { last.proven_sent() };
                if behind(most, last.consumed) {
                    state.wrong.note(Wrong::BLAMED | Wrong::BACK, true);
                    state.consumed = most;
                }
                state.wrong.note(Wrong::BLAMED, behind(last.consumed, last.sealed_consumed));
                state.sealed_consumed = state.consumed;
                state.producer_bell |= rings;
                state.consumer = Life::Sealed;
                last.consumer == Life::Down
            }
            StreamStep::KernelStartsProducer => {
                let half = last.filling_word == last.sent.wrapping_add(1);
                if half && !self.mistakes.has(Mistake::BeginsTheSlotAnew) {
                    state.filling = Filling::Marked;
                }
                state.producer = Life::Up;
                last.producer == Life::Sealed
            }
            StreamStep::KernelStartsConsumer => {
                state.consumer = Life::Up;
                last.consumer == Life::Sealed
            }
            StreamStep::ProducerDies => {
                state.producer = Life::Down;
                state.filling = Filling::Wait(Waiting::Looking);
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.producer == Life::Up
            }
            StreamStep::ConsumerDies => {
                state.consumer = Life::Down;
                state.emptying = Emptying::Wait(Waiting::Looking);
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.consumer == Life::Up
            }
        };
        moved.then_some(state)
    }

    pub(super) fn fills(&self, state: &mut StreamState, closes: bool) -> bool {
        if closes && state.filling != Filling::Marked {
            return false;
        }
        let marks_first = self.mistakes.has(Mistake::MarksBeforeTheReset);
        let position = state.sent;
        let at = slot(position);
        state.filling = match state.filling {
            Filling::Wait(Waiting::Asleep) => match wakes(&mut state.producer_bell, self.mistakes) {
                Some(waiting) => Filling::Wait(waiting),
                None => return false,
            },
            Filling::Wait(_) if self.index(position) >= self.items.len() => return false,
            Filling::Wait(_) if position.wrapping_sub(state.consumed) >= RING => Filling::Wait(Waiting::Asleep),
            Filling::Wait(_) => {
                state.wrong.note(Wrong::OVERWRITTEN, state.ready(position));
                if marks_first {
                    state.filling_word = position.wrapping_add(1);
                } else {
                    state.slots[at].count = 0;
                }
                Filling::Reset
            }
            Filling::Reset => {
                if marks_first {
                    state.slots[at].count = 0;
                } else {
                    state.filling_word = position.wrapping_add(1);
                }
                Filling::Marked
            }
            Filling::Marked if closes || state.slots[at].count >= self.items[self.index(position)] => {
                state.slots[at].sequence = position.wrapping_add(1);
                Filling::Committed
            }
            Filling::Marked => {
                let byte = state.given;
                state.given += 1;
                state.wrong.note(Wrong::OVERWRITTEN, state.ready(position));
                if self.mistakes.has(Mistake::PopsThenCounts) {
                    Filling::Popped(byte)
                } else {
                    let count = state.slots[at].count as usize;
                    state.slots[at].bytes[count] = byte;
                    state.slots[at].count += 1;
                    Filling::Marked
                }
            }
            Filling::Popped(byte) => {
                let count = state.slots[at].count as usize;
                state.slots[at].bytes[count] = byte;
                state.slots[at].count += 1;
                Filling::Marked
            }
            Filling::Committed => {
                state.sent = position.wrapping_add(1);
                Filling::Stored
            }
            Filling::Stored => {
                state.consumer_bell = true;
                Filling::Wait(Waiting::Looking)
            }
        };
        true
    }

    pub(super) fn empties(&self, state: &mut StreamState) -> bool {
        let mistakes = self.mistakes;
        let before = mistakes.has(Mistake::ResetsBeforeConsuming);
        let after = mistakes.has(Mistake::ResetsAfterConsuming);
        let position = state.consumed;
        let item = state.slots[slot(position)];
        let tag = if before || after { 0 } else { (position & TAG) as u8 };
        let (marked, count) = state.progress;
        state.emptying = match state.emptying {
            Emptying::Wait(Waiting::Asleep) => match wakes(&mut state.consumer_bell, mistakes) {
                Some(waiting) => Emptying::Wait(waiting),
                None => return false,
            },
            Emptying::Wait(_) if !state.ready(position) => Emptying::Wait(Waiting::Asleep),
            Emptying::Wait(_) if marked == tag => Emptying::Moving,
            Emptying::Wait(_) => {
                // Also for an item without bytes, or its neighbours' tags would be mistaken.
                if item.count > 0 || !mistakes.has(Mistake::EmptyItemsLeaveNoTag) {
                    state.progress = (tag, 0);
                }
                Emptying::Moving
            }
            Emptying::Moving if item.count > 0 && count < item.count => {
                let byte = item.bytes[count as usize];
                if mistakes.has(Mistake::CountsThenPushes) {
                    state.progress.1 += 1;
                    Emptying::HalfStep
                } else if mistakes.has(Mistake::PushesThenCounts) {
                    state.push(byte);
                    Emptying::HalfStep
                } else {
                    state.push(byte);
                    state.progress.1 += 1;
                    Emptying::Moving
                }
            }
            Emptying::HalfStep => {
                if mistakes.has(Mistake::CountsThenPushes) {
                    state.push(item.bytes[count as usize - 1]);
                } else {
                    state.progress.1 += 1;
                }
                Emptying::Moving
            }
            Emptying::Moving if before => {
                state.progress.1 = 0;
                Emptying::Between
            }
            Emptying::Moving => {
                state.consumed = position.wrapping_add(1);
                if after { Emptying::Between } else { Emptying::Consumed }
            }
            Emptying::Between => {
                if before {
                    state.consumed = position.wrapping_add(1);
                } else {
                    state.progress.1 = 0;
                }
                Emptying::Consumed
            }
            Emptying::Consumed => {
                state.producer_bell = true;
                Emptying::Wait(Waiting::Looking)
            }
        };
        true
    }
}

impl Model for Stream {
    type State = StreamState;
    type Action = StreamStep;

    fn init_states(&self) -> Vec<StreamState> {
        let port = Port::<SLOTS>::new(self.first);
        let untagged =
            self.mistakes.has(Mistake::ResetsBeforeConsuming) || self.mistakes.has(Mistake::ResetsAfterConsuming);
        let tag = if untagged { 0 } else { (self.first & TAG) as u8 };
        vec![StreamState {
            slots: port.requests.map(|one| ItemSlot { sequence: one.sequence, count: 0, bytes: [u8::MAX; BYTES] }),
            sent: self.first,
            filling_word: self.first,
            consumed: self.first,
            progress: (tag, 0),
            producer: Life::Up,
            filling: Filling::Wait(Waiting::Looking),
            consumer: Life::Up,
            emptying: Emptying::Wait(Waiting::Looking),
            producer_bell: false,
            consumer_bell: false,
            sealed_sent: self.first,
            sealed_consumed: self.first,
            given: 0,
            wanted: 0,
            deaths: self.deaths,
            wrong: Wrong::default(),
        }]
    }

    fn actions(&self, state: &StreamState, actions: &mut Vec<StreamStep>) {
        actions.extend(STREAM_STEPS);
        actions.push(StreamStep::ProducerClosesEarly);
        if state.deaths > 0 {
            actions.extend([StreamStep::ProducerDies, StreamStep::ConsumerDies]);
        }
    }

    fn next_state(&self, last: &StreamState, step: StreamStep) -> Option<StreamState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = stream_rules();
        rules.push(Property::always("every item ends consumed", |model: &Self, state: &StreamState| {
            model.done(state) || STREAM_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}
