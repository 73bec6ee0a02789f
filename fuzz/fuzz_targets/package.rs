//! Arbitrary bytes as a package, and as a header that was signed as it is: judged, and never anything else.
#![no_main]

use koboshi_package::{Expected, Package, SecretKey, Version, judge, judge_all, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let key = SecretKey::of_seed(&[1; 32]);
    let signers = [key.public()];
    let expected = Expected {
        signers: &signers,
        platform: "host",
        names: &["echo"],
        ports: &[],
        kept: None,
        lowest: Version::default(),
        room: 1 << 16,
    };
    // Nobody finds a signature by chance, so half of the inputs are signed, and the header is looked at.
    let sealed = if how & 1 == 0 { seal(bytes, b"code", &key).expect("it is small") } else { bytes.to_vec() };
    let _ = judge_all(&sealed, &expected, &mut |reason| assert!(!reason.to_string().is_empty()));
    let let_in = judge(&sealed, &expected);
    if let Ok(package) = Package::open(&sealed) {
        assert!(let_in.is_err() || package.is_signed());
        let _ = package.header();
    }
});
