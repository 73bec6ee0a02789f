//! An item that is larger than any message may be.

koboshi_interface_kit::interface! {
    /// Blocks.
    stream blocks: [[u8; 15]; 7], "A block.";
}

fn main() {}
