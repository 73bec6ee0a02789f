//! The ticket of another service.

use koboshi_interface_kit::{ClientEnd, Ticket};

mod other {
    koboshi_interface_kit::interface! {
        /// One line.
        service line;

        | operation | contract | request | reply | deadline | meaning |
        | --------- | -------- | ------- | ----- | -------- | ------- |
        | status    | Pure     | ()      | u32   | 10 ms    | "Asks." |
    }
}

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status    | Pure     | ()      | u32   | 10 ms    | "Asks." |
}

fn wait<E: ClientEnd>(client: &mut Client<E>, ticket: Ticket<other::operation::status>) {
    let _waiting = client.wait(ticket);
}

fn main() {}
