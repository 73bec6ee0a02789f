//! The progress of another operation.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract       | request | reply | deadline | meaning   |
    | --------- | -------------- | ------- | ----- | -------- | --------- |
    | write     | Resumable<u32> | u8      | u32   | 10 ms    | "Writes." |
}

struct Mine;

impl Server for Mine {
    async fn write(&mut self, _: u8, _: koboshi_interface_kit::Progress<char>) -> u32 {
        0
    }
}

fn main() {}
