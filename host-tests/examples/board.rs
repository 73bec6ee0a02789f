//! trial
use std::path::{Path, PathBuf};
use koboshi_board::*;
use koboshi_board::emulator::*;
use koboshi_host_tests::conformance;
fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf();
    let image = conformance::image(&conformance::Suite::default());
    let source = |package: &str, folder: &str, start: &str| Source { package: package.into(), folder: root.join(folder), start: start.into(), features: vec![] };
    let cache = root.join("target/koboshi/sh4");
    let rust = koboshi_sh4::tools::Rust::find().unwrap_or_else(|e| panic!("{e:?}"));
    let gcc = koboshi_sh4::tools::Gcc::find(&cache).unwrap_or_else(|e| panic!("{e:?}"));
    let request = Request {
        image: &image,
        sources: vec![
            source("koboshi-restart-manager", "components/restart-manager", "koboshi_restart_manager::start"),
            source("koboshi-conformance", "components/conformance", "koboshi_conformance::subject::start"),
            source("koboshi-conformance", "components/conformance", "koboshi_conformance::tester::start"),
        ],
        devices: vec![],
        board: Board::R2D,
        optimise: koboshi_sh4::link::Optimise::Size,
        koboshi: root.clone(),
        folder: root.join("target/koboshi/board/conformance"),
        name: "conformance".into(),
    };
    let made = match build(&rust, &gcc, &cache, &request, &mut |what| eprintln!("building {what}")) { Ok(m) => m, Err(e) => { eprintln!("{}\n{}", e.what, e.remedy); std::process::exit(1) } };
    println!("kernel code {} file {}", made.kernel_code, made.size);
    for c in &made.components { println!("{} code {} data {} bounds machine {} shadow {} {:?}", c.name, c.size, c.zero_end - c.data.start, c.bounds.machine.bytes, c.bounds.shadow.bytes, c.bounds.machine.recursion); }
    let e = Emulator::start(&PathBuf::from("qemu-system-sh4"), &made.file, &How { counted: std::env::args().nth(2).map_or(Some(3), |a| a.parse().ok()), ..How::default() }).unwrap_or_else(|e| panic!("{e:?}"));
    let t = std::time::Instant::now();
    let lines = e.lines_until(std::time::Duration::from_secs(std::env::args().nth(1).map_or(20, |a| a.parse().unwrap())), |l| l.contains("conformance done"));
    for l in lines { println!("{l}"); }
    println!("{:?} {:?}", t.elapsed(), e.complaints());
}
