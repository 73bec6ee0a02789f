//! Every reason to refuse, each by its own message; and for each the gate with that hole, which lets it through.

extern crate std;

use alloc::string::String;
use alloc::vec::Vec;
use std::format;

use koboshi_interface_kit::{Interface, Key, Schema};
use koboshi_interfaces::{log, received, serial};

use super::{Check, Expected, difference, judge, judge_all, judge_without};
use crate::{
    Carried, Digest, FORMAT, Header, Kept, MAGIC, Migration, Package, Port, PublicKey, Refused, SIGNATURE, START,
    SecretKey, Side, Version, digest, seal, spell, spell_state, write,
};

const CODE: &[u8] = b"\0asm and what follows";

fn key() -> SecretKey {
    SecretKey::of_seed(&[7; 32])
}

fn spelt(interface: &Interface) -> &'static str {
    let mut text = String::new();
    spell(interface, &mut text).expect("it can be written");
    text.leak()
}

fn port(name: &'static str, side: Side, interface: &Interface) -> Port<'static> {
    Port { name, side, interface: interface.path, key: interface.key, schema: spelt(interface) }
}

fn kept<T: Schema>() -> Kept<'static> {
    let mut schema = String::new();
    spell_state(T::SCHEMA, &mut schema).expect("it can be written");
    Kept { key: Key::of_state::<T>(), schema: schema.leak() }
}

fn header() -> Header<'static> {
    let ports =
        [port("serial", Side::Offers, &serial::INTERFACE), port("received", Side::Offers, &received::INTERFACE)];
    Header {
        name: "scif-driver",
        version: Version { major: 0, minor: 2, patch: 1 },
        platform: "host",
        ports: ports.into_iter().collect(),
        kept: Some(kept::<serial::Line>()),
        migrations: heapless::Vec::new(),
        room: 24 << 10,
        digest: Digest([0; 32]),
    }
}

/// An image that expects just that. It stays as long as the tests.
fn expected() -> Expected<'static> {
    let header = header();
    Expected {
        signers: Vec::from([PublicKey([9; 32]), key().public()]).leak(),
        platform: header.platform,
        names: &["scif-driver", "scif-polled-driver"],
        ports: header.ports.iter().copied().collect::<Vec<_>>().leak(),
        kept: header.kept,
        lowest: header.version,
        room: header.room,
    }
}

fn package(change: impl FnOnce(&mut Header<'static>)) -> &'static [u8] {
    let mut header = header();
    change(&mut header);
    write(&header, CODE, &key()).expect("it can be written").leak()
}

fn push<T, const N: usize>(list: &mut heapless::Vec<T, N>, item: T) {
    assert!(list.push(item).is_ok(), "it has room");
}

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> &'static [u8] {
    let mut bytes = package(|_| {}).to_vec();
    change(&mut bytes);
    bytes.leak()
}

/// A schema with one of its lines changed.
fn with_line(schema: &str, from: &str, to: &str) -> &'static str {
    assert_eq!(schema.matches(from).count(), 1, "`{from}` is not there once:\n{schema}");
    schema.replace(from, to).leak()
}

/// A package whose header says another fingerprint than its code has, signed like that.
fn with_wrong_digest() -> &'static [u8] {
    let header = Header { digest: digest(b"another code"), ..header() };
    let header = postcard::to_allocvec(&header).expect("it can be written");
    seal(&header, CODE, &key()).expect("it is small").leak()
}

/// Every wrong package: a name, its bytes, and the hole in the gate that lets it through, if there can be one.
fn wrong() -> Vec<(&'static str, &'static [u8], Option<Check>)> {
    let right = package(|_| {});
    let other = SecretKey::of_seed(&[8; 32]);
    let by_other = write(&header(), CODE, &other).expect("it can be written").leak();
    let long = b"too long by far".repeat(2000);
    let large = write(&Header { room: 1, ..header() }, &long, &key()).expect("it can be written").leak();
    let serial = spelt(&serial::INTERFACE);
    let baud = with_line(serial, "configure.request.baud: u32", "configure.request.baud: u64");
    let message = with_line(serial, "largest message: ", "largest message: 1");
    let line = header().kept.expect("it keeps some").schema;
    let state = with_line(line, "state.baud: u32", "state.baud: u64");
    let ports = Some(Check::Ports);
    let state_of = |change: fn(&mut Kept<'static>)| package(|header| change(header.kept.as_mut().expect("some")));
    Vec::from([
        ("another file", b"[package]\nname = \"no package at all\"".as_slice(), None),
        ("an empty file", &[], None),
        ("another format", changed(|bytes| bytes[8] = 2), None),
        ("cut in its beginning", &right[..START - 1], None),
        ("cut in its signature", &right[..right.len() - 1], None),
        ("longer than it says", changed(|bytes| bytes.push(0)), None),
        ("without its signature", changed(|bytes| bytes.truncate(bytes.len() - SIGNATURE)), None),
        (
            "with zeros for a signature",
            changed(|bytes| {
                let at = bytes.len() - SIGNATURE;
                bytes[at..].fill(0)
            }),
            None,
        ),
        ("signed by another key", by_other, Some(Check::Signer)),
        (
            "changed in its code",
            changed(|bytes| {
                let at = bytes.len() - SIGNATURE - 1;
                bytes[at] ^= 1
            }),
            None,
        ),
        (
            "with another's signature",
            changed(|bytes| {
                let at = by_other.len() - SIGNATURE;
                bytes[at..].copy_from_slice(&by_other[at..])
            }),
            Some(Check::Signature),
        ),
        ("without a header", seal(b"", CODE, &key()).expect("small").leak(), None),
        (
            "with more than a header",
            seal(&[postcard::to_allocvec(&header()).expect("it can"), Vec::from([0])].concat(), CODE, &key())
                .expect("small")
                .leak(),
            None,
        ),
        (
            "with an escape in its name",
            seal(&postcard::to_allocvec(&Header { name: "\u{1b}[2J", ..header() }).expect("it can"), CODE, &key())
                .expect("small")
                .leak(),
            None,
        ),
        ("with another fingerprint", with_wrong_digest(), Some(Check::Digest)),
        ("for another platform", package(|header| header.platform = "r2d"), Some(Check::Platform)),
        ("of another component", package(|header| header.name = "ns16550-driver"), Some(Check::Name)),
        ("older than allowed", package(|header| header.version.patch = 0), Some(Check::Version)),
        (
            "with a port more",
            package(|header| push(&mut header.ports, port("log", Side::Offers, &log::INTERFACE))),
            ports,
        ),
        ("with a port less", package(|header| header.ports.truncate(1)), ports),
        ("with its ports in another order", package(|header| header.ports.reverse()), ports),
        ("with the other end of a port", package(|header| header.ports[1].side = Side::Uses), ports),
        (
            "with another interface",
            package(|header| header.ports[0] = port("serial", Side::Offers, &log::INTERFACE)),
            ports,
        ),
        ("with another schema of a service", package(|header| header.ports[0].schema = baud), ports),
        ("with a larger message", package(|header| header.ports[0].schema = message), ports),
        (
            "with another schema of a stream",
            package(|header| {
                header.ports[1].schema = with_line(header.ports[1].schema, "kind: stream", "kind: service")
            }),
            ports,
        ),
        ("with another key of a service", package(|header| header.ports[0].key.0 ^= 1), ports),
        ("with another key of a stream", package(|header| header.ports[1].key.0 ^= 1 << 63), ports),
        ("without kept state", package(|header| header.kept = None), Some(Check::Kept)),
        (
            "with another schema of kept state",
            package(move |header| header.kept = Some(Kept { schema: state, key: Key(5) })),
            Some(Check::Kept),
        ),
        ("with another key of kept state", state_of(|kept| kept.key.0 ^= 1), Some(Check::Kept)),
        (
            "with a migration from yet another state",
            package(|header| {
                header.kept = Some(Kept { key: Key(5), ..header.kept.expect("some") });
                push(&mut header.migrations, Migration { from: Key(6), down: true });
            }),
            Some(Check::Kept),
        ),
        ("larger than its room", package(|header| header.room += 1), Some(Check::Room)),
        ("with more code than it says to need", large, Some(Check::Room)),
    ])
}

#[test]
fn a_package_that_is_as_expected_is_let_in() {
    let header = judge(package(|_| {}), &expected()).expect("it is right");
    assert_eq!(Header { digest: digest(CODE), ..self::header() }, header);
    assert_eq!(Package::open(package(|_| {})).expect("it is one").code, CODE);
    judge(package(|header| header.version = Version { major: 1, minor: 0, patch: 0 }), &expected()).expect("newer");
    judge(package(|header| header.room -= 1), &expected()).expect("smaller");
    judge(package(|header| header.name = "scif-polled-driver"), &expected()).expect("the other one that may come");
}

#[test]
fn every_reason_to_refuse_has_a_message_of_its_own() {
    let mut said = String::new();
    for (name, bytes, _) in wrong() {
        let reason = judge(bytes, &expected()).err();
        let reason = reason.unwrap_or_else(|| panic!("{name}: it was let in"));
        said += &format!(
            "{name}\n  {}: {reason}\n  fault: {}\n  right: {}\n",
            reason.code(),
            reason.whose().text(),
            reason.remedy()
        );
    }
    let more = Expected { kept: None, ..expected() };
    let reason = judge(package(|_| {}), &more).expect_err("nothing was kept");
    said += &format!(
        "with kept state, where none was\n  {}: {reason}\n  fault: {}\n  right: {}\n",
        reason.code(),
        reason.whose().text(),
        reason.remedy()
    );
    for signers in [&[][..], &expected().signers[..1]] {
        let reason = judge(package(|_| {}), &Expected { signers, ..expected() }).expect_err("nobody may sign it");
        said += &format!("where {} keys may sign\n  {}: {reason}\n", signers.len(), reason.code());
    }
    for names in [&[][..], &["echo"], &["echo", "sos", "monitor"]] {
        let reason = judge(package(|_| {}), &Expected { names, ..expected() }).expect_err("it is another one");
        said += &format!("where {} names may come\n  {}: {reason}\n", names.len(), reason.code());
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gate/refusals.expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(file, &said).expect("it can be written");
    }
    let expected = std::fs::read_to_string(file).expect("it is there");
    assert!(said == expected, "what is said now:\n{said}");
}

#[test]
fn a_gate_with_a_hole_lets_through_what_only_that_check_refuses() {
    for (name, bytes, hole) in wrong() {
        let Some(hole) = hole else { continue };
        assert!(judge(bytes, &expected()).is_err(), "{name}");
        let through = judge_without(Some(hole), bytes, &expected());
        assert!(through.is_ok(), "{name}: without {hole:?} it is still refused: {through:?}");
    }
    // And each check is the only one that refuses something.
    let holes = [
        Check::Signer,
        Check::Signature,
        Check::Digest,
        Check::Platform,
        Check::Name,
        Check::Version,
        Check::Ports,
        Check::Kept,
        Check::Room,
    ];
    for hole in holes {
        assert!(wrong().iter().any(|(_, _, of)| *of == Some(hole)), "nothing needs {hole:?}");
    }
}

#[test]
fn any_byte_that_is_changed_is_noticed() {
    let right = package(|_| {});
    let mut bytes = right.to_vec();
    for at in 0..right.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(judge(&bytes, &expected()).is_err(), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(bytes == right);
}

#[test]
fn changed_bytes_of_code_get_through_where_neither_signature_nor_fingerprint_is_checked() {
    // Which shows that the campaign above can fail: the signature alone stops such a flip, and the fingerprint what was
    // signed wrongly.
    let right = package(|_| {});
    let code = right.len() - SIGNATURE - CODE.len();
    let mut bytes = right.to_vec();
    bytes[code] ^= 1;
    let reason = judge_without(Some(Check::Signature), &bytes, &expected()).err();
    assert!(matches!(reason, Some(Refused::Digest { .. })), "{reason:?}");
    let mut header = postcard::to_allocvec(&Header { digest: digest(CODE), ..header() }).expect("it can be written");
    let last = header.len() - 1;
    header[last] ^= 1;
    let bytes = seal(&header, CODE, &key()).expect("it is small");
    assert!(matches!(judge(&bytes, &expected()), Err(Refused::Digest { .. })));
    judge_without(Some(Check::Digest), &bytes, &expected()).expect("nothing else looks at it");
}

#[test]
fn any_part_that_is_missing_at_the_end_is_noticed() {
    let right = package(|_| {});
    for length in 0..right.len() {
        let reason = judge(&right[..length], &expected()).err();
        let whole_but_unsigned = length == right.len() - SIGNATURE;
        assert!(
            matches!(
                (reason, whole_but_unsigned),
                (Some(Refused::Truncated { .. }), false) | (Some(Refused::Unsigned), true)
            ),
            "{length} bytes: {reason:?}"
        );
    }
}

#[test]
fn nothing_is_believed_of_what_nobody_has_signed_who_may() {
    // Everything else about it is wrong, too; what is told is who has signed it.
    let all_wrong = Header { name: "x", platform: "y", room: u32::MAX, ports: heapless::Vec::new(), ..header() };
    let bytes = write(&all_wrong, CODE, &SecretKey::of_seed(&[8; 32])).expect("it can be written");
    let mut told = 0;
    let reason = judge_all(&bytes, &expected(), &mut |_| told += 1).expect_err("nobody may sign that");
    assert!(matches!(reason, Refused::Signer { .. }) && told == 0, "{reason:?}, {told}");
}

#[test]
fn everything_that_differs_is_told_in_the_order_in_which_it_is_judged() {
    let bytes = package(|header| {
        header.platform = "r2d";
        header.version = Version::default();
        header.ports[0].side = Side::Uses;
        header.ports[1].key.0 += 1;
        header.kept = None;
        header.room = u32::MAX;
    });
    let mut told = Vec::new();
    judge_all(bytes, &expected(), &mut |reason| told.push(reason.code())).expect("it was signed");
    assert_eq!(told, ["platform", "older", "port-side", "port-key", "kept-missing", "room"]);
    assert_eq!(judge(bytes, &expected()).map_err(|reason| reason.code()), Err("platform"));
}

#[test]
fn a_declared_migration_opens_the_way_and_says_whether_it_leads_back() {
    for down in [false, true] {
        let from = header().kept.expect("it keeps some").key;
        let bytes = package(|header| {
            header.kept = Some(kept::<u32>());
            push(&mut header.migrations, Migration { from, down });
        });
        let header = judge(bytes, &expected()).expect("there is a way");
        assert_eq!(header.carries(expected().kept), Some(Carried::Migrated { down }));
    }
    assert_eq!(header().carries(expected().kept), Some(Carried::AsItIs));
    assert_eq!(header().carries(None), None);
}

#[test]
fn a_schema_names_the_innermost_place_that_differs() {
    let serial = spelt(&serial::INTERFACE);
    let names = |from: &str, to: &str| difference(with_line(serial, from, to), serial).map(|found| found.place);
    assert_eq!(names("configure.request.baud: u32", "configure.request.baud: u64"), Some("configure.request.baud"));
    assert_eq!(names("write: operation 2, Resumable", "write: operation 2, Idempotent"), Some("write"));
    let without = with_line(serial, "configure.request.baud: u32\n", "");
    assert_eq!(
        difference(without, serial).map(|found| (found.place, found.found)),
        Some(("configure.request.baud", None))
    );
    assert_eq!(difference(serial, without).map(|found| found.expected), Some(None));
    let swapped = with_line(
        serial,
        "status.reply.sent: u32\nstatus.reply.received: u32\n",
        "status.reply.received: u32\nstatus.reply.sent: u32\n",
    );
    assert_eq!(difference(swapped, serial).map(|found| found.place), Some("order"));
    assert_eq!(difference(serial, serial), None);
}

#[test]
fn interfaces_with_different_keys_have_different_texts() {
    let all = koboshi_interfaces::ALL;
    let texts: Vec<&str> = all.iter().map(spelt).collect();
    for (at, text) in texts.iter().enumerate() {
        assert!(texts[..at].iter().all(|other| other != text), "{text}");
        let mut places: Vec<&str> = text.lines().filter_map(|line| line.split(": ").next()).collect();
        let all_places = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), all_places, "a place has two lines:\n{text}");
    }
}

#[test]
fn keys_are_read_as_they_are_written_and_nothing_else_is_one() {
    use crate::Misread;
    let public = key().public();
    let text = format!("{public}");
    assert_eq!(text.parse(), Ok(public));
    let misread = |text: &str| text.parse::<PublicKey>().expect_err("it is none");
    assert_eq!(misread("ssh-ed25519 AAAA"), Misread::Prefix);
    assert_eq!(misread(&text[..text.len() - 1]), Misread::Length(63));
    assert_eq!(misread(&text.to_uppercase()), Misread::Prefix);
    assert_eq!(misread(&format!("{}{}", crate::PREFIX, "g".repeat(64))), Misread::Digit);
    // The neutral element: everybody can sign for it.
    assert_eq!(misread(&format!("{}01{}", crate::PREFIX, "0".repeat(62))), Misread::NoKey);
    let secret = SecretKey::of_text(&key().text()).expect("it is one");
    assert_eq!(secret.public(), public);
    assert!(SecretKey::of_text(&text).is_err());
}

#[test]
fn a_weak_key_has_signed_nothing_even_if_an_image_names_it() {
    // With the neutral element as key and as half of the signature, the plain equation holds for every message.
    let neutral = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        PublicKey(bytes)
    };
    let mut bytes = package(|_| {}).to_vec();
    bytes[START - 32..START].copy_from_slice(&neutral.0);
    let at = bytes.len() - SIGNATURE;
    bytes[at..].fill(0);
    bytes[at] = 1;
    let reason = judge(&bytes, &Expected { signers: core::slice::from_ref(&neutral), ..expected() }).err();
    assert!(matches!(reason, Some(Refused::Signature { .. })), "{reason:?}");
}

#[test]
fn versions_are_three_numbers_and_the_first_that_differs_decides() {
    let version = |text: &str| text.parse::<Version>();
    assert_eq!(version("1.20.3").map(|version| format!("{version}")), Ok(String::from("1.20.3")));
    assert!(version("0.10.0").is_ok_and(|version| version > Version { major: 0, minor: 9, patch: 9 }));
    for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "01.2.3", "1.2.+3", "1.2.3-beta", "1.2.4294967296", "1..2"] {
        assert!(version(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_bytes_are_where_the_manual_says() {
    let bytes = package(|_| {});
    assert_eq!(bytes[..8], MAGIC);
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    assert_eq!(number(8), FORMAT);
    assert_eq!(number(16) as usize, CODE.len());
    assert_eq!(bytes[20..52], key().public().0);
    assert_eq!(&bytes[52 + number(12) as usize..][..CODE.len()], CODE);
    assert_eq!(bytes.len(), 52 + number(12) as usize + CODE.len() + 64);
}
