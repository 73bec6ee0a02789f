//! A message that borrows would point into memory that a peer can change.

koboshi_interface_kit::interface! {
    /// One line.
    service line;

    | operation | contract | request      | reply | deadline | meaning  |
    | --------- | -------- | ------------ | ----- | -------- | -------- |
    | name      | Pure     | &'static str | ()    | 10 ms    | "Names." |
}

fn main() {}
