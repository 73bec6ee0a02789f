//! Nobody may take "may have happened" for "still coming".

use koboshi_interface_kit::{Failure, StillComing};

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning          |
    | --------- | ---------- | ------- | ----- | -------- | ---------------- |
    | eject     | AtMostOnce | ()      | ()    | 10 ms    | "Throws it out." |
}

fn main() {
    let failure = Failure::<operation::eject>::Refused;
    if let Failure::Late { means: StillComing, .. } = failure {}
}
