//! A line that nobody knocks over carries bytes both ways.

use koboshi_host::journal::Depth;
use koboshi_host::machine::{Machine, Options};
use koboshi_host_tests::system::{APPLICATION, SCIF, Setup, image};

#[test]
fn bytes_go_both_ways() {
    let setup = Setup::default();
    let mut machine =
        Machine::new(&image(&setup), Options { journal: Depth::Last(400), ..Options::default() }).unwrap();
    let out: Vec<u8> = (0..=255).collect();
    let back: Vec<u8> = (0..=255).rev().collect();
    machine.run_until(5_000_000);
    machine.application(APPLICATION, |application| application.offer(&out)).unwrap().unwrap();
    machine.scif(SCIF, |scif| scif.wire_mut().send_bytes(back.iter().copied()));
    machine.run_until(200_000_000);
    let sent = machine.scif(SCIF, |scif| scif.wire_mut().take_received()).unwrap();
    let received = machine.application(APPLICATION, |application| application.take_received()).unwrap();
    assert_eq!(machine.panics(), &[] as &[String], "{}", machine.journal());
    assert_eq!(sent, out, "{}", machine.journal());
    assert_eq!(received, back, "{}", machine.journal());
}
