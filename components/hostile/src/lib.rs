//! A component that tries everything it must not do, and a pair of honest ones that must not notice.
//!
//! Job: the [`hostile`] component goes through the attacks of its configuration, one after the other. Each ends its
//! incarnation, or it says in the log that it goes on. The [`asker`] and the [`answerer`] exchange numbered requests all
//! the time, and say so in the log as long as each was exact. The [`faller`] falls in one way, where that harms nobody. Those
//! in [`wrong`] would take a driver's place.
//!
//! Rules kept here: an attack is counted in kept state before it is tried, so that none is tried twice. What an attack is
//! aimed at, and what has to come of it, is known to whoever made the image, and to nobody here.
//!
//! It must never: be part of an image that does something useful.
#![no_std]

pub mod answerer;
pub mod asker;
pub mod attack;
pub mod exchange;
pub mod faller;
pub mod hostile;
pub mod wrong;

#[cfg(feature = "armed")]
mod arms;
#[cfg(feature = "armed")]
mod carry_out;
