//! The measurements run, their report has every row, and its verdicts come from its numbers.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_host_tests::bench::{Options, Pair, Report, Row, Spread, Verdict, run};

const ROWS: [&str; 18] = [
    "one-thread/u64/rtrb",
    "one-thread/u64/heapless",
    "one-thread/u64/embassy-sync",
    "one-thread/32-bytes/rtrb",
    "one-thread/32-bytes/heapless",
    "one-thread/32-bytes/embassy-sync",
    "postcard/u64",
    "postcard/32-bytes",
    "two-threads/u64/rtrb",
    "two-threads/u64/heapless",
    "two-threads/u64/embassy-sync",
    "two-threads/32-bytes/rtrb",
    "two-threads/32-bytes/heapless",
    "two-threads/32-bytes/embassy-sync",
    "call/mpsc",
    "recovery/otp",
    "nothing-fails/typed-path",
    "nothing-fails/contract-words",
];

const WINDOW: &str = "nothing-fails/window";

/// What may be missing where a peer, or a second core, is.
fn depends_on_the_machine(id: &str) -> bool {
    id.starts_with("two-threads/") || id == "recovery/otp"
}

#[test]
fn the_quick_bench_measures_every_row_and_says_so_in_json() {
    let report = run(&Options::quick(), &|done, of| assert!(done <= of));
    let json = serde_json::to_value(&report).expect("the report has a JSON form");
    let rows = json["rows"].as_array().expect("it has rows");
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    let expected: Vec<&str> = ROWS.into_iter().chain([WINDOW]).collect();
    assert_eq!(ids, expected);
    for row in rows {
        let id = row["id"].as_str().unwrap_or_default();
        if row["verdict"] == "not-measured" {
            assert!(depends_on_the_machine(id), "{row:#}");
            assert!(
                row["note"].as_str().is_some_and(|note| note.contains("Not measured") || note.contains("only one"))
            );
            continue;
        }
        assert!(row["ours_ns"]["median"].as_f64().is_some_and(|time| time > 0.0), "{row:#}");
        let pairs = row["pairs"].as_array().expect("it has pairs");
        assert!(pairs.len() >= 5, "{row:#}");
        if !row["peer"].is_null() {
            assert!(row["ratio"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row:#}");
        }
    }
    let table = report.to_string();
    for row in &report.rows {
        assert!(table.contains(row.group), "{table}");
    }
}

fn row(at_most: Option<f64>, pairs: &[(f64, Option<f64>)]) -> Row {
    Row {
        id: "made-up".to_owned(),
        group: "Made up",
        what: "nothing".to_owned(),
        peer: pairs.first().and_then(|pair| pair.1).map(|_| "another nothing".to_owned()),
        pairs: pairs.iter().map(|(ours, peer)| Pair { ours: *ours, peer: *peer }).collect(),
        at_most,
        note: None,
    }
}

fn report(rows: Vec<Row>) -> Report {
    Report { pairs: 5, quick: true, cores: 2, unoptimised: false, rows }
}

#[test]
fn a_slow_row_is_missed_and_is_shown_with_its_number() {
    let slow = [(30.0, Some(10.0)), (31.0, Some(10.0)), (5.0, Some(10.0))];
    let report = report(vec![row(Some(2.0), &slow)]);
    assert_eq!(report.rows[0].verdict(), Verdict::Missed);
    assert_eq!(report.rows[0].ratio(), Some(Spread { median: 3.0, min: 0.5, max: 3.1 }));
    let table = report.to_string();
    assert!(table.contains("3.00") && table.contains("0.50..3.10") && table.contains("<= 2.0: MISSED"), "{table}");
    assert!(table.contains("1 aim was missed."), "{table}");
    let json = serde_json::to_value(&report).expect("the report has a JSON form");
    assert_eq!(json["rows"][0]["verdict"], "missed");
    assert_eq!(json["missed"][0], "made-up");
}

#[test]
fn one_slow_pair_of_many_misses_nothing() {
    let once = [(90.0, Some(10.0)), (11.0, Some(10.0)), (12.0, Some(10.0))];
    let report = report(vec![row(Some(2.0), &once)]);
    assert_eq!(report.rows[0].verdict(), Verdict::Met);
    assert_eq!(report.missed().count(), 0);
}

#[test]
fn an_aim_is_met_up_to_and_including_its_number() {
    assert_eq!(row(Some(1.0), &[(10.0, Some(10.0))]).verdict(), Verdict::Met);
}

#[test]
fn a_number_that_could_not_be_taken_makes_its_row_wrong_with_or_without_an_aim() {
    let pairs = [(10.0, Some(10.0)), (f64::NAN, Some(10.0)), (9.0, Some(10.0))];
    for aim in [Some(1.0), None] {
        let report = report(vec![row(aim, &pairs)]);
        assert_eq!(report.rows[0].verdict(), Verdict::Wrong);
        assert_eq!(report.missed().count(), 1);
        assert!(report.to_string().contains("WRONG"));
    }
}

#[test]
fn what_was_not_measured_is_neither_met_nor_missed() {
    let mut absent = row(Some(1.0), &[(10.0, None)]);
    absent.peer = Some("somebody who is not installed".to_owned());
    assert_eq!(absent.verdict(), Verdict::NotMeasured);
    assert_eq!(row(Some(1.0), &[]).verdict(), Verdict::NotMeasured);
    assert_eq!(row(None, &[(10.0, None)]).verdict(), Verdict::NoAim);
    assert_eq!(row(None, &[(10.0, Some(5.0))]).verdict(), Verdict::NoAim);
}
