//! `koboshi inspect`: what a package says of itself, and whether an image would let it in.
//!
//! The rule: nothing of a package is shown that its signer has not signed.

use std::path::{Path, PathBuf};

use koboshi_package::{Header, Package, Port, PublicKey, Refused, digest};
use serde::Serialize;

use super::check::print_json;
use super::run::trust;
use super::{FINE, MISUSED, Paint, WRONG, complain, composed, count, print_out, table};
use crate::gate::{self, Gate, Judged};
use crate::problem::instead;

/// Arguments of `koboshi inspect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The package's file
    package: PathBuf,
    /// Judge it as this component of this image would, and say all that differs
    #[arg(long = "for", value_name = "IMAGE:COMPONENT")]
    place: Option<String>,
    /// As if the image named this key among those that may sign, too, as with `koboshi run --trust`
    #[arg(long, value_name = "KEY", requires = "place")]
    trust: Vec<PublicKey>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Sizes are in bytes.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    /// Whether it is whole and signed and, with `--for`, let in.
    ok: bool,
    size_bytes: usize,
    /// `None`: nothing of it can be believed.
    package: Option<Told<'a>>,
    refused: Vec<Reason>,
}

#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    version: String,
    platform: &'a str,
    signed_by: String,
    code_bytes: usize,
    code_digest: String,
    room_bytes: u32,
    ports: Vec<ToldPort<'a>>,
    kept: Option<ToldKept<'a>>,
    migrations: Vec<ToldMigration>,
}

#[derive(Serialize)]
struct ToldPort<'a> {
    name: &'a str,
    side: String,
    interface: &'a str,
    key: String,
    schema: Vec<&'a str>,
}

#[derive(Serialize)]
struct ToldKept<'a> {
    key: String,
    schema: Vec<&'a str>,
}

#[derive(Serialize)]
struct ToldMigration {
    from: String,
    down: bool,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
    whose: &'static str,
    remedy: &'static str,
}

impl From<Refused<'_>> for Reason {
    fn from(refused: Refused<'_>) -> Self {
        Reason {
            code: refused.code(),
            message: refused.to_string(),
            whose: refused.whose().text(),
            remedy: refused.remedy(),
        }
    }
}

/// The gate of a component of an image.
struct Place {
    image: PathBuf,
    component: String,
    gate: Gate,
}

impl Place {
    /// Composes the image, and finds the component; on failure everything was said, and there is an exit code.
    fn of(text: &str, keys: &[PublicKey]) -> Result<Self, i32> {
        let misused = |what: String, remedy: String| {
            complain(&what, &remedy);
            MISUSED
        };
        let Some((image, component)) =
            text.rsplit_once(':').filter(|(image, name)| !image.is_empty() && !name.is_empty())
        else {
            let remedy = "write it as in --for images/host.toml:driver.".to_owned();
            return Err(misused(format!("`{text}` names no component of an image."), remedy));
        };
        let image = PathBuf::from(image);
        let composed = composed(Some(&image), &|image| trust(image, keys))?;
        let components = &composed.manifest.components;
        let Some(at) = components.iter().position(|part| part.name.value == component) else {
            let names = components.iter().map(|part| part.name.value.as_str());
            let what = format!("there is no component `{component}` in {}.", image.display());
            return Err(misused(what, instead(component, names)));
        };
        let (Some(instance), Some(part)) = (components.get(at), composed.image.components.get(at)) else {
            return Err(WRONG);
        };
        let Some(gate) = Gate::of(&composed.manifest, instance, part) else {
            let what = format!("`{component}` of {} is not swappable: it takes no package.", image.display());
            let remedy = "write `swappable = { room = \"1 MiB\" }` into its `[[component]]`.".to_owned();
            return Err(misused(what, remedy));
        };
        Ok(Place { gate, component: component.to_owned(), image })
    }
}

/// Judges a package by itself: whether it is whole, and who has signed it.
fn alone(bytes: &[u8]) -> Judged<'_> {
    let header = Package::open(bytes).and_then(|package| {
        if !package.is_signed() {
            return Err(Refused::Signature { signer: package.signer });
        }
        let header = package.header()?;
        let found = digest(package.code);
        if found != header.digest { Err(Refused::Digest { found, expected: header.digest }) } else { Ok(header) }
    });
    match header {
        Ok(header) => Judged { header: Some(header), reasons: Vec::new() },
        Err(reason) => Judged { header: None, reasons: vec![reason] },
    }
}

pub(super) fn run(arguments: &Arguments) -> i32 {
    let place = match arguments.place.as_deref().map(|text| Place::of(text, &arguments.trust)).transpose() {
        Ok(place) => place,
        Err(code) => return code,
    };
    let file = &arguments.package;
    let bytes = match gate::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let remedy = "name a file that `koboshi pack` has made.";
            complain(&format!("the package {} cannot be read: {error}.", file.display()), remedy);
            return MISUSED;
        }
    };
    let parts = place.as_ref().map(|place| (&place.gate, place.gate.parts()));
    let judged = parts.as_ref().map_or_else(|| alone(&bytes), |(gate, parts)| gate.judge(&bytes, parts, gate.kept()));
    let ok = judged.reasons.is_empty();
    let code = if ok { FINE } else { WRONG };
    let told = judged.header.as_ref().zip(Package::open(&bytes).ok()).map(|(header, package)| told(header, &package));
    if arguments.json {
        let refused = judged.reasons.iter().copied().map(Reason::from).collect();
        return print_json(&Report { file, ok, size_bytes: bytes.len(), package: told, refused }, code);
    }
    if let Some(told) = &told {
        print_out(&text(told, bytes.len()));
    }
    for reason in &judged.reasons {
        let remedy = gate::remedy(reason.remedy(), reason.whose());
        complain(&format!("{} is refused: {reason}.", file.display()), &remedy);
    }
    if let Some(place) = place.as_ref().filter(|_| ok) {
        let fine = Paint::stdout().good("fine:");
        say!("{fine} {} lets it take the place of `{}`.", place.image.display(), place.component);
    }
    code
}

fn told<'a>(header: &Header<'a>, package: &Package<'a>) -> Told<'a> {
    let lines = |schema: &'a str| schema.lines().collect();
    let port = |port: &Port<'a>| ToldPort {
        name: port.name,
        side: port.side.to_string(),
        interface: port.interface,
        key: port.key.to_string(),
        schema: lines(port.schema),
    };
    Told {
        name: header.name,
        version: header.version.to_string(),
        platform: header.platform,
        signed_by: package.signer.to_string(),
        code_bytes: package.code.len(),
        code_digest: header.digest.to_string(),
        room_bytes: header.room,
        ports: header.ports.iter().map(port).collect(),
        kept: header.kept.map(|kept| ToldKept { key: kept.key.to_string(), schema: lines(kept.schema) }),
        migrations: header
            .migrations
            .iter()
            .map(|way| ToldMigration { from: way.from.to_string(), down: way.down })
            .collect(),
    }
}

fn text(told: &Told<'_>, size: usize) -> String {
    let mut text =
        format!("{} {} for platform {}: {} bytes\n", told.name, told.version, told.platform, count(size as u64));
    text.push_str(&format!("  signed by {}\n", told.signed_by));
    text.push_str(&format!("  code of {} bytes, fingerprint {}\n", count(told.code_bytes as u64), told.code_digest));
    text.push_str(&format!("  needs {} bytes when it is loaded\n", count(told.room_bytes.into())));
    match &told.kept {
        Some(kept) => text.push_str(&format!("  keeps state, key {}\n", kept.key)),
        None => text.push_str("  keeps no state\n"),
    }
    for way in &told.migrations {
        let back = if way.down { "and back" } else { "and not back" };
        text.push_str(&format!("  takes over state of key {}, {back}\n", way.from));
    }
    if !told.ports.is_empty() {
        let row = |port: &ToldPort<'_>| {
            vec![format!("{} {}", port.side, port.name), port.interface.to_owned(), format!("key {}", port.key)]
        };
        text.push_str(&table(&told.ports.iter().map(row).collect::<Vec<_>>()));
    }
    text
}
