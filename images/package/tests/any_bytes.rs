//! Whatever the bytes are, the gate answers: it never panics, and lets in only what was signed.

use koboshi_package::{
    Digest, Expected, Header, Package, PublicKey, SecretKey, Version, judge, judge_all, seal, write,
};
use proptest::prelude::*;

fn key() -> SecretKey {
    SecretKey::of_seed(&[3; 32])
}

fn header() -> Header<'static> {
    Header {
        name: "echo",
        version: Version { major: 1, minor: 0, patch: 0 },
        platform: "host",
        ports: heapless::Vec::new(),
        kept: None,
        migrations: heapless::Vec::new(),
        room: 4096,
        digest: Digest([0; 32]),
    }
}

fn expected(signers: &[PublicKey]) -> Expected<'_> {
    Expected {
        signers,
        platform: "host",
        names: &["echo"],
        ports: &[],
        kept: None,
        lowest: Version::default(),
        room: 4096,
    }
}

/// One change of a package.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Number(usize, u32),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1_usize..9).prop_map(|(at, count)| Change::Remove(at, count)),
        // The lengths: those that nearly fit are the ones that matter.
        (0_usize..3, prop_oneof![any::<u32>(), 0_u32..300, (u32::MAX - 300)..=u32::MAX])
            .prop_map(|(which, number)| Change::Number(8 + 4 * which, number)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: &prop::sample::Index, bytes: &Vec<u8>| at.index(bytes.len().max(1)).min(bytes.len());
    match change {
        Change::Set(at, byte) => {
            let at = place(at, bytes);
            if let Some(found) = bytes.get_mut(at) {
                *found = *byte;
            }
        }
        Change::Insert(at, more) => {
            let at = place(at, bytes);
            bytes.splice(at..at, more.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = place(at, bytes);
            let end = (at + count).min(bytes.len());
            bytes.drain(at..end);
        }
        Change::Number(at, number) => {
            if let Some(found) = bytes.get_mut(*at..*at + 4) {
                found.copy_from_slice(&number.to_le_bytes());
            }
        }
    }
}

/// Asks everything that can be asked of these bytes.
fn ask(bytes: &[u8]) -> bool {
    let signers = [key().public()];
    let _ = judge_all(bytes, &expected(&signers), &mut |reason| assert!(!reason.to_string().is_empty()));
    if let Ok(package) = Package::open(bytes) {
        let _ = (package.is_signed(), package.header());
    }
    judge(bytes, &expected(&signers)).is_ok()
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!ask(&bytes));
    }

    #[test]
    fn random_bytes_behind_a_right_beginning_are_refused(rest in prop::collection::vec(any::<u8>(), 0..400), header in 0_u32..400) {
        let mut bytes = b"\x8akoboshi\x01\0\0\0".to_vec();
        bytes.extend(header.to_le_bytes());
        // So that the lengths fit, and the rest is looked at.
        let code = (rest.len() as u32).saturating_sub(96 + header);
        bytes.extend(code.to_le_bytes());
        bytes.extend(rest);
        prop_assert!(!ask(&bytes));
    }

    #[test]
    fn a_package_that_was_changed_is_refused(changes in prop::collection::vec(change(), 1..6)) {
        let right = write(&header(), b"code", &key()).expect("it can be written");
        let mut bytes = right.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        prop_assert_eq!(ask(&bytes), bytes == right);
    }

    #[test]
    fn any_header_that_was_signed_is_read_or_refused(
        changes in prop::collection::vec(change(), 0..4), random in prop::collection::vec(any::<u8>(), 0..200), which: bool
    ) {
        let mut spelt = if which { postcard::to_allocvec(&header()).expect("it can be written") } else { random };
        changes.iter().for_each(|change| apply(&mut spelt, change));
        ask(&seal(&spelt, b"code", &key()).expect("it is small"));
    }
}
