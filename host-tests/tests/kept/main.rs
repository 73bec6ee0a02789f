//! Kept state: what a component finds of it after a death at any moment, and after its memory was spoilt.

mod migrations;

use std::sync::{Arc, Mutex};

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::sync::Ordering;
use koboshi_host::image::{Costs, Image, ImageComponent};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::strike::{Planned, Strike};
use koboshi_runtime::kept::WORDS;
use koboshi_runtime::kit::Key;
use koboshi_runtime::platform::{Point, koboshi_kept};
use koboshi_runtime::{Description, Exit, Kept, KeptDescription};
use postcard::experimental::max_size::MaxSize;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

const MS: u64 = 1_000_000;

/// Two pairs.
const COPIES: usize = 4;

/// Words of one.
const COPY: usize = WORDS / COPIES;

const KEEPER: ComponentId = ComponentId(0);

const DESCRIPTION: Description = Description {
    name: "keeper",
    ports: &[],
    devices: &[],
    interrupts: &[],
    kept: Some(KeptDescription::of::<Value>()),
};

/// A value of several words, of which no two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
struct Value([u8; 12]);

const KEY: Key = Key::of_state::<Value>();

fn value(number: u8) -> Value {
    Value(core::array::from_fn(|at| number.wrapping_mul(37) ^ (at as u8 * 11)))
}

/// Runs `act` as each incarnation of a component, and gives the machine; the strikes come first.
fn machine(plan: Vec<Planned>, act: impl Fn() + Send + Sync + 'static) -> Machine {
    let act = Arc::new(act);
    let start = move |_| {
        let act = Arc::clone(&act);
        async move {
            act();
            std::future::pending::<Exit>().await
        }
    };
    let keeper = ImageComponent {
        swappable: None,
        recover_within: None,
        name: "keeper".to_owned(),
        linked: Linked::new(&DESCRIPTION, start),
        vcpu: 0,
        respond_within: MS,
        configuration: vec![],
        rights: Rights::default(),
    };
    let image = Image {
        components: vec![keeper],
        connections: vec![],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    };
    Machine::new(&image, Options { plan, ..Options::default() }).unwrap()
}

/// Does something once inside a component, and gives what it found.
fn inside<T: Send + 'static>(act: impl Fn() -> T + Send + Sync + 'static) -> T {
    let found = Arc::new(Mutex::new(None));
    let put = Arc::clone(&found);
    let mut machine = machine(vec![], move || *put.lock().unwrap() = Some(act()));
    machine.run_until(MS);
    assert!(machine.panics().is_empty(), "{:?}", machine.panics());
    found.lock().unwrap().take().expect("it had its turn")
}

fn open() -> Kept<Value> {
    Kept::open(KEY)
}

fn snapshot() -> Vec<u32> {
    koboshi_kept().iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

fn restore(words: &[u32]) {
    for (word, value) in koboshi_kept().iter().zip(words) {
        word.store(*value, Ordering::Relaxed);
    }
}

#[test]
fn what_was_never_stored_is_nothing() {
    assert_eq!(inside(|| open().load()), None);
}

#[test]
fn the_last_value_that_was_stored_is_found() {
    inside(|| {
        for number in 1..=20 {
            open().store(&value(number));
            assert_eq!(open().load(), Some(value(number)));
        }
    });
}

#[test]
fn after_a_store_each_of_the_two_copies_is_enough() {
    inside(|| {
        for number in 1..=3 {
            open().store(&value(number));
            let whole = snapshot();
            for spoilt in [0..COPY, COPY..2 * COPY] {
                for filler in [0, u32::MAX, 0xA5A5_A5A5] {
                    let mut words = whole.clone();
                    words[spoilt.clone()].fill(filler);
                    restore(&words);
                    assert_eq!(open().load(), Some(value(number)));
                }
            }
            restore(&whole);
        }
    });
}

#[test]
fn no_single_bit_that_flips_changes_what_is_found() {
    inside(|| {
        open().store(&value(1));
        open().store(&value(2));
        let whole = snapshot();
        for at in 0..WORDS {
            for bit in 0..32 {
                let mut words = whole.clone();
                words[at] ^= 1 << bit;
                restore(&words);
                assert_eq!(open().load(), Some(value(2)), "bit {bit} of word {at}");
            }
        }
    });
}

#[test]
fn a_spoilt_copy_is_whole_again_after_the_next_store() {
    inside(|| {
        for spoilt in [0..COPY, COPY..2 * COPY] {
            open().store(&value(1));
            let mut words = snapshot();
            words[spoilt].fill(0);
            restore(&words);
            open().store(&value(2));
            let whole = snapshot();
            for half in [0..COPY, COPY..2 * COPY] {
                let mut words = whole.clone();
                words[half].fill(0);
                restore(&words);
                assert_eq!(open().load(), Some(value(2)));
            }
        }
    });
}

/// The key of a copy.
fn key_of(words: &[u32], copy: usize) -> Key {
    Key(u64::from(words[copy * COPY + 1]) | u64::from(words[copy * COPY + 2]) << 32)
}

/// The stores of one word each that turn `before` into `after`, in the order in which a value with this key is stored: its own
/// copies first, in either form the older copy first; in each copy its sequence is taken away, then everything else is
/// written, then the sequence.
fn stores(before: &[u32], after: &[u32], own: Key) -> Vec<(usize, u32)> {
    let mut written: Vec<usize> = (0..COPIES).filter(|copy| before[copy * COPY] != after[copy * COPY]).collect();
    let held = |copy: usize| if key_of(before, copy) == key_of(after, copy) { before[copy * COPY] } else { 0 };
    let is_newer = |copy: usize| held(copy) > held(copy ^ 1) || held(copy) == held(copy ^ 1) && copy.is_multiple_of(2);
    written.sort_by_key(|copy| (key_of(after, *copy) != own, is_newer(*copy)));
    let mut stores = vec![];
    for copy in written.into_iter().map(|copy| copy * COPY) {
        stores.push((copy, 0));
        stores.extend((copy + 1..copy + COPY).filter(|at| before[*at] != after[*at]).map(|at| (at, after[at])));
        stores.push((copy, after[copy]));
    }
    stores
}

#[test]
fn a_store_that_is_torn_at_any_word_leaves_the_value_before_or_the_new_one() {
    inside(|| {
        for earlier in 0..4 {
            restore(&[0; WORDS]);
            (1..=earlier).for_each(|number| open().store(&value(number)));
            let was = open().load();
            let before = snapshot();
            open().store(&value(99));
            let stores = stores(&before, &snapshot(), KEY);
            let mut words = before;
            let mut found = vec![];
            for (at, word) in stores {
                restore(&words);
                found.push(open().load());
                words[at] = word;
            }
            restore(&words);
            assert_eq!(open().load(), Some(value(99)));
            // First the one, then the other, and no way back.
            let new = found.iter().position(|value| *value != was).expect("one copy is new before both are");
            assert!(found[new..].iter().all(|found| *found == Some(value(99))), "{earlier} stores before: {found:?}");
        }
    });
}

#[test]
fn a_death_at_any_point_of_a_store_leaves_the_value_before_or_the_new_one_and_the_next_store_succeeds() {
    let mut seen = vec![];
    for at in 1.. {
        let found = Arc::new(Mutex::new(vec![]));
        let put = Arc::clone(&found);
        let plan = vec![Planned { component: KEEPER, after_points: at, strike: Strike::Crash }];
        let mut machine = machine(plan, move || {
            let mut kept = open();
            let before = kept.load();
            put.lock().unwrap().push(before);
            kept.store(&value(1));
            kept.store(&value(2));
        });
        machine.run_until(MS);
        let struck = machine.struck();
        if struck.is_empty() {
            break;
        }
        assert_eq!(struck[0].kind, Point::Kept);
        machine.command(KEEPER, Command::Start).unwrap();
        machine.run_until(2 * MS);
        machine.kill(KEEPER);
        machine.command(KEEPER, Command::Start).unwrap();
        machine.run_until(3 * MS);
        let found = found.lock().unwrap();
        let [.., after_death, at_last] = found[..] else { panic!("{found:?}") };
        assert!([None, Some(value(1)), Some(value(2))].contains(&after_death), "struck at {at}: {after_death:?}");
        assert_eq!(at_last, Some(value(2)));
        seen.push(after_death);
    }
    let order = [None, Some(value(1)), Some(value(2))];
    assert!(seen.is_sorted_by_key(|found| order.iter().position(|known| known == found)), "{seen:?}");
    assert!(order.iter().all(|known| seen.contains(known)), "{seen:?}");
}

#[test]
fn a_value_of_another_schema_is_nothing_and_is_written_over() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, MaxSize)]
    struct Other([u8; 12]);
    inside(|| {
        let mut other = Kept::<Other>::open(Key::of_state::<Other>());
        other.store(&Other([7; 12]));
        assert_eq!(open().load(), None);
        open().store(&value(1));
        assert_eq!(open().load(), Some(value(1)));
        assert_eq!(other.load(), None);
    });
}

#[test]
fn rubbish_is_nothing() {
    inside(|| {
        let mut state = 1_u32;
        for _ in 0..10_000 {
            let words: Vec<u32> = (0..WORDS)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state >> (state % 3 * 8)
                })
                .collect();
            restore(&words);
            assert_eq!(open().load(), None);
        }
    });
}

#[test]
fn the_last_value_is_found_though_the_sequence_starts_again_from_the_beginning() {
    inside(|| {
        for last in [u32::MAX - 3, u32::MAX - 2, u32::MAX - 1, u32::MAX] {
            restore(&[0; WORDS]);
            // As after so many stores.
            open().store(&value(1));
            forge_sequence(last);
            assert_eq!(open().load(), Some(value(1)), "sequence {last}");
            for number in 2..6 {
                open().store(&value(number));
                assert_eq!(open().load(), Some(value(number)), "behind sequence {last}");
            }
        }
    });
}

/// Gives the newer copy this sequence, and the other the one before it.
fn forge_sequence(last: u32) {
    forge(0, last - 1);
    forge(1, last);
}

/// Gives a copy this sequence.
fn forge(copy: usize, sequence: u32) {
    let copy = copy * COPY;
    let mut words = snapshot();
    let bytes: Vec<u8> = words[copy + 5..copy + COPY].iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = words[copy + 3];
    let head = [sequence, words[copy + 1], words[copy + 2], length].into_iter().flat_map(u32::to_le_bytes);
    let checked = head.chain(bytes[..length as usize].iter().copied());
    words[copy + 4] = checked.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    words[copy] = sequence;
    restore(&words);
}

#[test]
fn an_incident_remembers_whether_what_was_kept_was_whole_at_the_death() {
    assert_eq!(remembered(|| ()), None, "nothing was ever kept");
    assert_eq!(remembered(|| open().store(&value(1))), Some(true));
    let spoil = |copies: &[usize]| {
        for copy in copies {
            koboshi_kept()[copy * COPY + 5].fetch_xor(1, Ordering::Relaxed);
        }
    };
    let stored_and = move |spoilt: &'static [usize]| {
        move || {
            open().store(&value(1));
            spoil(spoilt);
        }
    };
    assert_eq!(remembered(stored_and(&[1])), Some(true), "one copy is enough");
    assert_eq!(remembered(stored_and(&[0, 1])), Some(false));
    assert_eq!(remembered(|| Kept::<u32>::open(Key::of_state::<u32>()).store(&7)), Some(false), "of another schema");
}

/// What is remembered of what `act` left when its component died.
fn remembered(act: impl Fn() + Send + Sync + 'static) -> Option<bool> {
    let mut machine = machine(vec![], act);
    machine.run_until(MS);
    machine.kill(KEEPER);
    assert_eq!(machine.kept_at(1), None, "there is no such incident");
    machine.kept_at(0)
}

#[test]
fn as_many_deaths_are_remembered_as_incidents() {
    let mut machine = machine(vec![], || open().store(&value(1)));
    for _ in 0..300 {
        machine.run_until(machine.now() + MS);
        machine.kill(KEEPER);
        machine.command(KEEPER, Command::Start).unwrap();
    }
    let (count, incidents) = machine.incidents(0);
    assert_eq!((count, incidents.len()), (300, 256));
    assert!((0..300).all(|number| machine.kept_at(number) == (number >= 44).then_some(true)));
}
