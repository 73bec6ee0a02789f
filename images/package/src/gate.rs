//! The gate: whether a package may take a component's place in an image.
//!
//! The rules: the order is that of [`judge`]; the signature comes first, and before it nothing but lengths is looked at.
//! The first reason is the one that counts, and it is the most telling one.

use crate::format::Package;
use crate::header::{Digest, Header, Kept, Port, digest};
use crate::key::PublicKey;
use crate::refused::Refused;
use crate::schema::{self, Difference};
use crate::version::Version;

/// What an image expects of a package that is to take a component's place.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The keys that may sign.
    pub signers: &'a [PublicKey],
    /// The platform's word in the manifests.
    pub platform: &'a str,
    /// The packages that may take the component's place.
    pub names: &'a [&'a str],
    /// Its ports, in the order in which they are opened.
    pub ports: &'a [Port<'a>],
    /// What the one that runs keeps.
    pub kept: Option<Kept<'a>>,
    /// No version below this one.
    pub lowest: Version,
    /// Bytes that there are for it.
    pub room: u32,
}

/// One of the things that are judged, in this order. (The lengths come before all of them.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Signer,
    Signature,
    Digest,
    Platform,
    Name,
    Version,
    Ports,
    Kept,
    Room,
}

/// Judges a package: its lengths; its signer and the signature; its header and the fingerprint of its code; platform, name
/// and version; its ports, one by one; its kept state; its size.
///
/// # Errors
/// The first reason to refuse it.
pub fn judge<'a>(package: &'a [u8], expected: &Expected<'a>) -> Result<Header<'a>, Refused<'a>> {
    judge_without(None, package, expected)
}

/// The same, with every reason that there is behind the signature.
///
/// # Errors
/// The only reason, where nothing behind it could be believed. What is told otherwise is for `tell`.
pub fn judge_all<'a>(
    package: &'a [u8],
    expected: &Expected<'a>,
    tell: &mut dyn FnMut(Refused<'a>),
) -> Result<Header<'a>, Refused<'a>> {
    let (package, header) = believed(None, package, expected)?;
    reasons(None, &package, &header, expected, tell);
    Ok(header)
}

/// The gate with a hole in it, if one is wanted: so tests know that they notice one.
pub(crate) fn judge_without<'a>(
    hole: Option<Check>,
    package: &'a [u8],
    expected: &Expected<'a>,
) -> Result<Header<'a>, Refused<'a>> {
    let (package, header) = believed(hole, package, expected)?;
    let mut first = None;
    reasons(hole, &package, &header, expected, &mut |reason| {
        first.get_or_insert(reason);
    });
    match first {
        Some(reason) => Err(reason),
        None => Ok(header),
    }
}

/// A package that somebody has signed who may.
fn believed<'a>(
    hole: Option<Check>,
    bytes: &'a [u8],
    expected: &Expected<'a>,
) -> Result<(Package<'a>, Header<'a>), Refused<'a>> {
    let package = Package::open(bytes)?;
    if hole != Some(Check::Signer) && !expected.signers.contains(&package.signer) {
        return Err(Refused::Signer { found: package.signer, signers: expected.signers.len() });
    }
    if hole != Some(Check::Signature) && !package.is_signed() {
        return Err(Refused::Signature { signer: package.signer });
    }
    let header = package.header()?;
    Ok((package, header))
}

/// Tells every reason to refuse a package whose signature is right.
fn reasons<'a>(
    hole: Option<Check>,
    package: &Package<'a>,
    header: &Header<'a>,
    expected: &Expected<'a>,
    tell: &mut dyn FnMut(Refused<'a>),
) {
    let mut check = |check, told: Option<Refused<'a>>| {
        if let Some(reason) = told.filter(|_| hole != Some(check)) {
            tell(reason);
        }
    };
    let code: Digest = digest(package.code);
    let differs = code != header.digest;
    check(Check::Digest, differs.then_some(Refused::Digest { found: code, expected: header.digest }));
    let (found, wanted) = (header.platform, expected.platform);
    check(Check::Platform, (found != wanted).then_some(Refused::Platform { found, expected: wanted }));
    let (found, names) = (header.name, expected.names);
    check(Check::Name, (!names.contains(&found)).then_some(Refused::Name { found, expected: names }));
    let (found, lowest) = (header.version, expected.lowest);
    check(Check::Version, (found < lowest).then_some(Refused::Older { found, lowest }));
    for place in 0..header.ports.len().max(expected.ports.len()) {
        port(place, header, expected, &mut |reason| check(Check::Ports, Some(reason)));
    }
    kept(header, expected, &mut |reason| check(Check::Kept, Some(reason)));
    // Whatever it says of itself, it takes at least its code.
    let needs = u64::from(header.room).max(package.code.len() as u64);
    check(Check::Room, (needs > u64::from(expected.room)).then_some(Refused::Room { needs, has: expected.room }));
}

/// Tells what is wrong with the port in this place.
fn port<'a>(place: usize, header: &Header<'a>, expected: &Expected<'a>, tell: &mut dyn FnMut(Refused<'a>)) {
    let (ours, wanted) = (header.ports.get(place), expected.ports.get(place));
    let (ours, wanted) = match (ours, wanted) {
        (None, None) => return,
        (Some(ours), None) => return tell(Refused::PortMore { port: ours.name }),
        (None, Some(wanted)) => return tell(Refused::PortMissing { port: wanted.name }),
        (Some(ours), Some(wanted)) => (ours, wanted),
    };
    let port = wanted.name;
    if ours.name != port {
        return tell(Refused::PortName { place, found: ours.name, expected: port });
    }
    if ours.side != wanted.side {
        tell(Refused::PortSide { port, found: ours.side, expected: wanted.side });
    }
    if ours.interface != wanted.interface {
        return tell(Refused::PortInterface { port, found: ours.interface, expected: wanted.interface });
    }
    if let Some(difference) = difference(ours.schema, wanted.schema) {
        return tell(Refused::PortSchema { port, difference });
    }
    if ours.key != wanted.key {
        tell(Refused::PortKey { port, found: ours.key, expected: wanted.key });
    }
}

/// Tells what is wrong with the kept state.
fn kept<'a>(header: &Header<'a>, expected: &Expected<'a>, tell: &mut dyn FnMut(Refused<'a>)) {
    if header.carries(expected.kept).is_some() {
        return;
    }
    let (found, wanted) = match (header.kept, expected.kept) {
        (Some(found), Some(wanted)) => (found, wanted),
        (Some(_), None) => return tell(Refused::KeptMore),
        (None, _) => return tell(Refused::KeptMissing),
    };
    tell(match difference(found.schema, wanted.schema) {
        Some(difference) => Refused::KeptSchema { difference },
        None => Refused::KeptKey { found: found.key, expected: wanted.key },
    });
}

/// The first place at which two schemas differ.
#[must_use]
pub fn difference<'a>(found: &'a str, expected: &'a str) -> Option<Difference<'a>> {
    let mut first = None;
    schema::differences(found, expected, &mut |difference| {
        first.get_or_insert(difference);
    });
    first
}

#[cfg(test)]
mod tests;
