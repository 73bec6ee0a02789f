//! The kernel: life cycle, doorbells, interrupts, time, rights and incidents.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

#[path = "../common/mod.rs"]
mod common;

mod bells;
mod life;
mod manager;
mod rights;
mod swap;
mod time;

use common::house::{ALL, BYSTANDER, CLIENT, MANAGER, NOBODY, SERVER, WITHIN, facts, rest, running, state, with};
use common::{Client, Server, cases, snapshot};
use koboshi_core::kernel::{
    Actions, Command, Component, Denied, Kernel, Life, MANAGER_DEATHS, MANAGER_PERIOD, Rights, Tables,
};
use koboshi_core::knock::Knock;
use koboshi_core::life::{Begin, Fault, HISTORY, History, State};
use koboshi_core::record::{Outcome, Sealed};
use koboshi_core::{ComponentId, LineId, NEVER};
use proptest::prelude::*;

const COMMANDS: [Command; 8] = [
    Command::Start,
    Command::End(Fault::Told),
    Command::Stop,
    Command::BackOff,
    Command::GiveUp,
    Command::Reboot,
    Command::Knock(Knock::Panic),
    Command::Wake,
];
