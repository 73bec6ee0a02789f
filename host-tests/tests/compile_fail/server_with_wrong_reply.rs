//! A server that answers something else.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status    | Pure     | ()      | u32   | 10 ms    | "Asks." |
}

struct Mine;

impl Server for Mine {
    async fn status(&mut self, _: ()) -> u8 {
        0
    }
}

fn main() {}
