//! Without strikes, every scenario is exact.

use koboshi_host::journal::Depth;
use koboshi_host_tests::scenario::{all, run};
use koboshi_host_tests::verdict::Verdict;

#[test]
fn without_strikes_every_scenario_is_exact() {
    for scenario in all() {
        let outcome = run(&scenario, vec![], None, Depth::Last(300));
        assert_eq!(
            outcome.verdict,
            Verdict::Exact,
            "{}: {:?} {:?} {:?}\n{}",
            scenario.name,
            outcome.out,
            outcome.back,
            outcome.panics,
            outcome.journal
        );
        println!("{:<14} {:>9} us, points {:?}", scenario.name, outcome.ended_at / 1000, outcome.points);
    }
}
