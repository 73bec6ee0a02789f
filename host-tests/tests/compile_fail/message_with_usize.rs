//! The size of a `usize` differs between platforms.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning  |
    | --------- | ---------- | ------- | ----- | -------- | -------- |
    | seek      | Idempotent | usize   | ()    | 10 ms    | "Seeks." |
}

fn main() {}
