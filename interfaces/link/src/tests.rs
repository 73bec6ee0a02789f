//! The rules of a link, one a test.

mod frames;
mod line;
mod sessions;
mod streams;
mod world;
