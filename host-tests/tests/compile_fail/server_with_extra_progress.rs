//! No other operation has progress to take.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request | reply | deadline | meaning |
    | --------- | -------- | ------- | ----- | -------- | ------- |
    | status    | Pure     | ()      | u32   | 10 ms    | "Asks." |
}

struct Mine;

impl Server for Mine {
    async fn status(&mut self, _: (), _: koboshi_interface_kit::Progress<u32>) -> u32 {
        0
    }
}

fn main() {}
