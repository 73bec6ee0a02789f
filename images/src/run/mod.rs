//! A running image as a person meets it: its directory, its terminals, its socket.

pub(crate) mod board;
pub(crate) mod directory;
pub(crate) mod ends;
pub(crate) mod here;
pub(crate) mod knock;
pub(crate) mod protocol;
mod socket;
pub(crate) mod story;
pub(crate) mod supervisor;
mod swap;
pub(crate) mod system;
mod tally;
mod terminal;

pub use directory::usual as usual_directory;
