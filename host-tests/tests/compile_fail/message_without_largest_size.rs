//! A message without a largest size would need slots without an end.

use koboshi_interface_kit::Schema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Schema)]
struct Speed(u32);

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning |
    | --------- | ---------- | ------- | ----- | -------- | ------- |
    | set       | Idempotent | Speed   | ()    | 10 ms    | "Sets." |
}

fn main() {}
