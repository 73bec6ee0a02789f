//! Mistakes that tests make on purpose, to show that they would be noticed. Outside of tests there are none.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Takes frames whatever their checksum.
    NoChecksum,
    /// Takes bytes wherever they belong.
    NoPositions,
    /// Takes frames of any session.
    NoSessions,
    /// Sends more than there is room for.
    NoCredit,
    /// Sends nothing twice.
    NoRetry,
    /// Tells nobody of a new session.
    SilentRestart,
}

/// Those of one end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flaws(#[cfg(test)] pub(crate) Option<Flaw>);

impl Flaws {
    pub(crate) const NONE: Flaws = Flaws(
        #[cfg(test)]
        None,
    );

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "outside of tests there are none"))]
    pub(crate) fn have(self, _flaw: Flaw) -> bool {
        #[cfg(test)]
        return self.0 == Some(_flaw);
        #[cfg(not(test))]
        false
    }
}
