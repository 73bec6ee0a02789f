//! The `koboshi` command.

fn main() {}
