//! Every operation says what it does.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status | Pure | () | u32 | 10 ms | |
}

fn main() {}
