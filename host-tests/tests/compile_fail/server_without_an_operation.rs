//! A server that leaves out an operation.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract   | request | reply | deadline | meaning          |
    | --------- | ---------- | ------- | ----- | -------- | ---------------- |
    | status    | Pure       | ()      | u32   | 10 ms    | "Asks."          |
    | eject     | AtMostOnce | ()      | ()    | 10 ms    | "Throws it out." |
}

struct Mine;

impl Server for Mine {
    async fn status(&mut self, _: ()) -> u32 {
        0
    }
}

fn main() {}
