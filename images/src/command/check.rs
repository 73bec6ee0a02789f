//! `koboshi check`: composes an image, and shows what it is.

use std::path::PathBuf;

use super::{FINE, Paint, composed, table};
use crate::Composed;
use crate::manifest::{DeviceSettings, StrategyKind};
use crate::units::Quantity;

/// Arguments of `koboshi check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's manifest, such as images/host.toml [default: the one that is built in]
    image: Option<PathBuf>,
}

/// Composes, and shows a summary or all that is wrong.
pub(super) fn run(arguments: &Arguments) -> i32 {
    match composed(arguments.image.as_ref(), &|_| {}) {
        Ok(image) => {
            let name =
                arguments.image.as_ref().map_or(crate::HOST_IMAGE.0.to_owned(), |path| path.display().to_string());
            println!("{}", summary(&name, &image, Paint::stdout()));
            FINE
        }
        Err(code) => code,
    }
}

/// Turns of other components between a fault and the new incarnation's first wait: the manager's, and its own.
const TURNS_OF_A_RECOVERY: u64 = 10;

fn summary(name: &str, composed: &Composed, paint: Paint) -> String {
    let (image, manifest) = (&composed.image, &composed.manifest);
    let named = |id: koboshi_core::ComponentId| image.components.get(id.index()).map_or("?", |one| one.name.as_str());
    let mut text = format!("{} {name} fits together.\n", paint.good("fine:"));

    text.push_str(&format!("\n{}\n", paint.strong("Components")));
    let mut rows = vec![["name", "package", "VCPU", "respond within", "keeps"].map(str::to_owned).to_vec()];
    for (component, instance) in image.components.iter().zip(&manifest.components) {
        rows.push(vec![
            component.name.clone(),
            instance.package.value.clone(),
            component.vcpu.to_string(),
            Quantity::Time.write(component.respond_within),
            format!("{} B", component.linked.size()),
        ]);
    }
    text.push_str(&table(&rows));

    text.push_str(&format!("\n{}\n", paint.strong("Ports")));
    let port = |end: koboshi_host::image::PortEnd| {
        let ports = image.components.get(end.component.index()).map(|one| one.linked.description().ports);
        let name = ports.and_then(|ports| ports.get(usize::from(end.port))).map_or("?", |port| port.name);
        format!("{}.{name}", named(end.component))
    };
    let rows: Vec<Vec<String>> = image
        .connections
        .iter()
        .map(|connection| {
            let way = format!("{} -> {}", port(connection.near), port(connection.far));
            let routed = if connection.routed { ", forwarded" } else { "" };
            vec![way, connection.interface.path.to_owned(), format!("{} slots{routed}", connection.slots)]
        })
        .collect();
    text.push_str(&table(&rows));

    text.push_str(&format!("\n{}\n", paint.strong("Who restarts whom")));
    if let Some(manager) = image.manager {
        text.push_str(&format!("  the kernel restarts {}, which restarts:\n", named(manager)));
    }
    for group in &manifest.groups {
        let strategy = match group.strategy {
            StrategyKind::OneForOne => "each alone",
            StrategyKind::OneForAll => "all together",
            StrategyKind::RestForOne => "with those after it",
        };
        let members: Vec<&str> = group.members.value.iter().map(|member| member.value.as_str()).collect();
        text.push_str(&format!(
            "  {}: {}, {strategy}; more than {} fruitless deaths in {}: {}\n",
            group.name.value,
            members.join(", "),
            group.intensity,
            Quantity::Time.write(group.period.value),
            match group.escalate.value.as_str() {
                "image" => "the image reboots".to_owned(),
                "give-up" => "given up".to_owned(),
                other => format!("{other}, too"),
            },
        ));
    }

    text.push_str(&format!("\n{}\n", paint.strong("Devices")));
    for (device, settings) in image.devices.iter().zip(&manifest.devices) {
        let owner = named(device.owner);
        match &settings.settings {
            DeviceSettings::Application { room } => {
                let room = Quantity::Memory.write(*room);
                text.push_str(&format!(
                    "  {}: a program's end of a line, {room} each way, owned by {owner}\n",
                    device.name
                ));
            }
            DeviceSettings::Scif { fifo, clock, baud, flow, .. } => {
                let clock = Quantity::Frequency.write(clock.value);
                let speed = Quantity::Speed.write(baud.value);
                text.push_str(&format!(
                    "  {}: SCIF at {clock}, FIFO of {} bytes, line at {speed}, owned by {owner}\n",
                    device.name, fifo.value
                ));
                let respond = image.components.get(device.owner.index()).map_or(0, |one| one.respond_within);
                let recovery = respond + image.costs.start + TURNS_OF_A_RECOVERY * image.costs.turn;
                text.push_str(&format!("    {}\n", margin(fifo.value, baud.value, *flow, recovery, paint)));
            }
        }
    }

    text.push_str(
        "\nNot enforced on this platform: components share one process. Only a fault that Rust catches is contained.",
    );
    text
}

/// What a line without flow control can bear.
fn margin(fifo: u64, baud: u64, flow: bool, recovery: u64, paint: Paint) -> String {
    if flow {
        return "RTS/CTS: the hardware stops the sender while its driver is away; nothing is lost.".to_owned();
    }
    // The driver's trigger is a quarter of the FIFO; the rest is room while it is away. Ten bits make a byte.
    let margin = (fifo - fifo / 4) * 10 * 1_000_000_000 / baud.max(1);
    let (have, need) = (Quantity::Time.write(margin), Quantity::Time.write(recovery));
    if margin > recovery {
        format!("no flow control: room for {have}; noticing a hang and recovering takes {need}. Nothing is lost.")
    } else {
        let warning = paint.bad("loss is possible");
        format!(
            "no flow control: room for {have}; noticing a hang and recovering takes {need}: {warning}, and announced."
        )
    }
}
