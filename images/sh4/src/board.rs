//! The emulated R2D-PLUS board.
