//! A component's manifest says the same as its code.
//!
//! The rule: the code is right and the manifest is wrong, for the code is what runs.

use std::ops::Range;

use koboshi_host::linked::Linked;
use koboshi_runtime::describe::Side;

use crate::manifest::ComponentManifest;
use crate::problem::Rule;
use crate::reader::Reader;
use crate::registry::Package;

/// A component's manifest says the same as its code.
pub(super) fn agrees(reader: &mut Reader, package: &Package, manifest: &ComponentManifest, linked: &Linked) {
    let description = linked.description();
    let mut differs = |span: Range<usize>, message: String, remedy: String| {
        reader.problem(Rule::Description, span, message, "says something else than the code", remedy);
    };
    let start = manifest.package.span.clone();
    for name in [description.name, package.name] {
        if manifest.package.value != name {
            differs(
                start.clone(),
                format!("the package is called `{}` here, and `{name}` in its code", manifest.package.value),
                format!("write `package = \"{name}\"`."),
            );
            break;
        }
    }
    let word = |side| match side {
        Side::Offers => "offers",
        Side::Uses => "uses",
    };
    for (number, port) in description.ports.iter().enumerate() {
        let code = format!("{} = \"{}\", interface = \"{}\"", word(port.side), port.name, port.interface.path);
        match manifest.ports.get(number) {
            None => differs(
                start.clone(),
                format!("port {number} of the code is missing here"),
                format!("add `[[port]]` with {code}."),
            ),
            Some(found) => {
                let here = format!(
                    "{} = \"{}\", interface = \"{}\"",
                    word(found.side),
                    found.name.value,
                    found.interface.value
                );
                if here != code {
                    differs(
                        found.name.span.clone(),
                        format!("port {number} is {here} here, and {code} in the code"),
                        format!("write {code}."),
                    );
                }
            }
        }
    }
    for found in manifest.ports.iter().skip(description.ports.len()) {
        differs(
            found.name.span.clone(),
            format!("the code has no port `{}`", found.name.value),
            "take this `[[port]]` out, or add the port to DESCRIPTION.".to_owned(),
        );
    }
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let here: Vec<&str> = manifest.devices.iter().map(|device| device.name.value.as_str()).collect();
    if here != description.devices {
        let (here, code) = (list(&here), list(description.devices));
        differs(
            start.clone(),
            format!("the devices are {here} here, and {code} in the code"),
            format!("declare: {code}."),
        );
    }
    let here: Vec<&str> =
        manifest.devices.iter().flat_map(|device| &device.interrupts).map(|name| name.value.as_str()).collect();
    if here != description.interrupts {
        let (here, code) = (list(&here), list(description.interrupts));
        let span = manifest.devices.first().map_or(start.clone(), |device| device.name.span.clone());
        differs(span, format!("the interrupts are {here} here, and {code} in the code"), format!("declare: {code}."));
    }
    if manifest.keeps.value != description.kept.is_some() {
        let code = description.kept.is_some();
        let span = if manifest.keeps.span.is_empty() { start.clone() } else { manifest.keeps.span.clone() };
        let message = format!("`keeps-state` is {} here, and {code} in the code", manifest.keeps.value);
        differs(span, message, format!("write `keeps-state = {code}`."));
    }
    if let Some(memory) = manifest.memory.as_ref().filter(|memory| memory.value < linked.size() as u64) {
        reader.problem(
            Rule::Memory,
            memory.span.clone(),
            format!("`{}` keeps {} bytes between two waits, and has {}", package.name, linked.size(), memory.value),
            "too little",
            format!("write at least `memory = \"{} KiB\"`.", linked.size().div_ceil(1 << 10)),
        );
    }
}
