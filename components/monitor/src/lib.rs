//! The monitor component
#![no_std]
