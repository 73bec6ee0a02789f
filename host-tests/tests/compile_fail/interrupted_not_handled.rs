//! A client that does not think of the ending that only `AtMostOnce` has.

use koboshi_interface_kit::Failure;

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning          |
    | --------- | ---------- | ------- | ----- | -------- | ---------------- |
    | eject     | AtMostOnce | ()      | ()    | 10 ms    | "Throws it out." |
}

fn may_be_asked_again(failure: Failure<operation::eject>) -> bool {
    match failure {
        Failure::Late { .. } | Failure::Expired { .. } | Failure::Poisoned { .. } => false,
        Failure::Gone { .. } | Failure::Refused => true,
    }
}

fn main() {}
