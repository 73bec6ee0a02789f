//! Why a package was refused: in words, with whose fault it is and what to do.
//!
//! The rule: each reason has a message of its own, with what was found and what was expected.

use core::fmt;

use koboshi_interface_kit::Key;

use crate::format::FORMAT;
use crate::header::{Digest, Side};
use crate::key::PublicKey;
use crate::schema::Difference;
use crate::version::Version;

/// Whose fault it is that a package was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Whoever brought the file here: on its way it was cut, changed, or confused with another one.
    Way,
    /// Whoever made the package.
    Maker,
    /// Whoever chose this package for this component of this image.
    Choice,
}

impl Whose {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Whose::Way => "the way on which the file came here",
            Whose::Maker => "whoever made the package",
            Whose::Choice => "whoever chose this package for this component",
        }
    }
}

/// Why a package was refused. Its text is the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "what was found, and what was expected: each message says it")]
pub enum Refused<'a> {
    /// It does not begin as a package does.
    #[error("this is no package: it does not begin with the bytes that every package begins with")]
    NotAPackage,
    /// Its format is of another version.
    #[error("its format is version {found}, and version {FORMAT} was expected")]
    Format { found: u32 },
    /// It is shorter than it says.
    #[error("it is cut off: it has {has} bytes, and {needs} were expected")]
    Truncated { has: usize, needs: u64 },
    /// It is longer than it says.
    #[error("something was added to it: it has {has} bytes, and {needs} were expected")]
    Longer { has: usize, needs: u64 },
    /// Nobody has signed it.
    #[error("nobody has signed it: where the signature was expected is none")]
    Unsigned,
    /// Somebody has signed it who may not.
    #[error("{found} says to have signed it, and that key is not among {}", Signers(*.signers))]
    Signer { found: PublicKey, signers: usize },
    /// The signature is not of these bytes.
    #[error("its signature is wrong: {signer} has not signed these bytes")]
    Signature { signer: PublicKey },
    /// Its header cannot be read, though it was signed.
    #[error("its header cannot be read, although it was signed as it is")]
    Unreadable,
    /// Its code is not that of its header, though both were signed.
    #[error("its code has the fingerprint {found}, and its header says {expected}")]
    Digest { found: Digest, expected: Digest },
    /// It is for another platform.
    #[error("it is for platform `{found}`, and `{expected}` was expected")]
    Platform { found: &'a str, expected: &'a str },
    /// It is another component.
    #[error("it is the component `{found}`, and {} expected", Names(.expected))]
    Name { found: &'a str, expected: &'a [&'a str] },
    /// It is older than the image allows.
    #[error("it is version {found}, and nothing older than {lowest} was expected")]
    Older { found: Version, lowest: Version },
    /// It has a port that the image does not know.
    #[error("it has a port `{port}`, and none was expected there")]
    PortMore { port: &'a str },
    /// It lacks a port.
    #[error("it has no port `{port}`, which was expected")]
    PortMissing { port: &'a str },
    /// Another port is in the place of one.
    #[error("its port {place} is called `{found}`, and `{expected}` was expected")]
    PortName { place: usize, found: &'a str, expected: &'a str },
    /// It holds the other end of a port.
    #[error("port `{port}`, side: it {found} it, and that it {expected} it was expected")]
    PortSide { port: &'a str, found: Side, expected: Side },
    /// A port has another interface.
    #[error("port `{port}`, interface: found `{found}`, and `{expected}` was expected")]
    PortInterface { port: &'a str, found: &'a str, expected: &'a str },
    /// A port's interface is of another version.
    #[error("port `{port}`, schema: {}", Differs(*.difference))]
    PortSchema { port: &'a str, difference: Difference<'a> },
    /// A port's interface has another key, and the same schema.
    #[error("port `{port}`, key: found {found}, and {expected} was expected")]
    PortKey { port: &'a str, found: Key, expected: Key },
    /// It keeps state, and what runs keeps none.
    #[error("kept state: it keeps some, and none was expected")]
    KeptMore,
    /// It keeps no state, and what runs keeps some.
    #[error("kept state: it keeps none, and some was expected")]
    KeptMissing,
    /// Its kept state is of another version, and it declares no way from that which runs.
    #[error("kept state, schema: {}; it declares no migration", Differs(*.difference))]
    KeptSchema { difference: Difference<'a> },
    /// Its kept state has another key, and the same schema; and there is no way.
    #[error("kept state, key: found {found}, and {expected} was expected; it declares no migration")]
    KeptKey { found: Key, expected: Key },
    /// It is too large.
    #[error("it needs {needs} bytes, and the image has {has} for it")]
    Room { needs: u64, has: u32 },
}

/// The keys that may sign, counted.
struct Signers(usize);

impl fmt::Display for Signers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => out.write_str("those that may sign: the image names none"),
            1 => out.write_str("those that may sign: the image names 1 other"),
            more => write!(out, "those that may sign: the image names {more} others"),
        }
    }
}

/// The packages that may come, in words.
struct Names<'a>(&'a [&'a str]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((last, before)) = self.0.split_last() else { return out.write_str("none was") };
        for (at, name) in before.iter().enumerate() {
            write!(out, "{}`{name}`", if at == 0 { "" } else { ", " })?;
        }
        write!(out, "{}`{last}` was", if before.is_empty() { "" } else { " or " })
    }
}

/// A difference, in words.
struct Differs<'a>(Difference<'a>);

impl fmt::Display for Differs<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.0.place;
        match (self.0.found, self.0.expected) {
            (Some(found), Some(expected)) if place == "order" => {
                write!(out, "`{found}` stands where `{expected}` was expected")
            }
            (Some(found), Some(expected)) => write!(out, "`{place}` is {found}, and {expected} was expected"),
            (Some(found), None) => write!(out, "`{place}` is {found}, and nothing was expected there"),
            (None, Some(expected)) => write!(out, "`{place}` is missing, and {expected} was expected"),
            (None, None) => write!(out, "`{place}` is another one"),
        }
    }
}

impl Refused<'_> {
    /// A word for programs, which stays the same in every version.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Refused::NotAPackage => "not-a-package",
            Refused::Format { .. } => "format",
            Refused::Truncated { .. } => "truncated",
            Refused::Longer { .. } => "longer",
            Refused::Unsigned => "unsigned",
            Refused::Signer { .. } => "signer",
            Refused::Signature { .. } => "signature",
            Refused::Unreadable => "unreadable",
            Refused::Digest { .. } => "digest",
            Refused::Platform { .. } => "platform",
            Refused::Name { .. } => "name",
            Refused::Older { .. } => "older",
            Refused::PortMore { .. } => "port-more",
            Refused::PortMissing { .. } => "port-missing",
            Refused::PortName { .. } => "port-name",
            Refused::PortSide { .. } => "port-side",
            Refused::PortInterface { .. } => "port-interface",
            Refused::PortSchema { .. } => "port-schema",
            Refused::PortKey { .. } => "port-key",
            Refused::KeptMore => "kept-more",
            Refused::KeptMissing => "kept-missing",
            Refused::KeptSchema { .. } => "kept-schema",
            Refused::KeptKey { .. } => "kept-key",
            Refused::Room { .. } => "room",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn whose(&self) -> Whose {
        match self {
            Refused::NotAPackage | Refused::Truncated { .. } | Refused::Longer { .. } | Refused::Signature { .. } => {
                Whose::Way
            }
            Refused::Unsigned | Refused::Unreadable | Refused::Digest { .. } => Whose::Maker,
            _ => Whose::Choice,
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Refused::NotAPackage => "name a file that `koboshi pack` has made.",
            Refused::Format { .. } => "make it anew with the `koboshi` that has made the image.",
            Refused::Truncated { .. } | Refused::Longer { .. } => "fetch the file again, whole and as it is.",
            Refused::Unsigned => "make it with `koboshi pack --key FILE`, and a key that the image names.",
            Refused::Signer { .. } => {
                "sign with a key that the image names; or, if you trust this one, name it in the image's \
                 `packages-signed-by`, or run it with `--trust KEY`."
            }
            Refused::Signature { .. } => {
                "fetch the file again; if it is still so, somebody has changed it: do not trust it."
            }
            Refused::Unreadable | Refused::Digest { .. } => "make it anew with `koboshi pack`.",
            Refused::Platform { .. } => "make it for the image's platform: `koboshi pack --platform`.",
            Refused::Name { .. } => {
                "name the package of this component, or the component of this package; or name this package in the \
                 component's `swappable`, under `packages`."
            }
            Refused::Older { .. } => {
                "make it of a newer source; or, if the old one is wanted, lower `lowest-version` in the image."
            }
            Refused::PortMore { .. } | Refused::PortMissing { .. } | Refused::PortName { .. } => {
                "ports are joined when an image is composed: compose a new image, or leave the ports as they were."
            }
            Refused::PortSide { .. }
            | Refused::PortInterface { .. }
            | Refused::PortSchema { .. }
            | Refused::PortKey { .. } => "build package and image with the same interface.",
            Refused::KeptMore | Refused::KeptMissing => {
                "compose a new image: what is kept cannot begin or end while a system runs."
            }
            Refused::KeptSchema { .. } | Refused::KeptKey { .. } => {
                "declare a migration from this key in the component, or leave what it keeps as it was."
            }
            Refused::Room { .. } => "make it smaller, or its `room` in the image larger.",
        }
    }
}
