//! A deadline in a unit that does not exist.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status    | Pure     | ()      | u32   | 10 msec  | "Asks." |
}

fn main() {}
