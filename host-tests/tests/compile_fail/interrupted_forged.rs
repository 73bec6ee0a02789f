//! An ending that the contract rules out cannot be made up.

use koboshi_interface_kit::{Failure, MayHaveHappened};

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status    | Pure     | ()      | u32   | 10 ms    | "Asks." |
}

fn main() {
    let _ = Failure::<operation::status>::Interrupted(MayHaveHappened);
}
