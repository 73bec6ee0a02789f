//! What an image expects of a package that is to take a component's place.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use koboshi_board::Spelt;
use koboshi_host::image::ImageComponent;
use koboshi_package::{Expected, Header, Kept, Port, PublicKey, Refused, Version, Whose, judge, judge_all};

use crate::manifest::{ImageManifest, Instance};

/// Bytes of the largest package that is read.
const MOST: u64 = 64 << 20;

/// The bytes of a package. Nobody can make whoever reads it wait: only files are read, and no large ones.
///
/// # Errors
/// It is no file, or too large, or cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Else the opening of a pipe would wait for somebody at its other end.
    let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if found.len() > MOST {
        return Err(io::Error::other(format!("it has {} bytes, and no package has so many", found.len())));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What to do about a package that was refused, and whose fault it is.
pub(crate) fn remedy(what: &str, whose: Whose) -> String {
    format!("{what}\n  Whose fault: that of {}.", whose.text())
}

/// What is expected of a package for one component of an image.
pub(crate) struct Gate {
    signers: Vec<PublicKey>,
    platform: &'static str,
    packages: Vec<String>,
    spelt: Spelt,
    lowest: Version,
    room: u32,
}

/// What a package is compared with.
pub(crate) struct Parts<'a> {
    ports: Vec<Port<'a>>,
    names: Vec<&'a str>,
}

/// A package that was judged.
pub(crate) struct Judged<'a> {
    /// `None`: it cannot be believed.
    pub(crate) header: Option<Header<'a>>,
    pub(crate) reasons: Vec<Refused<'a>>,
}

impl Gate {
    /// The gate of this component; `None`: it takes no package.
    pub(crate) fn of(manifest: &ImageManifest, instance: &Instance, component: &ImageComponent) -> Option<Self> {
        let swappable = &instance.swappable.as_ref()?.value;
        Some(Gate {
            signers: manifest.signers.iter().map(|key| key.value).collect(),
            platform: manifest.platform.word(),
            packages: swappable.packages.clone(),
            spelt: Spelt::of(component.linked.description()),
            lowest: swappable.lowest,
            room: swappable.room,
        })
    }

    /// What a package is compared with, which what is judged borrows.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts { ports: self.spelt.ports(), names: self.packages.iter().map(String::as_str).collect() }
    }

    /// What the version in the image keeps.
    pub(crate) fn kept(&self) -> Option<Kept<'_>> {
        self.spelt.kept()
    }

    /// Judges a package in place of a version that keeps this; what it says of itself.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub(crate) fn let_in<'a>(
        &'a self,
        bytes: &'a [u8],
        parts: &'a Parts<'a>,
        kept: Option<Kept<'a>>,
    ) -> Result<Header<'a>, Refused<'a>> {
        judge(bytes, &self.expected(parts, kept))
    }

    /// The same with all reasons.
    pub(crate) fn judge<'a>(&'a self, bytes: &'a [u8], parts: &'a Parts<'a>, kept: Option<Kept<'a>>) -> Judged<'a> {
        let mut reasons = Vec::new();
        let header = judge_all(bytes, &self.expected(parts, kept), &mut |reason| reasons.push(reason));
        match header {
            Ok(header) => Judged { header: Some(header), reasons },
            Err(reason) => Judged { header: None, reasons: vec![reason] },
        }
    }

    fn expected<'a>(&'a self, parts: &'a Parts<'a>, kept: Option<Kept<'a>>) -> Expected<'a> {
        Expected {
            signers: &self.signers,
            platform: self.platform,
            names: &parts.names,
            ports: &parts.ports,
            kept,
            lowest: self.lowest,
            room: self.room,
        }
    }
}
