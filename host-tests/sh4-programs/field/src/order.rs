//! Sorting, and collections of a fixed size.

use core::cmp::Reverse;
use core::fmt::Write;

use heapless::binary_heap::{Max, Min};
use heapless::spsc::Queue;
use heapless::{BinaryHeap, Deque, HistoryBuf, Vec};

use crate::{Random, say};

/// Sorting and searching of slices.
pub fn slices(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    for length in [0, 1, 2, 7, 20, 21, 50, 51, 150] {
        let mut words: Vec<u32, 150> = (0..length).map(|_| random.next() >> random.below(32)).collect();
        words.sort_unstable();
        let sorted = words.is_sorted();
        let wanted = random.next() >> 8;
        let place = words.binary_search(&wanted).unwrap_or_else(|place| place);
        say!(out, "{length} {sorted} {place} {:x?}", &words[..words.len().min(12)]);
        words.sort_unstable_by_key(|word| (word.count_ones(), Reverse(*word)));
        say!(out, "  {:x?}", &words[words.len().saturating_sub(9)..]);
        let (low, high) = words.split_at_mut(length / 2);
        let swapped = low.len().min(high.len());
        low[..swapped].swap_with_slice(&mut high[..swapped]);
        words.rotate_left(length / 3);
        words.reverse();
        if length > 0 {
            let (_, middle, _) = words.select_nth_unstable(length / 2);
            say!(out, "  middle {middle:x}");
        }
    }
    let mut pairs: Vec<(i64, f64), 40> = (0..40)
        .map(|_| {
            ((random.sized() as i64).wrapping_mul(if random.below(2) == 0 { 1 } else { -1 }), random.next().into())
        })
        .collect();
    pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)));
    for pair in pairs.chunks(8) {
        say!(out, "{pair:?}");
    }
    let mut words = ["pear", "Apple", "fig", "äpfel", "", "figs", "Fig", "zoo"];
    words.sort_unstable();
    say!(out, "{words:?}");
    words.sort_unstable_by_key(|word| (word.len(), word.bytes().last()));
    say!(out, "{words:?} {}", words.partition_point(|word| word.len() < 4));
}

/// Maps and sets.
pub fn maps(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut map: heapless::index_map::FnvIndexMap<u32, u64, 32> = Default::default();
    let mut linear: heapless::LinearMap<i16, &str, 8> = Default::default();
    let mut set: heapless::index_set::FnvIndexSet<u8, 64> = Default::default();
    for step in 0..60 {
        let key = random.below(24);
        match random.below(4) {
            0 => say!(out, "{step} without {key}: {:?}", map.swap_remove(&key)),
            1 => {
                if let Some(value) = map.get_mut(&key) {
                    *value = value.rotate_left(key) ^ u64::from(key);
                }
            }
            _ => say!(out, "{step} with {key}: {:?}", map.insert(key, random.wide())),
        }
        let _ = set.insert(random.below(50) as u8);
    }
    for (key, value) in &map {
        say!(out, "{key} {value:x}");
    }
    for name in ["one", "two", "three", "four", "two"] {
        say!(out, "{:?}", linear.insert(name.len() as i16 - 4, name));
    }
    say!(out, "{:?} {:?} {}", linear.get(&-1), linear.iter().map(|(key, _)| key).max(), set.len());
    let mut members: Vec<u8, 64> = set.iter().copied().collect();
    members.sort_unstable();
    say!(out, "{members:?}");
}

/// Queues.
pub fn queues(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut queue: Queue<(u8, u64), 8> = Queue::new();
    let (mut producer, mut consumer) = queue.split();
    let mut deque: Deque<u16, 10> = Deque::new();
    let mut history: HistoryBuf<u32, 5> = HistoryBuf::new();
    for _ in 0..50 {
        let number = random.next();
        history.write(number);
        match number % 5 {
            0 | 1 => say!(out, "in {:?}", producer.enqueue((number as u8, number.into()))),
            2 => say!(out, "out {:?} of {}", consumer.dequeue(), consumer.len()),
            3 => say!(out, "front {:?} {:?}", deque.push_front(number as u16), deque.back()),
            _ => say!(out, "back {:?} {:?}", deque.push_back(number as u16), deque.pop_front()),
        }
    }
    say!(out, "{deque:?} {:?} {:?}", history.recent(), history.oldest_ordered().collect::<Vec<_, 5>>());
}

/// Heaps.
pub fn heaps(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut least: BinaryHeap<(u32, char), Min, 32> = BinaryHeap::new();
    let mut most: BinaryHeap<i64, Max, 32> = BinaryHeap::new();
    for _ in 0..32 {
        let letter = char::from(b'a' + random.below(26) as u8);
        let _ = least.push((random.below(10), letter));
        let _ = most.push(random.wide() as i64 >> random.below(64));
    }
    say!(out, "{:?}", most.push(0));
    while let (Some((when, who)), Some(much)) = (least.pop(), most.pop()) {
        say!(out, "{when} {who} {much}");
    }
}
