//! What the tables promise to those who read them as data.

use koboshi_interface_kit::{ContractKind, Duration, Kind, MAX_MESSAGE};
use koboshi_interfaces::serial::{DataBits, Line, Parity, StopBits};
use koboshi_interfaces::{ALL, control, health, loading, serial};

#[test]
fn no_two_interfaces_or_operations_share_a_key() {
    let mut keys: Vec<_> = ALL.iter().map(|interface| interface.key).collect();
    keys.extend(ALL.iter().flat_map(|interface| interface.operations).map(|row| row.key));
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn every_message_fits_into_a_slot() {
    for interface in ALL {
        assert!(interface.payload <= MAX_MESSAGE, "{}", interface.path);
        for row in interface.operations {
            assert!(row.request_max.max(row.reply_max) <= interface.payload, "{}", row.name);
        }
    }
}

#[test]
fn streams_have_an_item_and_services_have_operations() {
    for interface in ALL {
        let stream = interface.kind == Kind::Stream;
        assert_eq!(interface.item.is_some(), stream, "{}", interface.path);
        assert_eq!(interface.operations.is_empty(), stream, "{}", interface.path);
    }
}

#[test]
fn every_operation_is_under_exactly_one_contract() {
    for interface in ALL {
        let masks = [ContractKind::Pure, ContractKind::Idempotent, ContractKind::Resumable, ContractKind::AtMostOnce]
            .map(|kind| interface.mask(kind));
        let operations = (1u32 << interface.operations.len()) - 1;
        assert_eq!(masks.iter().sum::<u32>(), operations, "{}", interface.path);
        assert_eq!(masks.iter().fold(0, |all, mask| all | mask), operations, "{}", interface.path);
    }
}

#[test]
fn only_a_break_on_the_line_and_a_swap_must_never_be_repeated() {
    assert_eq!(serial::INTERFACE.mask(ContractKind::AtMostOnce), 0b1000);
    assert_eq!(loading::INTERFACE.mask(ContractKind::AtMostOnce), 0b100);
    assert_eq!(loading::INTERFACE.mask(ContractKind::Idempotent), 0b11);
    assert_eq!(loading::INTERFACE.mask(ContractKind::Pure), 0b1000);
    assert_eq!(control::INTERFACE.mask(ContractKind::Idempotent), 0b1_1111);
    assert_eq!(health::INTERFACE.mask(ContractKind::Pure), 0b111);
}

#[test]
fn a_byte_takes_as_long_as_its_bits() {
    // Ten bits at 115,200 baud are 86.8 us.
    assert_eq!(Line::default().byte_time(), Duration::from_ticks(86_806));
    let long = Line { baud: 1_000_000, parity: Parity::Even, stop: StopBits::Two, ..Line::default() };
    assert_eq!(long.byte_time(), Duration::from_micros(12));
    let short = Line { data: DataBits::Seven, ..long };
    assert_eq!(short.byte_time(), Duration::from_micros(11));
    let stopped = Line { baud: 0, ..Line::default() };
    assert_eq!(stopped.byte_time(), Duration::from_secs(10));
}
