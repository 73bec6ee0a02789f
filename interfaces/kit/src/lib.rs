//! How an interface is written: operations, recovery contracts, keys and bounded wire types
#![no_std]
