//! Whole systems under test
