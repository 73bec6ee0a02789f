//! Every operation has a deadline.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status | Pure | () | u32 | "Asks." |
}

fn main() {}
