//! The server of a resumable operation has to take its progress.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract       | request | reply | deadline | meaning   |
    | --------- | -------------- | ------- | ----- | -------- | --------- |
    | write     | Resumable<u32> | u8      | u32   | 10 ms    | "Writes." |
}

struct Mine;

impl Server for Mine {
    async fn write(&mut self, _: u8) -> u32 {
        0
    }
}

fn main() {}
