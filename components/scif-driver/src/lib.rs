//! The scif-driver component
#![no_std]
