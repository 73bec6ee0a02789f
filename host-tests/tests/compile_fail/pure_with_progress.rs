//! Only `Resumable` has progress.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract  | request | reply | deadline | meaning |
    | --------- | --------- | ------- | ----- | -------- | ------- |
    | status    | Pure<u32> | ()      | u32   | 10 ms    | "Asks." |
}

fn main() {}
