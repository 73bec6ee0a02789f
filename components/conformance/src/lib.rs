//! The rules that every platform keeps, tried out by components.
//!
//! Job: two components that any platform can run. The [`subject`] serves `probe` and publishes `ticks`, and misbehaves when
//! it is told to. The [`tester`] tries rule after rule on it and writes one line a rule to the log.
//!
//! Rules kept here: whatever the suite needs it has from the runtime, so that it says the same on every platform. A trial
//! in which somebody died who was not told to proves nothing about what was planned, and is tried again; but what must hold
//! always is judged in it too.
//!
//! It must never: know a platform, or take a wrong rule for a disturbed one for ever.
#![no_std]

use serde::{Deserialize, Serialize};

mod diary;
mod forge;
mod rules;

pub mod probe;
pub mod subject;
pub mod tester;
pub mod ticks;

pub use rules::RULES;

/// What the image tells both of them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The restart manager's place in the image.
    pub manager: u8,
    /// The subject's place.
    pub subject: u8,
    /// The tester's place.
    pub tester: u8,
    /// How long the subject may be away from its wait, in microseconds.
    pub respond_within_us: u32,
    /// Fruitless deaths of the subject that the restart policy puts up with before it gives the subject up.
    pub intensity: u8,
    /// The period of these, in milliseconds.
    pub period_ms: u16,
    /// Slots of `ticks`, at most 32.
    pub ticks_slots: u8,
    /// What is wrong on purpose.
    pub flaw: Flaw,
}

/// What is wrong on purpose with the subject or the tester: it proves that the suite can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// The subject answers the next request too, before it is asked.
    AnswersTwice,
    /// The subject begins a resumable request anew when it is offered again.
    ForgetsProgress,
    /// The subject finishes in its next life what must never be repeated.
    RunsAgain,
    /// The subject publishes the last item once more when it goes on.
    RepeatsItem,
    /// The subject begins each life without what it kept.
    ForgetsKept,
    /// The tester lets go of replies and items before it has done with them.
    ConsumesFirst,
}
