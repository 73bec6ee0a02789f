//! The report as graphs, in the language of Graphviz.
//!
//! The rule: what is drawn is told apart by shape and line, not by colour alone.

use super::Report;
use crate::units::Quantity;

/// A text as Graphviz wants it, with `\n` between lines.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

fn time(nanoseconds: u64) -> String {
    Quantity::Time.write(nanoseconds)
}

/// How a graph begins: its settings.
fn begin(name: &str, direction: &str) -> String {
    format!(
        "digraph {name} {{\n  rankdir={direction};\n  nodesep=0.5;\n  ranksep=0.9;\n  \
         node [fontname=\"Helvetica\", fontsize=12];\n  edge [fontname=\"Helvetica\", fontsize=10];\n"
    )
}

/// Who is joined to whom: services as lines from client to server, streams as broken ones, devices with their owners.
pub(super) fn ports(report: &Report) -> String {
    let mut text = begin("ports", "LR");
    for component in &report.components {
        let mut label = component.name.clone();
        if component.package != component.name {
            label.push_str(&format!("\n({})", component.package));
        }
        label.push_str(&format!("\nVCPU {}", component.vcpu));
        let id = quoted(&format!("component {}", component.name));
        text.push_str(&format!("  {id} [shape=box, label={}];\n", quoted(&label)));
    }
    for device in &report.devices {
        let (id, label) = (quoted(&format!("device {}", device.name)), quoted(&device.name));
        let owner = quoted(&format!("component {}", device.owner));
        text.push_str(&format!("  {id} [shape=cds, label={label}];\n"));
        text.push_str(&format!("  {owner} -> {id} [dir=both, arrowhead=none, arrowtail=none, penwidth=2];\n"));
    }
    for connection in &report.connections {
        let part = |end: &str, front: bool| {
            let (component, port) = end.split_once('.').unwrap_or((end, ""));
            if front { component.to_owned() } else { port.to_owned() }
        };
        let (from, to) = (part(&connection.from, true), part(&connection.to, true));
        let (near, far) = (part(&connection.from, false), part(&connection.to, false));
        let label = if near == far { near } else { format!("{near} - {far}") };
        let style = if connection.kind == "stream" { "dashed" } else { "solid" };
        let (from, to) = (quoted(&format!("component {from}")), quoted(&format!("component {to}")));
        text.push_str(&format!("  {from} -> {to} [style={style}, label={}];\n", quoted(&label)));
    }
    text.push_str("}\n");
    text
}

/// Who restarts whom: groups between the manager and their members, with broken lines for escalation.
pub(super) fn restarts(report: &Report) -> String {
    let mut text = begin("restarts", "TB");
    text.push_str("  \"kernel\" [shape=house, label=\"kernel\"];\n");
    for component in &report.components {
        let mut label = component.name.clone();
        if let Some(bound) = component.recover_within_ns {
            label.push_str(&format!("\nrecovers within {}", time(bound)));
        }
        let id = quoted(&format!("component {}", component.name));
        text.push_str(&format!("  {id} [shape=box, label={}];\n", quoted(&label)));
    }
    let manager = report.manager.as_ref().map(|manager| quoted(&format!("component {manager}")));
    if let Some(manager) = &manager {
        text.push_str(&format!("  \"kernel\" -> {manager} [label=\"restarts\"];\n"));
    }
    for group in &report.groups {
        let id = quoted(&format!("group {}", group.name));
        let label = format!(
            "group {}\n{}\n{} fruitless deaths in {}\npauses {} to {}",
            group.name,
            group.strategy,
            group.intensity,
            time(group.period_ns),
            time(group.backoff_first_ns),
            time(group.backoff_most_ns)
        );
        text.push_str(&format!("  {id} [shape=box, style=rounded, label={}];\n", quoted(&label)));
        if let Some(manager) = &manager {
            text.push_str(&format!("  {manager} -> {id} [arrowhead=none];\n"));
        }
        for member in &group.members {
            text.push_str(&format!("  {id} -> {};\n", quoted(&format!("component {member}"))));
        }
        let next = match group.escalates_to.as_str() {
            "image" => "\"the image\"".to_owned(),
            "give-up" => "\"given up\"".to_owned(),
            other => quoted(&format!("group {other}")),
        };
        text.push_str(&format!("  {id} -> {next} [style=dashed, label=\"then\", constraint=false];\n"));
    }
    for (end, label) in [("image", "the image"), ("give-up", "given up")] {
        if report.groups.iter().any(|group| group.escalates_to == end) {
            let what = if end == "image" { "the image reboots" } else { "given up, and made safe" };
            text.push_str(&format!("  \"{label}\" [shape=octagon, label=\"{what}\"];\n"));
        }
    }
    text.push_str("}\n");
    text
}
