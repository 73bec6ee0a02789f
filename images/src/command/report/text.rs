//! The report as text, for a terminal.

use super::super::{Paint, aligned, count};
use super::{Device, Report};
use crate::units::Quantity;

fn time(nanoseconds: u64) -> String {
    Quantity::Time.write(nanoseconds)
}

fn perhaps(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "-".to_owned(), time)
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// A table whose columns are aligned: these to the right, the others to the left.
fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    aligned(rows, |column| right.contains(&column))
}

/// Everything.
pub(super) fn text(report: &Report, paint: Paint) -> String {
    let mut text = format!("{} on platform {}\n", report.image, report.platform);
    for (heading, part) in [
        ("Components", components(report)),
        ("Ports", ports(report)),
        ("Who restarts whom", restarts(report)),
        ("Packages", packages(report)),
        ("Memory", memory(report)),
        ("Devices", report.devices.iter().map(device).collect()),
        ("Margins", margins(report, paint)),
        ("Not enforced on this platform", not_enforced(report)),
    ] {
        text.push_str(&format!("\n{}\n{part}", paint.strong(heading)));
    }
    text
}

fn components(report: &Report) -> String {
    let mut rows = vec![row(&["name", "package", "VCPU", "respond within", "recover within", "may"])];
    for component in &report.components {
        let mut may = Vec::new();
        if !component.controls.is_empty() {
            let shown: Vec<_> = component.controls.iter().take(4).map(String::as_str).collect();
            let more = component.controls.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            may.push(format!("control {}{more}", shown.join(" ")));
        }
        for (right, given) in
            [("facts", component.reads_facts), ("blame", component.blames), ("reboot", component.reboots)]
        {
            if given {
                may.push(right.to_owned());
            }
        }
        rows.push(vec![
            component.name.clone(),
            component.package.clone(),
            component.vcpu.to_string(),
            time(component.respond_within_ns),
            perhaps(component.recover_within_ns),
            may.join(", "),
        ]);
    }
    table(&rows, &[2, 3, 4])
}

fn ports(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .connections
        .iter()
        .map(|connection| {
            let mut how = format!("{} slots of {} B", connection.slots, connection.message_bytes);
            if connection.forwarded {
                how.push_str(", forwarded");
            }
            let gone = connection.when_gone.map_or(String::new(), |word| format!("when gone: {word}"));
            let way = format!("{} -> {}", connection.from, connection.to);
            vec![way, connection.interface.to_owned(), connection.kind.to_owned(), how, gone]
        })
        .collect();
    let mut text = table(&rows, &[]);
    if !report.open_ports.is_empty() {
        text.push_str(&format!("  left open: {}\n", report.open_ports.join(", ")));
    }
    text
}

fn restarts(report: &Report) -> String {
    let mut text = String::new();
    if let Some(manager) = &report.manager {
        text.push_str(&format!("  the kernel restarts {manager}, which restarts:\n"));
    }
    for group in &report.groups {
        let strategy = match group.strategy {
            "one-for-all" => "all together",
            "rest-for-one" => "one with those after it",
            _ => "each alone",
        };
        let then = match group.escalates_to.as_str() {
            "image" => "the image reboots".to_owned(),
            "give-up" => "it is given up".to_owned(),
            other => format!("group {other}, too"),
        };
        text.push_str(&format!("  {}: {}; {strategy}\n", group.name, group.members.join(", ")));
        text.push_str(&format!(
            "    pauses from {} to {}, at most {} restarts a second; more than {} fruitless deaths in {}: {then}\n",
            time(group.backoff_first_ns),
            time(group.backoff_most_ns),
            group.rate_per_second,
            group.intensity,
            time(group.period_ns),
        ));
    }
    text
}

fn packages(report: &Report) -> String {
    let mut text = String::new();
    for component in &report.components {
        let Some(swappable) = &component.swappable else { continue };
        text.push_str(&format!(
            "  {}: {} of version {} or later may take its place, in {}; it stays after {} answers, or {}\n",
            component.name,
            swappable.packages.join(" or "),
            swappable.lowest_version,
            Quantity::Memory.write(swappable.room_bytes.into()),
            swappable.answers,
            time(swappable.probation_ns)
        ));
    }
    if text.is_empty() {
        text.push_str("  no component is swappable\n");
    } else if report.packages_signed_by.is_empty() {
        text.push_str("  nobody may sign: no package is let in\n");
    }
    report.packages_signed_by.iter().for_each(|key| text.push_str(&format!("  may sign: {key}\n")));
    text
}

fn memory(report: &Report) -> String {
    let mut rows = vec![row(&["bytes", "code's future", "given", "rings", "kept", "total"])];
    for component in &report.components {
        let memory = &component.memory;
        let cells =
            [memory.future_bytes, memory.given_bytes, memory.rings_bytes, memory.kept_bytes, memory.total_bytes];
        rows.push(std::iter::once(component.name.clone()).chain(cells.map(count)).collect());
    }
    let mut text = table(&rows, &[1, 2, 3, 4, 5]);
    let total = count(report.memory.total_bytes);
    text.push_str(&match (report.memory.base, report.memory.size_bytes) {
        (Some(base), Some(size)) => {
            format!("  given, rings and kept: {total} of the board's {} from {base:#x}\n", count(size))
        }
        _ => format!("  given, rings and kept: {total}; the image names no `[memory]`\n"),
    });
    text
}

fn device(device: &Device) -> String {
    let mut text = format!("  {}: ", device.name);
    if let Some(serial) = &device.serial {
        text.push_str(&format!(
            "{} at {}, FIFO of {} bytes, line at {}{}",
            if device.kind == "scif" { format!("SCIF ({})", serial.layout) } else { "16550A".to_owned() },
            Quantity::Frequency.write(serial.clock_hz),
            serial.fifo_bytes,
            Quantity::Speed.write(serial.speed_baud),
            if serial.flow_control { " with RTS/CTS" } else { " without flow control" }
        ));
    }
    match &device.end {
        Some(end) => text.push_str(&format!("the program's side of `{end}`")),
        None if device.room_bytes.is_some() => text.push_str("a program's end of a line"),
        None => {}
    }
    if let Some(room) = device.room_bytes {
        text.push_str(&format!(", {} each way", Quantity::Memory.write(room)));
    }
    text.push_str(&format!(", owned by {}\n", device.owner));
    if let Some(base) = device.base {
        text.push_str(&format!("    registers: {base:#x} to {:#x}\n", base + device.window_bytes - 1));
    }
    let interrupts = device.interrupts.iter().map(|interrupt| match interrupt.number {
        Some(number) => format!("{} {number:#x}", interrupt.name),
        None => interrupt.name.clone(),
    });
    let interrupts: Vec<String> = interrupts.collect();
    if !interrupts.is_empty() {
        text.push_str(&format!("    interrupts: {}\n", interrupts.join(", ")));
    }
    if device.serial.is_some() {
        let writes = device.safe_action.iter();
        let writes =
            writes.map(|write| format!("{:#x} := {:#x} ({} bits)", write.register, write.value, write.width_bits));
        let writes: Vec<_> = writes.collect();
        let writes = if writes.is_empty() { "none".to_owned() } else { writes.join(", ") };
        text.push_str(&format!("    safe action: {writes}\n"));
    }
    text
}

fn margins(report: &Report, paint: Paint) -> String {
    let mut rows = vec![row(&["shortest deadline", "deadline", "recovery", "slack", "who recovers"])];
    for deadline in &report.deadlines {
        let servers = deadline.servers.iter().map(|server| match server.recover_ns {
            Some(recover) => format!("{} {}", server.name, time(server.notice_ns + recover + server.pause_ns)),
            None => format!("{} (no promise)", server.name),
        });
        let operation = deadline.operation.rsplit('/').next().unwrap_or_default();
        rows.push(vec![
            format!("{} {operation}", deadline.from),
            time(deadline.deadline_ns),
            perhaps(deadline.recovery_ns),
            perhaps(deadline.slack_ns),
            servers.collect::<Vec<_>>().join(" + "),
        ]);
    }
    let mut text = table(&rows, &[1, 2, 3]);
    for receiver in &report.receivers {
        let (room, recovery) = (time(receiver.room_ns), time(receiver.recovery_ns));
        let verdict = if receiver.flow_control {
            "RTS/CTS stops the sender for as long as it takes; nothing is lost.".to_owned()
        } else if receiver.loss_possible {
            format!("{}, and announced.", paint.bad("loss is possible"))
        } else {
            "nothing is lost.".to_owned()
        };
        text.push_str(&format!(
            "  receiver of {}: room for {room}; noticing a hang and recovering takes {recovery}: {verdict}\n",
            receiver.device
        ));
    }
    text
}

fn not_enforced(report: &Report) -> String {
    report.not_enforced.iter().map(|what| format!("  {what}\n")).collect()
}
