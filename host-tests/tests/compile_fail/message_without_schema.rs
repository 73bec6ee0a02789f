//! A message whose schema nobody knows could not be in the key.

use koboshi_interface_kit::MaxSize;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, MaxSize)]
struct Speed(u32);

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning |
    | --------- | ---------- | ------- | ----- | -------- | ------- |
    | set       | Idempotent | Speed   | ()    | 10 ms    | "Sets." |
}

fn main() {}
