//! Swaps of the driver under traffic, and the proof that a wrong one would be seen.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use koboshi_core::record::Outcome;
use koboshi_host::journal::Depth;
use koboshi_host::linked::Linked;
use koboshi_host_tests::modules::{Part, linked, module};
use koboshi_host_tests::scenario::{named, run};
use koboshi_host_tests::swap::{WRONG, many, setup, wrong};
use koboshi_host_tests::system::versions;
use koboshi_host_tests::verdict::Verdict;
use koboshi_interfaces::serial;
use koboshi_runtime::{Exit, ServicePort};

fn part(part: Part) -> Linked {
    linked(part, &module(part))
}

#[test]
fn many_swaps_under_traffic_lose_and_repeat_nothing() {
    let [woken, polled] = versions();
    for versions in [[polled, woken.clone()], [part(Part::ScifPolled), woken]] {
        let found = many(&setup(), &versions, 40);
        assert!(found.exact(40), "{found:?}");
        assert!(found.worst_pause > 0);
    }
}

#[test]
fn whatever_a_new_version_does_wrong_the_one_before_is_back_and_the_record_says_why() {
    for (which, _, why) in WRONG {
        let found = wrong(&setup(), &part(which));
        assert!(found.line.exact() && found.why == Some(why) && found.incidents == 2, "{which:?}: {found:?}");
    }
}

#[test]
fn a_new_version_that_lies_is_seen_in_the_bytes() {
    let liar = Linked::new(&koboshi_scif_driver::DESCRIPTION, |_| async {
        let Ok(mut port) = ServicePort::open::<serial::Port>(0) else { return Exit::Unfit("no port") };
        loop {
            let request = port.next_request().await;
            // As many bytes as a chunk has: none of them was sent.
            port.finish(request.position, Outcome::Answer, &[64]);
        }
    });
    let found = many(&setup(), &[liar, versions()[0].clone()], 4);
    assert!(!found.exact(4) && found.line.out.1.lost > 0, "{found:?}");
}

#[test]
fn a_swap_that_is_cut_offers_its_write_again() {
    let scenario = named("swap-cut").expect("there is one of this name");
    let outcome = run(&scenario, vec![], None, Depth::All);
    assert_eq!(outcome.verdict, Verdict::Exact, "{}", outcome.journal);
    let ended = outcome.journal.lines().find(|line| line.contains("swapped")).expect("the driver gave its place away");
    assert!(ended.contains("1 offered again"), "{ended}");
}
