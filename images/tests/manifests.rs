//! Manifests, right and wrong. Each wrong one breaks one rule, and its whole message is part of the test.

use koboshi_composer::compose;
use koboshi_composer::registry::{Package, nothing, packages as own_packages};
use koboshi_composer::{HOST_IMAGE, compose_changed};
use koboshi_core::ComponentId;
use koboshi_host::linked::Linked;
use koboshi_interfaces::{control, received, serial};
use koboshi_runtime::describe::{Description, PortDescription, Side};
use koboshi_runtime::life::Exit;

const fn port(name: &'static str, side: Side, interface: &'static koboshi_interface_kit::Interface) -> PortDescription {
    PortDescription { name, side, interface }
}

static PANEL: Description = Description {
    name: "panel",
    ports: &[
        port("serial", Side::Uses, &serial::INTERFACE),
        port("received", Side::Uses, &received::INTERFACE),
        port("control", Side::Uses, &control::INTERFACE),
    ],
    devices: &["line"],
    interrupts: &["data"],
    kept: None,
};

const PANEL_MANIFEST: &str = r#"package = "panel"
memory = "4 KiB"

[[port]]
uses = "serial"
interface = "koboshi-interfaces/serial"

[[port]]
uses = "received"
interface = "koboshi-interfaces/received"

[[port]]
uses = "control"
interface = "koboshi-interfaces/control"

[[device]]
name = "line"
kind = "application"
interrupts = ["data"]
"#;

static MODEM: Description = Description {
    name: "modem",
    ports: &[port("serial", Side::Offers, &serial::INTERFACE), port("received", Side::Offers, &received::INTERFACE)],
    devices: &["uart"],
    interrupts: &["rxi", "txi"],
    kept: None,
};

const MODEM_MANIFEST: &str = r#"package = "modem"

[[port]]
offers = "serial"
interface = "koboshi-interfaces/serial"
forwards = true

[[port]]
offers = "received"
interface = "koboshi-interfaces/received"

[[device]]
name = "uart"
kind = "scif"
interrupts = ["rxi", "txi"]
"#;

static KEEPER: Description = Description {
    name: "keeper",
    ports: &[port("control", Side::Offers, &control::INTERFACE)],
    devices: &[],
    interrupts: &[],
    kept: None,
};

const KEEPER_MANIFEST: &str = r#"package = "keeper"

[[port]]
offers = "control"
interface = "koboshi-interfaces/control"
"#;

fn linked(description: &'static Description) -> Linked {
    Linked::new(description, |_| async { Exit::Done })
}

fn packages() -> [Package; 3] {
    let package =
        |name, manifest_path, manifest, linked| Package { name, manifest_path, manifest, linked, configure: nothing };
    [
        package("panel", "panel/component.toml", PANEL_MANIFEST, || linked(&PANEL)),
        package("modem", "modem/component.toml", MODEM_MANIFEST, || linked(&MODEM)),
        package("keeper", "keeper/component.toml", KEEPER_MANIFEST, || linked(&KEEPER)),
    ]
}

const IMAGE: &str = r#"platform = "host"
manager = "keeper"

[costs]
turn = "1 us"

[[component]]
name = "keeper"
package = "keeper"
vcpu = 0
respond-within = "200 us"

[[component]]
name = "modem"
package = "modem"
vcpu = 1
respond-within = "200 us"

[[component]]
name = "panel"
package = "panel"
vcpu = 2
respond-within = "1 ms"

[[connect]]
from = "panel.serial"
to = "modem.serial"
slots = 8

[[connect]]
from = "modem.received"
to = "panel.received"
slots = 128

[[connect]]
from = "panel.control"
to = "keeper.control"
slots = 4

[[device]]
name = "scif1"
kind = "scif"
owner = "modem.uart"
layout = "sh7780"
fifo = 16
clock = "33.333 MHz"
line = { baud = "1040 kbaud", flow = "rts-cts" }

[[device]]
name = "terminal"
kind = "application"
owner = "panel.line"

[rights]
keeper = { control = ["modem", "panel"], facts = true, reboot = true }
panel = { blame = true }

[[group]]
name = "all"
members = ["modem", "panel"]
strategy = "one-for-one"
intensity = 5
period = "10 s"
backoff = { first = "10 ms", most = "1 s" }
escalate = "image"
"#;

/// The image with one change, which must be one.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(IMAGE.matches(from).count(), 1, "`{from}` is not in the image exactly once");
    IMAGE.replace(from, to)
}

fn problems(text: &str) -> String {
    compose("image.toml", text, &packages()).err().map_or_else(String::new, |problems| problems.to_string())
}

#[track_caller]
fn says(text: &str, expected: &str) {
    assert_eq!(problems(text), expected.trim_matches('\n'));
}

#[test]
fn a_right_image_is_composed() {
    let composed = compose("image.toml", IMAGE, &packages()).unwrap_or_else(|problems| panic!("{problems}"));
    let image = composed.image;
    assert_eq!(image.manager, Some(ComponentId(0)));
    assert_eq!((image.costs.turn, image.costs.start, image.costs.quantum), (1_000, 20_000, 1_000_000));
    assert_eq!(image.components.len(), 3);
    assert_eq!(image.components[2].respond_within, 1_000_000);
    assert_eq!(image.components[0].rights.control, 0b110);
    assert!(image.components[0].rights.facts && image.components[2].rights.blame);
    let connection = image.connections[0];
    assert_eq!((connection.near.component, connection.far.component), (ComponentId(2), ComponentId(1)));
    assert!(connection.routed && !image.connections[2].routed);
    assert_eq!(image.connections[1].slots, 128);
    assert_eq!((image.devices[0].owner, image.devices[0].first_line), (ComponentId(1), 0));
}

#[test]
fn the_host_image_is_composed_of_koboshis_own_packages() {
    let (name, text) = HOST_IMAGE;
    let composed = compose(name, text, &own_packages()).unwrap_or_else(|problems| panic!("{problems}"));
    let image = composed.image;
    let configuration = |at: usize| image.components[at].configuration.as_slice();
    let policy: koboshi_restart_manager::policy::Policy = postcard::from_bytes(configuration(0)).expect("a policy");
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(policy.groups.len(), 3);
    assert_eq!(policy.groups[0].escalate, koboshi_restart_manager::policy::Escalation::Group(1));
    let hosts: koboshi_sos::Hosts = postcard::from_bytes(configuration(1)).expect("who is hosted");
    assert_eq!(hosts.driver.0, 2);
    let board: koboshi_scif_driver::device::Board = postcard::from_bytes(configuration(2)).expect("a board");
    assert_eq!((board.fifo, board.clock_hz, board.line.baud), (16, 64_000_000, 115_200));
    let watches: koboshi_monitor::Watches = postcard::from_bytes(configuration(3)).expect("what is watched");
    assert_eq!((watches.sos.0, watches.line.baud), (1, 115_200));
    koboshi_host::machine::Machine::new(&image, koboshi_host::machine::Options::default()).expect("it can run");
}

#[test]
fn groups_are_put_in_the_order_that_the_restart_manager_wants() {
    let (name, text) = HOST_IMAGE;
    let turned = |image: &mut koboshi_composer::manifest::ImageManifest| image.groups.reverse();
    let composed =
        compose_changed(name, text, &own_packages(), &turned).unwrap_or_else(|problems| panic!("{problems}"));
    let policy: koboshi_restart_manager::policy::Policy =
        postcard::from_bytes(&composed.image.components[0].configuration).expect("a policy");
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(policy.groups[0].members.as_slice(), [2]);
}

#[test]
fn every_mistake_of_a_run_is_shown_in_the_order_of_lines() {
    let text = changed("vcpu = 1", "vcpu = 9")
        .replace("slots = 4", "slots = 5")
        .replace("owner = \"panel.line\"", "owner = \"panel.lime\"");
    let found = compose("image.toml", &text, &packages()).err().map(|problems| problems.0).unwrap_or_default();
    let found: Vec<_> = found.iter().map(|problem| (problem.rule.code(), problem.line())).collect();
    assert_eq!(found, [("koboshi::bounds", 16), ("koboshi::bounds", 38), ("koboshi::unknown-name", 52)]);
}

#[test]
fn a_report_points_at_the_place() {
    let text = changed("turn = \"1 us\"", "turn = \"1\"");
    let problems = compose("image.toml", &text, &packages()).err().expect("it is wrong");
    let shown = problems.render(false, 100);
    assert!(shown.contains("koboshi::quantity"), "{shown}");
    assert!(shown.contains("[image.toml:5:8]"), "{shown}");
    assert!(shown.contains("╰── it has no unit (ns, us, ms, s, min)"), "{shown}");
    assert!(shown.contains("Whose fault: the image manifest's."), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours were asked for");
}

#[test]
fn what_is_not_toml_is_refused() {
    let found = problems("platform = host\n");
    assert!(found.starts_with("koboshi::syntax: image.toml:1: this is not TOML"), "{found}");
}

/// Each: a name for the test, the change, and what is said.
macro_rules! wrong {
    ($($name:ident: $from:literal => $to:literal, $expected:literal;)+) => {
        $(
            #[test]
            fn $name() {
                says(&changed($from, $to), $expected);
            }
        )+
    };
}

wrong! {
    an_unknown_key_is_refused: "turn = \"1 us\"" => "trun = \"1 us\"", "
koboshi::unknown-key: image.toml:5: [costs] has no key `trun`
  fault: the image
  right: did you mean `turn`?
";

    a_missing_key_is_named: "vcpu = 2\n" => "", "
koboshi::missing-key: image.toml:19: a component has no `vcpu`
  fault: the image
  right: add a line such as `vcpu = 1`.
";

    a_value_of_the_wrong_kind_is_refused: "slots = 8" => "slots = \"8\"", "
koboshi::wrong-kind: image.toml:28: `slots` of a connection is a whole number, not a text
  fault: the image
  right: write `slots = 8`.
";

    a_time_without_its_unit_is_refused: "period = \"10 s\"" => "period = \"10\"", "
koboshi::quantity: image.toml:63: `period` of a group is a time, and \"10\" is none: it has no unit (ns, us, ms, s, min)
  fault: the image
  right: write it as in `period = \"200 us\"`.
";

    a_word_that_is_none_of_the_choices_is_refused: "one-for-one" => "one-for-al", "
koboshi::choice: image.toml:61: `strategy` of a group cannot be \"one-for-al\"
  fault: the image
  right: did you mean `one-for-all`?
";

    two_components_of_one_name_are_refused: "[[connect]]\nfrom = \"panel.serial\"" => "[[component]]\nname = \"panel\"\npackage = \"panel\"\nvcpu = 3\nrespond-within = \"1 ms\"\n\n[[connect]]\nfrom = \"panel.serial\"", "
koboshi::name-twice: image.toml:26: two components are called `panel`
  fault: the image
  right: give one of them another name.
";

    an_unknown_package_is_refused_and_the_nearest_name_offered: "package = \"modem\"" => "package = \"moden\"", "
koboshi::unknown-name: image.toml:15: there is no package `moden`
  fault: the image
  right: did you mean `modem`?
";

    an_unknown_component_is_refused: "to = \"modem.serial\"" => "to = \"moden.serial\"", "
koboshi::unknown-name: image.toml:27: there is no component `moden` in this image
  fault: the image
  right: did you mean `modem`?
";

    an_unknown_port_is_refused: "to = \"modem.serial\"" => "to = \"modem.seriel\"", "
koboshi::unknown-name: image.toml:27: `modem` has no port `seriel`
  fault: the image
  right: did you mean `serial`?
";

    a_port_that_leads_nowhere_is_refused: "[[connect]]\nfrom = \"panel.control\"\nto = \"keeper.control\"\nslots = 4\n" => "", "
koboshi::port-unconnected: image.toml:8: port `keeper.control` is not connected
  fault: the image
  right: add `[[connect]]` with from = \"panel.control\", to = \"keeper.control\" and slots = 8.
koboshi::port-unconnected: image.toml:20: port `panel.control` is not connected
  fault: the image
  right: add `[[connect]]` with from = \"panel.control\", to = \"keeper.control\" and slots = 8.
";

    a_port_joined_twice_is_refused: "[[device]]\nname = \"scif1\"" => "[[connect]]\nfrom = \"panel.control\"\nto = \"keeper.control\"\nslots = 4\n\n[[device]]\nname = \"scif1\"", "
koboshi::port-twice: image.toml:41: `panel.control` is joined twice
  fault: the image
  right: a port has one other end: take one of the two connections out.
koboshi::port-twice: image.toml:42: `keeper.control` is joined twice
  fault: the image
  right: a port has one other end: take one of the two connections out.
";

    ends_of_different_interfaces_are_not_joined: "from = \"panel.serial\"\nto = \"modem.serial\"" => "from = \"panel.serial\"\nto = \"modem.received\"", "
koboshi::interface: image.toml:27: `panel.serial` has interface `koboshi-interfaces/serial`, and `modem.received` has `koboshi-interfaces/received`
  fault: the image
  right: join ports of the same interface.
";

    a_far_end_that_does_not_offer_is_refused: "from = \"panel.serial\"\nto = \"modem.serial\"" => "from = \"modem.serial\"\nto = \"panel.serial\"", "
koboshi::direction: image.toml:27: `modem.serial` serves, and `panel.serial` asks
  fault: the image
  right: swap `from` and `to`: requests and items travel from `from` to `to`.
";

    slots_that_are_no_power_of_two_are_refused: "slots = 8" => "slots = 12", "
koboshi::bounds: image.toml:28: a service cannot have 12 slots
  fault: the image
  right: it is a power of two, at most 64: write `slots = 16`.
";

    more_slots_than_a_service_can_have_are_refused: "slots = 8" => "slots = 128", "
koboshi::bounds: image.toml:28: a service cannot have 128 slots
  fault: the image
  right: it is a power of two, at most 64: write `slots = 64`.
";

    a_device_with_two_owners_is_refused: "name = \"terminal\"\nkind = \"application\"\nowner = \"panel.line\"" => "name = \"scif1\"\nkind = \"application\"\nowner = \"panel.line\"", "
koboshi::device-twice: image.toml:52: device `scif1` has two owners: `modem.uart` and `panel.line`
  fault: the image
  right: a device is given to one component: take one of the two `[[device]]` out, or rename it.
";

    a_device_of_the_wrong_kind_is_refused: "owner = \"panel.line\"" => "owner = \"modem.uart\"", "
koboshi::device: image.toml:52: `modem.uart` drives a device of kind \"scif\", and this is of kind \"application\"
  fault: the image
  right: write `kind = \"scif\"`, or give it to another component.
";

    a_component_without_its_device_is_refused: "[[device]]\nname = \"terminal\"\nkind = \"application\"\nowner = \"panel.line\"\n" => "", "
koboshi::device: image.toml:20: `panel` is not given its device `line`
  fault: the image
  right: add `[[device]]` with kind = \"application\" and owner = \"panel.line\".
";

    a_vcpu_that_does_not_exist_is_refused: "vcpu = 1" => "vcpu = 8", "
koboshi::bounds: image.toml:16: `vcpu` of a component is 8
  fault: the image
  right: it is a number from 0 to 7.
";

    a_restart_manager_below_others_is_refused: "vcpu = 0" => "vcpu = 3", "
koboshi::manager-vcpu: image.toml:10: restart manager `keeper` is on VCPU 3, and `modem` is on VCPU 1
  fault: the image
  right: it has the highest VCPU to itself, so that nobody can keep it from its work: give it `vcpu = 0`, and the others higher numbers.
";

    a_component_that_nobody_restarts_is_refused: "members = [\"modem\", \"panel\"]" => "members = [\"modem\"]", "
koboshi::nobody-restarts: image.toml:20: nobody restarts `panel`
  fault: the image
  right: add \"panel\" to the members of a `[[group]]`.
";

    a_restart_manager_without_the_right_is_refused: "control = [\"modem\", \"panel\"]" => "control = [\"panel\"]", "
koboshi::rights: image.toml:55: restart manager `keeper` may not restart `modem`, which is in a group
  fault: the image
  right: add \"modem\" to its `control` in `[rights]`.
";

    a_speed_that_the_clock_cannot_make_is_refused: "1040 kbaud" => "700 kbaud", "
koboshi::line-speed: image.toml:47: a clock of 33.333 MHz cannot make 700 kbaud
  fault: the image
  right: the nearest speed that it can make is `baud = \"520828 baud\"`.
";

    a_component_in_two_groups_is_refused: "[[group]]\n" => "[[group]]\nname = \"first\"\nmembers = [\"modem\"]\nstrategy = \"one-for-one\"\nintensity = 5\nperiod = \"10 s\"\nbackoff = { first = \"1 ms\", most = \"1 s\" }\nescalate = \"give-up\"\n\n[[group]]\n", "
koboshi::group-twice: image.toml:69: `modem` is in two groups, and neither escalates to the other
  fault: the image
  right: a component is restarted by one policy: take it out of one place.
";

    a_group_that_escalates_to_itself_is_refused: "escalate = \"image\"" => "escalate = \"all\"", "
koboshi::escalation: image.toml:65: group `all` escalates to itself
  fault: the image
  right: end the chain with `escalate = \"image\"` or `escalate = \"give-up\"`.
";
}

/// What is said when package `name` has this manifest instead of its own.
fn with_manifest(name: &str, manifest: &'static str) -> String {
    let mut packages = packages();
    for package in packages.iter_mut().filter(|package| package.name == name) {
        package.manifest = manifest;
    }
    compose("image.toml", IMAGE, &packages).err().map_or_else(String::new, |problems| problems.to_string())
}

#[test]
fn a_manifest_that_disagrees_with_the_code_is_the_components_fault() {
    let manifest = "package = \"keeper\"\nkeeps-state = true\n\n[[port]]\nuses = \"control\"\ninterface = \"koboshi-interfaces/control\"\n";
    let expected = "koboshi::description: keeper/component.toml:2: `keeps-state` is true here, and false in the code
  fault: package keeper
  right: write `keeps-state = false`.
koboshi::description: keeper/component.toml:5: port 0 is uses = \"control\", interface = \"koboshi-interfaces/control\" here, and offers = \"control\", interface = \"koboshi-interfaces/control\" in the code
  fault: package keeper
  right: write offers = \"control\", interface = \"koboshi-interfaces/control\".";
    assert_eq!(with_manifest("keeper", manifest), expected);
}

#[test]
fn a_component_that_does_not_fit_into_its_memory_is_refused() {
    static BIG: Description = Description { name: "keeper", ..KEEPER };
    let mut packages = packages();
    packages[2].linked = || {
        Linked::new(&BIG, |_| async {
            let room = [1_u8; 3_000];
            std::future::pending::<()>().await;
            if room[2_999] == 1 { Exit::Done } else { Exit::Unfit("") }
        })
    };
    packages[2].manifest = "package = \"keeper\"\nmemory = \"1 KiB\"\n\n[[port]]\noffers = \"control\"\ninterface = \"koboshi-interfaces/control\"\n";
    let found = compose("image.toml", IMAGE, &packages).err().map_or_else(String::new, |problems| problems.to_string());
    assert!(found.starts_with("koboshi::memory: keeper/component.toml:2: `keeper` keeps 3"), "{found}");
    assert!(
        found.ends_with("and has 1024\n  fault: package keeper\n  right: write at least `memory = \"3 KiB\"`."),
        "{found}"
    );
}
