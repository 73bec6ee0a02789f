//! The sos component
#![no_std]
