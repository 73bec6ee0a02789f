//! Versions of packages: three numbers, of which the first that differs decides.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A semantic version without anything behind its three numbers: of two versions one is older, and nobody has to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Grows when what it does is no longer what it did.
    pub major: u32,
    /// Grows when it does more.
    pub minor: u32,
    /// Grows when it does the same better.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is three numbers with points between them, as in 0.2.1")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let number = |text: Option<&str>| {
            let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).ok_or(NoVersion)?;
            // One version has one spelling.
            if text.len() > 1 && text.starts_with('0') {
                return Err(NoVersion);
            }
            text.parse::<u32>().map_err(|_| NoVersion)
        };
        let mut parts = text.split('.');
        let version =
            Version { major: number(parts.next())?, minor: number(parts.next())?, patch: number(parts.next())? };
        if parts.next().is_some() { Err(NoVersion) } else { Ok(version) }
    }
}
