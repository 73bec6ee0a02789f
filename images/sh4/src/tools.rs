//! Finds the tools of the way from Rust to SH-4.

/// What went wrong, whose fault it is, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What, and where.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl Trouble {
    /// What, and its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Trouble { what: what.into(), remedy: remedy.into() }
    }
}
