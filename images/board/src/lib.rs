//! An image for a board with SH-4: from what the composer has joined to one file that boots, and to the emulator.
//!
//! | step | where |
//! | --- | --- |
//! | what is to be built, and for which board | [`request`] |
//! | an address for everything | `layout` |
//! | what holds interrupts back, and whose a page of devices is | `interrupts`, `pages` |
//! | whether the board can have it, without building it | [`fits`] |
//! | the kernel's tables and the components' programs, as crates | `generate` |
//! | all of it through the compile path, and into one file | [`build`](mod@build), `builder` |
//! | a program that may take another one's place while the image runs | [`program`] |
//! | or it is still what the last build left | `unchanged` |
//! | it runs | [`emulator`] |
//! | or its components are modules for the host's interpreter | [`modules`](mod@modules) |
//! | or one of them is a package that comes later: signed, and the same wherever it was made | [`pack`](mod@pack), `anywhere` |
//! | where in the source a fault was | [`place_of`] |
//! | a computer beside it, and a package on its way from there | [`running`], `delivery` |
//!
//! Rule: what is joined to what is the composer's and is not looked at again here; here everything gets its address.
//!
//! It must never: let two things lie at one address, or a component reach what the image does not give it.

mod anywhere;
pub mod build;
mod builder;
mod delivery;
pub mod emulator;
mod fit;
mod generate;
mod interrupts;
mod layout;
mod line_end;
pub mod modules;
mod pace;
pub mod pack;
mod pages;
mod places;
pub mod program;
pub mod request;
pub mod running;
mod spelt;
mod unchanged;

pub use build::{Made, MadeComponent, MadeRoom, Step, build};
pub use delivery::Delivered;
pub use fit::{Spot, Unfit, fits};
pub use line_end::LINE_END_ROOM;
pub use modules::modules;
pub use pack::pack;
pub use places::place_of;
pub use request::{Board, Placed, Request, Source, Watchdog};
pub use spelt::Spelt;
