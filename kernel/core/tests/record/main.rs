//! The record: what sealing makes of what a dead component left behind, rule by rule.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "the names of tests say what they say")]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod gone;
mod server;
mod stream;
mod taken_back;
mod words;

use common::{Client, Consumer, Port, Producer, Server, snapshot};
use koboshi_core::PortId;
use koboshi_core::record::{Contracts, Fate, Half, InHand, Outcome, Position, Seal, Sealed};
use koboshi_core::ring::{Geometry, Header, KERNEL_EPOCH, Malformed, Message};

const ASK: u8 = 0;
const ONCE: u8 = 1;
const SET: u8 = 2;
const CONTRACTS: Contracts = Contracts { at_most_once: 1 << ONCE, idempotent: 1 << SET, routed: false };

fn seal(port: &Port, sealed: &mut Sealed, epoch: u32) -> Seal {
    port.record().seal_server(sealed, CONTRACTS, epoch)
}

fn server_words(port: &Port) -> [u32; 3] {
    [Position::Taken, Position::Answered, Position::Replayed].map(|word| port.record().server.get(word))
}

fn client_words(port: &Port) -> [u32; 2] {
    [Position::Sent, Position::Consumed].map(|word| port.record().client.get(word))
}
