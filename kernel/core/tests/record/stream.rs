//! Streams, and halves that do not fit.

use super::*;

#[test]
fn an_item_that_was_committed_counts_though_its_producer_died_before_it_counted_it() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let mut producer = Producer::open(record, 1);
    producer.publish(b"a");
    record.producer.set(Position::Sent, 0);
    assert_eq!(record.seal_producer(&mut sealed), Seal { progressed: true, ..Seal::default() });
    assert_eq!(record.producer.get(Position::Sent), 1);
}

#[test]
fn a_slot_that_was_being_filled_stays() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    record.producer.set(Position::Filling, 1);
    record.producer.slots().unwrap().set_payload_byte(0, 0, 0x5A);
    assert_eq!(record.seal_producer(&mut sealed), Seal::default());
    assert_eq!(record.producer.get(Position::Filling), 1);
    assert_eq!(record.producer.slots().unwrap().payload_byte(0, 0), 0x5A);
}

#[test]
fn a_producer_is_not_moved_or_blamed_by_a_wild_consumer() {
    for wild in [1, 3, 100, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let mut producer = Producer::open(record, 1);
        producer.publish(b"a");
        producer.publish(b"b");
        record.consumer.set(Position::Consumed, wild);
        assert!(!record.seal_producer(&mut sealed).blamed, "{wild}");
        assert_eq!(record.producer.get(Position::Sent), 2, "{wild}");
    }
}

#[test]
fn a_wild_producer_is_blamed_and_its_items_stay() {
    for wild in [0, 4, 100, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let mut producer = Producer::open(record, 1);
        producer.publish(b"a");
        producer.publish(b"b");
        record.producer.set(Position::Sent, wild);
        assert!(record.seal_producer(&mut sealed).blamed, "{wild}");
        assert_eq!(record.producer.get(Position::Sent), 2, "{wild}");
    }
}

#[test]
fn a_consumer_that_lives_ahead_of_the_producer_s_word_is_not_blamed() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    Producer::open(record, 1).publish(b"a");
    record.producer.set(Position::Sent, 0);
    assert_eq!(Consumer::open(record).item(), Ok(Some(b"a".to_vec())));
    assert_eq!(record.seal_consumer(&mut sealed), Seal { progressed: true, ..Seal::default() });
    assert_eq!(record.consumer.get(Position::Consumed), 1);
}

#[test]
fn a_wild_consumer_is_blamed_and_offered_again_all_that_the_ring_holds() {
    for wild in [7, 0, 1000, u32::MAX] {
        let (port, mut sealed) = (Port::stream(4), Sealed::default());
        let record = port.stream_record();
        let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
        for at in 0..6 {
            producer.publish(&[at]);
            consumer.item().unwrap().unwrap();
        }
        record.consumer.set(Position::Consumed, wild);
        assert!(record.seal_consumer(&mut sealed).blamed, "{wild}");
        assert_eq!(Consumer::open(record).item(), Ok(Some(vec![2])), "{wild}");
    }
}

#[test]
fn a_consumer_never_falls_behind_what_was_sealed() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    for at in 0..2 {
        producer.publish(&[at]);
        consumer.item().unwrap().unwrap();
    }
    record.seal_consumer(&mut sealed);
    producer.publish(&[2]);
    record.consumer.set(Position::Consumed, 0);
    assert!(record.seal_consumer(&mut sealed).blamed);
    assert_eq!(Consumer::open(record).item(), Ok(Some(vec![2])));
}

#[test]
fn a_consumer_is_not_moved_or_blamed_by_a_wild_producer() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    producer.publish(b"a");
    consumer.item().unwrap().unwrap();
    for word in &port.near {
        word.store(0xDEAD_BEEF, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(!record.seal_consumer(&mut sealed).blamed);
    assert_eq!(record.consumer.get(Position::Consumed), 1);
    assert_eq!(consumer.item(), Err(Malformed::Sequence));
}

#[test]
fn a_producer_that_spoilt_all_its_half_begins_anew_where_its_consumer_stands() {
    let (port, mut sealed) = (Port::stream(4), Sealed::default());
    let record = port.stream_record();
    let (mut producer, mut consumer) = (Producer::open(record, 1), Consumer::open(record));
    for at in 0..5 {
        producer.publish(&[at]);
        consumer.item().unwrap().unwrap();
    }
    for word in &port.near {
        word.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(record.seal_producer(&mut sealed).blamed);
    assert_eq!(consumer.item(), Ok(None));
    Producer::open(record, 2).publish(b"anew");
    assert_eq!(consumer.item(), Ok(Some(b"anew".to_vec())));
}

#[test]
fn a_half_of_another_length_than_its_slots_need_is_refused() {
    let geometry = Geometry::new(2, 40).unwrap();
    let words = common::zeroed(Half::words(Some(geometry)));
    assert!(Half::new(&words, Some(geometry)).is_some());
    assert!(Half::new(&words, None).is_none());
    assert!(Half::new(&words[1..], Some(geometry)).is_none());
    assert!(Half::new(&words[..5], None).is_none());
}
