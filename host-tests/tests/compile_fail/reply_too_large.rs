//! A reply that is larger than any message may be.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply         | deadline | meaning  |
    | --------- | -------- | ------- | ------------- | -------- | -------- |
    | read      | Pure     | ()      | [[u8; 15]; 7] | 10 ms    | "Reads." |
}

fn main() {}
