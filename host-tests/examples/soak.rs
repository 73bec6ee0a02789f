//! Scratch.
use koboshi_host_tests::{soak::*, system::*};
use koboshi_host::{journal::Depth, strike::How};
fn main() {
    let plan = Plan { setup: Setup { flow: true, ..Setup::default() }, whom: vec![DRIVER, SOS, MANAGER, MONITOR], how: How::ALL.to_vec(), every: 100_000_000, time: 60_000_000_000, journal: Depth::None };
    let began = std::time::Instant::now();
    let r = soak(&plan);
    println!("{:?} exact {} out {:?} back {:?} turns {} knocks {} incidents {} announced {}", began.elapsed(), r.exact(), r.out, r.back, r.turns, r.knocks, r.incidents, r.announced);
}
