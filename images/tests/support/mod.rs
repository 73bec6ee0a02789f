//! Packages for the manifests of these tests: small ones beside Koboshi's own.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod cells;

use koboshi_composer::registry::{Package, nothing, packages as own_packages};
use koboshi_host::linked::Linked;
use koboshi_interface_kit::Interface;
use koboshi_interfaces::{control, received, serial};
use koboshi_runtime::describe::{Description, PortDescription, Side};
use koboshi_runtime::life::Exit;

/// `line` and `ticks` as one side was built.
mod here {
    pub mod line {
        koboshi_interface_kit::interface! {
            /// A line.
            service line;

            | operation | contract   | request | reply | deadline | meaning  |
            | --------- | ---------- | ------- | ----- | -------- | -------- |
            | set       | Idempotent | u32     | ()    | 10 ms    | "Sets."  |
            | send      | AtMostOnce | u8      | ()    | 10 ms    | "Sends." |
        }
    }

    pub mod ticks {
        koboshi_interface_kit::interface! {
            /// Ticks.
            stream ticks: u32, "One tick.";
        }
    }
}

/// And as the other side was.
mod there {
    pub mod line {
        koboshi_interface_kit::interface! {
            /// A line.
            service line;

            | operation | contract   | request | reply | deadline | meaning  |
            | --------- | ---------- | ------- | ----- | -------- | -------- |
            | set       | Idempotent | u16     | ()    | 10 ms    | "Sets."  |
            | send      | Idempotent | u8      | ()    | 10 ms    | "Sends." |
        }
    }

    pub mod ticks {
        koboshi_interface_kit::interface! {
            /// Ticks.
            stream ticks: u64, "One tick.";
        }
    }
}

const fn port(name: &'static str, side: Side, interface: &'static Interface) -> PortDescription {
    PortDescription { name, side, interface }
}

const fn package_of(name: &'static str, ports: &'static [PortDescription]) -> Description {
    Description { name, ports, devices: &[], interrupts: &[], kept: None }
}

static PANEL: Description = Description {
    devices: &["line"],
    interrupts: &["data"],
    ..package_of(
        "panel",
        &[
            port("serial", Side::Uses, &serial::INTERFACE),
            port("received", Side::Uses, &received::INTERFACE),
            port("control", Side::Uses, &control::INTERFACE),
        ],
    )
};

static MODEM: Description = Description {
    devices: &["uart"],
    interrupts: &["rxi", "txi"],
    ..package_of(
        "modem",
        &[port("serial", Side::Offers, &serial::INTERFACE), port("received", Side::Offers, &received::INTERFACE)],
    )
};

pub static KEEPER: Description = package_of("keeper", &[port("control", Side::Offers, &control::INTERFACE)]);

static RELAY: Description = package_of(
    "relay",
    &[port("serial", Side::Offers, &serial::INTERFACE), port("driver", Side::Uses, &serial::INTERFACE)],
);

pub static ECHO: Description = package_of(
    "echo",
    &[port("serial", Side::Offers, &serial::INTERFACE), port("received", Side::Offers, &received::INTERFACE)],
);

static TALKER: Description = package_of(
    "talker",
    &[port("line", Side::Uses, &here::line::INTERFACE), port("ticks", Side::Offers, &here::ticks::INTERFACE)],
);

static LISTENER: Description = package_of(
    "listener",
    &[port("line", Side::Offers, &there::line::INTERFACE), port("ticks", Side::Uses, &there::ticks::INTERFACE)],
);

fn linked(description: &'static Description) -> Linked {
    Linked::new(description, |_| async { Exit::Done })
}

/// These packages, and then Koboshi's own.
#[must_use]
pub fn packages() -> Vec<Package> {
    macro_rules! package {
        ($name:literal, $description:ident) => {
            Package {
                name: $name,
                manifest_path: concat!($name, "/component.toml"),
                manifest: include_str!(concat!("packages/", $name, ".toml")),
                linked: || linked(&$description),
                program: None,
                configure: nothing,
            }
        };
    }
    let small = [
        package!("panel", PANEL),
        package!("modem", MODEM),
        package!("keeper", KEEPER),
        package!("relay", RELAY),
        package!("echo", ECHO),
        package!("talker", TALKER),
        package!("listener", LISTENER),
    ];
    small.into_iter().chain(own_packages()).collect()
}

/// A package's own manifest.
#[must_use]
pub fn manifest_of(name: &str) -> &'static str {
    packages().iter().find(|package| package.name == name).map_or("", |package| package.manifest)
}
