//! A request that is larger than any message may be.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request       | reply | deadline | meaning   |
    | --------- | -------- | ------------- | ----- | -------- | --------- |
    | write     | Pure     | [[u8; 15]; 7] | u32   | 10 ms    | "Writes." |
}

fn main() {}
