//! `koboshi new image`: the workspace's components, joined where there is one way to join them.
//!
//! The rule: it decides nothing that a person has to decide. What is left open stands there as a comment with the choice,
//! and `koboshi check` points at it.

use koboshi_interface_kit::Kind;

use super::plan::Plan;
use super::site::Site;
use super::{Refused, misused};
use crate::policy;
use crate::probe::workspace::{Component, Manifest};
use crate::registry;

/// The component that restarts the others.
const MANAGER: &str = "restart-manager";

/// One end of a port in the new image.
struct End {
    /// `component.port`
    name: String,
    interface: String,
    offers: bool,
    optional: bool,
}

pub(super) fn plan(site: &Site, name: &str, plan: &mut Plan) -> Result<(), Refused> {
    let components = site.components()?;
    if components.is_empty() {
        let remedy = format!("make one first: {} new driver NAME.", site.command());
        return Err(misused(format!("there is no component of your own in {}.", site.root.display()), remedy));
    }
    let most = koboshi_core::MAX_COMPONENTS - 1;
    if components.len() > most {
        return Err(misused(
            format!("there are {} components, and an image holds {most} beside the restart manager.", components.len()),
            "write the image by hand, from images/host.toml of Koboshi.",
        ));
    }
    plan.add(&format!("images/{name}.toml"), text(site, name, &components), "the image: what runs, joined to what");
    Ok(())
}

fn ends_of(manifest: &Manifest) -> impl Iterator<Item = End> {
    manifest.ports.iter().filter_map(|port| {
        let (name, offers) = match (&port.offers, &port.uses) {
            (Some(name), None) => (name, true),
            (None, Some(name)) => (name, false),
            // What a port without a side means, `check` asks.
            _ => return None,
        };
        let name = format!("{}.{name}", manifest.package);
        Some(End { name, interface: port.interface.clone(), offers, optional: port.optional })
    })
}

fn text(site: &Site, name: &str, components: &[Component]) -> String {
    let manifests: Vec<&Manifest> = components.iter().map(|component| &component.manifest).collect();
    let mut text = format!(
        "# The image `{name}`: this workspace's components, and who looks after them.\n\
         #\n\
         #     koboshi check images/{name}.toml    says whether it fits together\n\
         \n\
         platform = \"host\"\n\
         clock = \"real\"\n\
         # Who restarts the others; the kernel restarts it.\n\
         manager = \"{MANAGER}\"\n\
         \n\
         # VCPU 0 has the highest priority. `respond-within` is how long one may be away from its wait: longer is a hang.\n\
         \n\
         [[component]]\n\
         name = \"{MANAGER}\"\n\
         package = \"{MANAGER}\"\n\
         vcpu = 0\n\
         respond-within = \"1 ms\"\n"
    );
    for manifest in &manifests {
        let package = &manifest.package;
        text.push_str(&format!(
            "\n[[component]]\nname = \"{package}\"\npackage = \"{package}\"\nvcpu = 1\nrespond-within = \"1 ms\"\n"
        ));
    }
    text.push_str(&connections(site, &manifests));
    text.push_str(&devices(&manifests));
    let names: Vec<String> = manifests.iter().map(|manifest| format!("{:?}", manifest.package)).collect();
    text.push_str(&format!("\n[rights]\n{MANAGER} = {{ control = [{}], facts = true }}\n", names.join(", ")));
    text.push_str(
        "\n# Each is restarted alone, at once; one that dies more than 10 times in a second without having done anything is\n\
         # given up.\n",
    );
    for (number, members) in names.chunks(policy::MOST_MEMBERS).enumerate() {
        let group = if number == 0 { "all".to_owned() } else { format!("all-{}", number + 1) };
        text.push_str(&format!(
            "\n[[group]]\n\
             name = \"{group}\"\n\
             members = [{}]\n\
             strategy = \"one-for-one\"\n\
             intensity = 10\n\
             period = \"1 s\"\n\
             backoff = {{ first = \"1 ms\", most = \"100 ms\" }}\n\
             escalate = \"give-up\"\n",
            members.join(", ")
        ));
    }
    text
}

/// The connections that can be made in one way only; the others as comments.
fn connections(site: &Site, manifests: &[&Manifest]) -> String {
    let mut ends: Vec<End> = manifests.iter().flat_map(|manifest| ends_of(manifest)).collect();
    let own = registry::packages();
    let manager = own.iter().find(|package| package.name == MANAGER);
    let manager: Option<Manifest> = manager.and_then(|package| toml::from_str(package.manifest).ok());
    ends.extend(manager.iter().flat_map(ends_of));
    let mut text = String::from("\n# Requests and items travel from `from` to `to`.\n");
    let mut seen: Vec<&str> = Vec::new();
    for end in &ends {
        let interface = end.interface.as_str();
        if seen.contains(&interface) {
            continue;
        }
        seen.push(interface);
        let (offers, uses): (Vec<&End>, Vec<&End>) =
            ends.iter().filter(|end| end.interface == interface).partition(|end| end.offers);
        match (offers.as_slice(), uses.as_slice()) {
            ([offers], [uses]) => {
                let (from, to) = if is_stream(site, interface) { (offers, uses) } else { (uses, offers) };
                text.push_str(&connect("", &from.name, &to.name));
            }
            (all, none) | (none, all) if none.is_empty() && all.iter().all(|end| end.optional) => {}
            _ => text.push_str(&choice(is_stream(site, interface), interface, &offers, &uses)),
        }
    }
    text
}

/// Whether an interface is a stream, as its table says: one of Koboshi's own, or one in a crate of the workspace.
fn is_stream(site: &Site, interface: &str) -> bool {
    if let Some(own) = koboshi_interfaces::ALL.iter().find(|own| own.path == interface) {
        return own.kind == Kind::Stream;
    }
    let Some((krate, name)) = interface.split_once('/') else { return false };
    let Some(member) = site.members().iter().find(|member| member.name == krate) else { return false };
    let sources = std::fs::read_dir(member.directory.join("src")).into_iter().flatten().flatten();
    let tables = sources.filter_map(|source| std::fs::read_to_string(source.path()).ok());
    let begins = [format!("stream {name}:"), format!("stream {name} :")];
    tables.into_iter().any(|text| text.lines().any(|line| begins.iter().any(|begin| line.trim().starts_with(begin))))
}

fn connect(before: &str, from: &str, to: &str) -> String {
    format!("\n{before}[[connect]]\n{before}from = \"{from}\"\n{before}to = \"{to}\"\n{before}slots = 8\n")
}

/// What a person has to decide about the ports of an interface.
fn choice(stream: bool, interface: &str, offers: &[&End], uses: &[&End]) -> String {
    let names = |ends: &[&End]| {
        let names: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
    };
    let (users, servers) = (names(uses), names(offers));
    let mut text = format!(
        "\n# `{interface}` can be joined in more than one way, or in none.\n\
         #     offered by {servers}\n\
         #     used by {users}\n\
         # A port has one other end: decide, and write one such table for each pair."
    );
    let first = |ends: &[&End]| ends.first().map_or("...".to_owned(), |end| end.name.clone());
    let (from, to) = if stream { (first(offers), first(uses)) } else { (first(uses), first(offers)) };
    text.push_str(&connect("# ", &from, &to));
    text
}

/// The devices that somebody drives, as comments: what they are is the board's business.
fn devices(manifests: &[&Manifest]) -> String {
    let mut text = String::new();
    for manifest in manifests {
        for device in &manifest.devices {
            text.push_str(&format!(
                "\n# `{0}` drives a device of kind \"{1}\": say which, as in images/host.toml of Koboshi.\n\
                 # [[device]]\n\
                 # name = \"{2}\"\n\
                 # kind = \"{1}\"\n\
                 # owner = \"{0}.{2}\"\n",
                manifest.package, device.kind, device.name
            ));
        }
    }
    text
}
