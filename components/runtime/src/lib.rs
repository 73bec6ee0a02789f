//! All that the author of a component imports
#![no_std]
