//! The interfaces of Koboshi's own components, as tables
#![no_std]
