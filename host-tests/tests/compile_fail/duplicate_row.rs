//! Two rows of the same name.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning       |
    | --------- | -------- | ------- | ----- | -------- | ------------- |
    | status    | Pure     | ()      | u32   | 10 ms    | "Asks."       |
    | status    | Pure     | ()      | u8    | 10 ms    | "Asks again." |
}

fn main() {}
