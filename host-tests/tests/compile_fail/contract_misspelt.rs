//! A contract that does not exist.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning |
    | --------- | ---------- | ------- | ----- | -------- | ------- |
    | status    | Idempotant | ()      | u32   | 10 ms    | "Asks." |
}

fn main() {}
