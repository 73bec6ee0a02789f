//! Scratch.

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(case) = args.get(2) {
        match koboshi_host_tests::campaign::replay(case) {
            Ok((_, t)) | Err(t) => println!("{t}"),
        }
        return;
    }
    let mut extent = koboshi_host_tests::campaign::Extent::FULL;
    extent.stride = args[1].parse().unwrap();
    if extent.stride > 1 {
        extent.pairs = 200;
    }
    let started = std::time::Instant::now();
    let report = koboshi_host_tests::campaign::campaign(&koboshi_host_tests::scenario::all(), &extent, &|a, b| {
        eprint!("\r{a}/{b}")
    });
    println!("{report}\n{:?}", started.elapsed());
}
