//! The rules of Koboshi, once: life cycle, rings, the record, scheduling, rights
#![no_std]
