//! Progress is one word.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract       | request | reply | deadline | meaning   |
    | --------- | -------------- | ------- | ----- | -------- | --------- |
    | write     | Resumable<u64> | u8      | u32   | 10 ms    | "Writes." |
}

fn main() {}
