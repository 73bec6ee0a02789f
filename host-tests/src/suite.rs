//! What a suite is, for the `koboshi test` command.
//!
//! The rule: a suite counts what it checked. One that checked nothing has not passed.

/// What a suite is given.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// A short run, for whoever is waiting.
    pub quick: bool,
    /// Whatever is left to chance is drawn from this.
    pub seed: u64,
    /// One case to replay, as a failed run of the suite printed it.
    pub replay: Option<&'a str>,
    /// So many cases, where a suite draws as many as it is asked for.
    pub count: Option<u64>,
    /// Says how far the suite is: so many of so many (0: not known).
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What a suite found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checks that held.
    pub passed: u64,
    /// Checks that did not.
    pub failed: u64,
    /// What failed, and what else is worth knowing.
    pub text: String,
    /// The suite could not begin: it was asked for something that is not there. What, and what would be right.
    pub misused: Option<String>,
}

/// A suite of tests.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// Its name.
    pub name: &'static str,
    /// What it checks, in one line.
    pub about: &'static str,
    /// It runs only when it is named: it needs what not every machine has.
    pub on_request: bool,
    /// Runs it.
    pub run: fn(&Context<'_>) -> Report,
}
