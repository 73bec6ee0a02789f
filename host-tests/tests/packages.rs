//! Packages of both drivers of the SCIF, as `koboshi pack` makes them: each is what the host runs, and carries every byte.

use std::path::Path;

use koboshi_board::pack::{Platform, Wanted};
use koboshi_board::{Source, pack};
use koboshi_host::journal::Depth;
use koboshi_host::linked::Linked;
use koboshi_host::module::Module;
use koboshi_host_tests::scenario::{named, run};
use koboshi_host_tests::verdict::Verdict;
use koboshi_package::{Package, SecretKey, Version};
use koboshi_runtime::Description;
use koboshi_sh4::tools::Rust;

const KEY: [u8; 32] = [7; 32];

fn packed(folder: &str, start: &str, description: &'static Description, rust: &Rust) -> Vec<u8> {
    let koboshi = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it has a parent");
    let source = Source {
        package: format!("koboshi-{folder}"),
        folder: koboshi.join("components").join(folder),
        start: start.to_owned(),
        features: Vec::new(),
        assembler: Vec::new(),
    };
    let version = Version { major: 0, minor: 2, patch: 0 };
    let wanted = Wanted { description, source: &source, platform: Platform::Host, version };
    let place = koboshi.join("target/koboshi/pack/tests").join(folder);
    let made = pack(rust, &wanted, &SecretKey::of_seed(&KEY), koboshi, &place, &mut |_| {});
    made.unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

#[test]
fn a_packed_driver_runs_as_a_module_and_carries_every_byte() {
    let rust = Rust::find().expect("a compiler");
    let woken = &koboshi_scif_driver::DESCRIPTION;
    let polled = &koboshi_scif_polled_driver::DESCRIPTION;
    for (folder, start, description) in [
        ("scif-driver", "koboshi_scif_driver::start", woken),
        ("scif-polled-driver", "koboshi_scif_polled_driver::start", polled),
    ] {
        let packed = packed(folder, start, description, &rust);
        let package = Package::open(&packed).expect("it is one");
        let header = package.header().expect("it can be read");
        assert_eq!((header.name, header.platform, header.ports.len()), (folder, "host", 2));
        assert_eq!(header.kept.map(|kept| kept.key), Some(koboshi_scif_driver::KEPT));
        assert!(package.is_signed() && package.signer == SecretKey::of_seed(&KEY).public());
        let module = Module::new(package.code).expect("the host runs it");
        // In the place of the one with interrupts, whose lines the kernel has.
        let driver = Linked::module(woken, &module).expect("it has few ports");
        let mut scenario = named("both-rts-cts").expect("there is a scenario of this name");
        scenario.setup.driver = Some(driver);
        let outcome = run(&scenario, vec![], None, Depth::Last(300));
        assert_eq!(outcome.verdict, Verdict::Exact, "{folder}: {outcome:?}");
    }
}
