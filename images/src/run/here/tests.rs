//! Packages at the gate of an image that runs: each wrong one is refused in its own words, and whoever runs does not notice.

use koboshi_core::ComponentId;
use koboshi_core::incident::Verdict;
use koboshi_core::life::State;
use koboshi_host::machine::{Machine, Options};
use koboshi_interface_kit::{Interface, Key};
use koboshi_interfaces::serial::{self, Line};
use koboshi_package::{Digest, Header, Kept, Migration, Port, SecretKey, Side, Version, spell, spell_state, write};

use super::Here;
use crate::compose::{Composed, compose};
use crate::registry::packages;
use crate::run::system::{Loading, System};

/// A page of memory, and more than enough for the code of [`waits`].
const ROOM: u32 = (64 << 10) + 2_048;

const MS: u64 = 1_000_000;
const DRIVER: ComponentId = ComponentId(2);
const PROGRAM: &str = "program";
const SCIF: &str = "scif1";

fn key() -> SecretKey {
    SecretKey::of_seed(&[7; 32])
}

/// The host's image, in which packages of this key may take the driver's place.
fn composed() -> Composed {
    let image = include_str!("../../../host.toml");
    let image =
        image.replacen("platform = ", &format!("packages-signed-by = [\"{}\"]\nplatform = ", key().public()), 1);
    let swappable = "swappable = { room = \"128 KiB\", lowest-version = \"0.2.0\", answers = 3, probation = \"10 s\" }";
    let line = |line: &str| if line.starts_with("swappable = ") { swappable.to_owned() } else { line.to_owned() };
    let image = image.lines().map(line).collect::<Vec<_>>().join("\n");
    compose("test.toml", &image, &packages()).unwrap_or_else(|_| panic!("it can be composed"))
}

/// A module that waits, and does nothing else.
fn waits() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (import "env" "koboshi_trap_wait" (func $wait (param i32 i32 i32)))
            (memory (export "memory") 1)
            (func (export "koboshi_component") (param i32)
                (loop $l (call $wait (i32.const 0) (i32.const -1) (i32.const -1)) (br $l))))"#,
    )
    .expect("it is WebAssembly")
}

fn spelt(interface: &Interface) -> &'static str {
    let mut text = String::new();
    spell(interface, &mut text).expect("it can be written");
    text.leak()
}

fn port(name: &'static str, interface: &Interface) -> Port<'static> {
    Port { name, side: Side::Offers, interface: interface.path, key: interface.key, schema: spelt(interface) }
}

fn line() -> Kept<'static> {
    let mut schema = String::new();
    spell_state(<Line as koboshi_interface_kit::Schema>::SCHEMA, &mut schema).expect("it can be written");
    Kept { key: Key::of_state::<Line>(), schema: schema.leak() }
}

/// What a driver's package says that fits.
fn header() -> Header<'static> {
    let ports = [port("serial", &serial::INTERFACE), port("received", &koboshi_interfaces::received::INTERFACE)];
    Header {
        name: "scif-driver",
        version: "0.2.0".parse::<Version>().expect("three numbers"),
        platform: "host",
        ports: heapless::Vec::from_slice(&ports).expect("two"),
        kept: Some(line()),
        migrations: heapless::Vec::new(),
        room: ROOM,
        digest: Digest([0; 32]),
    }
}

fn package(header: &Header<'_>) -> Vec<u8> {
    write(header, &waits(), &key()).expect("it can be written")
}

/// An image that runs, and whose line is used all the time.
struct Used {
    here: Here,
    sent: usize,
    arrived: Vec<u8>,
}

fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

impl Used {
    fn new() -> Self {
        let composed = composed();
        let machine = Machine::new(&composed.image, Options::default()).expect("it can run");
        let mut used = Used { here: Here::new(machine, &composed), sent: 0, arrived: vec![] };
        used.goes_on(10 * MS);
        used
    }

    fn goes_on(&mut self, time: u64) {
        let end = self.here.now() + time;
        while self.here.now() < end {
            let offered: Vec<u8> = (self.sent..self.sent + 64).map(byte).collect();
            self.sent += self.here.program(PROGRAM, &offered, true).taken;
            let next = (self.here.now() + MS).min(end);
            self.here.run_until(next).expect("it goes on");
            self.arrived.extend(self.here.outside(SCIF, &[], false).arrived);
        }
    }

    /// Whether what has arrived is what was sent.
    fn is_exact(&self) -> bool {
        self.arrived.iter().enumerate().all(|(at, found)| *found == byte(at))
    }

    fn epoch(&self) -> u32 {
        self.here.processes()[DRIVER.index()].epoch
    }

    /// What is said to this package, which must not be let in.
    #[track_caller]
    fn refuses(&mut self, package: &[u8]) -> (String, String) {
        self.here.load(DRIVER, package.to_vec(), false).expect_err("it must be refused")
    }
}

#[test]
fn each_wrong_package_is_refused_in_its_own_words_and_whoever_runs_does_not_notice() {
    let mut used = Used::new();
    let right = package(&header());
    let signed_by_other = write(&header(), &waits(), &SecretKey::of_seed(&[8; 32])).expect("it can be written");
    let mut unsigned = right.clone();
    let end = unsigned.len();
    unsigned[end - 64..].fill(0);
    let mut wrongly = right.clone();
    wrongly[end - 1] ^= 1;
    let schema = spelt(&serial::INTERFACE).replacen("baud: u32", "baud: u64", 1);
    let mut with_port = header();
    with_port.ports[0].schema = &schema;
    let mut with_key = header();
    with_key.ports[0].key = Key(1);
    let other_line = line().schema.replacen("u32", "u16", 1);
    let keeps = |key, schema| Header { kept: Some(Kept { key, schema }), ..header() };
    let from_elsewhere = Migration { from: Key(3), down: true };
    let migrates = heapless::Vec::from_slice(&[from_elsewhere]).expect("one");
    let cases: [(&str, Vec<u8>, &str); 15] = [
        ("unsigned", unsigned, "nobody has signed it"),
        ("signed by another", signed_by_other, "that key is not among"),
        ("wrongly signed", wrongly, "its signature is wrong"),
        ("truncated", right[..end - 10].to_vec(), "it is cut off"),
        ("longer", [&right[..], b"!"].concat(), "something was added"),
        ("no package", b"hello".to_vec(), "this is no package"),
        ("for a board", package(&Header { platform: "r2d", ..header() }), "r2d"),
        ("of another component", package(&Header { name: "echo", ..header() }), "echo"),
        ("older", package(&Header { version: "0.1.9".parse().expect("three"), ..header() }), "0.1.9"),
        ("another schema", package(&with_port), "baud"),
        ("another key", package(&with_key), "serial"),
        ("another state", package(&keeps(Key(2), other_line.as_str())), "baud"),
        ("a migration from elsewhere", package(&Header { migrations: migrates, ..keeps(Key(2), &other_line) }), "baud"),
        ("larger than it says", package(&Header { room: 2_048, ..header() }), "says that it needs 2048 bytes"),
        ("larger than its room", package(&Header { room: (128 << 10) + 1, ..header() }), "131073"),
    ];
    let mut said = std::collections::BTreeSet::new();
    for (what, package, says) in cases {
        let (why, remedy) = used.refuses(&package);
        assert!(why.contains(says) && remedy.contains("Whose fault: "), "{what}: {why}\n{remedy}");
        assert!(what == "a migration from elsewhere" || said.insert(why), "{what}: it has the words of another one");
        used.goes_on(5 * MS);
    }
    let cut = used.here.incident_count();
    assert_eq!((used.epoch(), cut, used.here.loading()), (1, 0, None));
    assert!(used.is_exact() && used.arrived.len() > 500, "{}", used.arrived.len());
}

#[test]
fn whatever_byte_of_a_package_is_changed_it_is_refused_and_whoever_runs_does_not_notice() {
    let mut used = Used::new();
    let right = package(&header());
    for at in 0..right.len() {
        let mut changed = right.clone();
        changed[at] ^= 1 << (at % 8);
        used.refuses(&changed);
        if at % 100 == 0 {
            used.goes_on(MS);
        }
    }
    assert_eq!((used.epoch(), used.here.incident_count()), (1, 0));
    assert!(used.is_exact() && used.arrived.len() > 300, "{}", used.arrived.len());
    // Unchanged it is let in: so what was refused was the change.
    assert_eq!(used.here.load(DRIVER, right, false), Ok(()));
    assert_eq!(used.here.loading(), Some(Loading::Commanded { what: "scif-driver 0.2.0".to_owned() }));
}

#[test]
fn one_that_is_let_in_and_does_nothing_goes_back_and_every_byte_arrives() {
    let mut used = Used::new();
    used.here.load(DRIVER, package(&header()), false).expect("it is let in");
    used.goes_on(8_000 * MS);
    assert_eq!((used.epoch(), used.here.state(DRIVER)), (3, State::Running));
    let swap = used.here.incident_from(0).expect("the swap");
    let undone = used.here.incident_from(1).expect("its end");
    assert_eq!(swap.swap.map(|swap| swap.verdict), Some(Verdict::Undone(1)));
    assert_eq!(undone.fault.to_string(), "late");
    assert!(used.is_exact() && used.arrived.len() > 10_000, "{}", used.arrived.len());
}

#[test]
fn without_a_way_back_it_says_so_first() {
    let mut used = Used::new();
    let mut one_way = header();
    one_way.kept = Some(Kept { key: Key(9), schema: "a: u8\n" });
    one_way.migrations.push(Migration { from: line().key, down: false }).expect("there is room");
    let package = package(&one_way);
    let (why, remedy) = used.refuses(&package);
    assert!(why.contains("there is no way back") && remedy.contains("--one-way"), "{why}\n{remedy}");
    assert_eq!(used.epoch(), 1);
    assert_eq!(used.here.load(DRIVER, package, true), Ok(()));
}
