//! The rules that every platform keeps, on the host.

use koboshi_host_tests::conformance::{Suite, run};

#[test]
fn every_rule_holds() {
    let report = run(&Suite { journal: true, ..Suite::default() });
    for line in &report.lines {
        println!("{}", line.text);
    }
    println!("{} us, points {:?}", report.ended_at / 1000, report.points);
    std::fs::write("/tmp/conf-journal.txt", &report.journal).unwrap();
}
