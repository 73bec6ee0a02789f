//! Components that are modules: how they end is what happened, their memory is new each time, and they reach nothing else.
#![allow(missing_docs, reason = "the names of tests say what they say")]

use std::mem::offset_of;

use koboshi_core::ComponentId;
use koboshi_core::life::{Fault, State};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::module::{BadModule, Meter, Module};
use koboshi_host::testing::{image, run};
use koboshi_runtime::{
    Description, Duration, Exit, PortDescription, RequestPort, ServicePort, Side, Start, log, sleep,
};
use koboshi_sh4_abi::View;

mod counter {
    koboshi_interface_kit::interface! {
        /// Counts.
        service counter;

        | operation | contract   | request | reply | deadline | meaning                            |
        | --------- | ---------- | ------- | ----- | -------- | ---------------------------------- |
        | add       | Idempotent | u32     | u32   | 100 ms   | "Adds, and says what that makes." |
    }
}

const MS: u64 = 1_000_000;
const FIRST: ComponentId = ComponentId(0);
const IDLER: Description = Description { name: "idler", ports: &[], devices: &[], interrupts: &[], kept: None };

/// A module with these imports of the platform, its memory, and what it does first, given the address of its page.
fn text(parts: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "env" "koboshi_trap_wait" (func $wait (param i32 i32 i32)))
            (import "env" "koboshi_trap_ring" (func $ring (param i32)))
            (import "env" "koboshi_trap_log" (func $log (param i32 i32)))
            (import "env" "koboshi_trap_exit" (func $exit (param i32 i32)))
            (import "env" "koboshi_trap_panic" (func $panic (param i32 i32 i32)))
            (import "env" "koboshi_trap_facts" (func $facts (param i32 i32) (result i32)))
            (import "env" "koboshi_trap_read" (func $read (param i32 i32 i32) (result i32)))
            (import "env" "koboshi_trap_window_closed" (func $closed))
            (memory (export "memory") 1)
            (data (i32.const 16) "0123456789 here.rs")
            {parts}
            (func (export "koboshi_component") (param $view i32) {body}))"#
    )
}

fn module(parts: &str, body: &str) -> Module {
    let wasm = wat::parse_str(text(parts, body)).expect("it is WebAssembly");
    Module::new(&wasm).expect("it is a component's")
}

fn linked(module: &Module) -> Linked {
    Linked::module(&IDLER, module).expect("it has few ports")
}

fn machine(modules: &[&Module]) -> Machine {
    let options = Options { journal: Depth::All, ..Options::default() };
    Machine::new(&image(modules.iter().map(|module| linked(module)).collect()), options).expect("an image")
}

/// What ended the first component, and what was said of a panic.
fn end(parts: &str, body: &str) -> (Option<Fault>, Vec<String>) {
    let mut machine = machine(&[&module(parts, body)]);
    machine.run_until(MS);
    (machine.facts(FIRST).and_then(|facts| facts.fault), machine.panics().to_vec())
}

fn logged(machine: &Machine, id: ComponentId) -> Vec<String> {
    let journal = machine.journal();
    let texts = journal.events().filter_map(|(_, event)| match event {
        Event::Log { component, text } if *component == id => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn each_end_is_the_fault_that_it_was() {
    let access = |address| Some(Fault::Access { address });
    for (what, parts, body, fault, says) in [
        ("it loops", "", "(loop $l (br $l))", Some(Fault::RunAway), ""),
        (
            "it needs much",
            "",
            "(loop $l (call $facts (i32.const 0) (i32.const 64)) drop (br $l))",
            Some(Fault::RunAway),
            "",
        ),
        ("beyond its memory", "", "(i32.store (i32.const 0x7fffffff) (i32.const 1))", access(0), ""),
        ("far below it", "", "(drop (i32.load (i32.const -4)))", access(0), ""),
        ("calls without end", "(func $f (call $f))", "(call $f)", Some(Fault::Stack), ""),
        ("it comes back", "", "", Some(Fault::Exit), ""),
        ("it exits", "", "(call $exit (i32.const 16) (i32.const 10))", Some(Fault::Exit), ""),
        (
            "it panics",
            "",
            "(call $panic (i32.const 27) (i32.const 7) (i32.const 12))",
            Some(Fault::Panic),
            "idler: panicked at here.rs:12",
        ),
        ("it cannot go on", "", "unreachable", Some(Fault::Panic), "idler: wasm `unreachable` instruction executed"),
        (
            "it divides by zero",
            "",
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            Some(Fault::Panic),
            "idler: integer divide by zero",
        ),
        (
            "a function of no place",
            "(table 1 funcref) (type $t (func))",
            "(call_indirect (type $t) (i32.const 9))",
            Some(Fault::IllegalInstruction),
            "",
        ),
        (
            "a place without a function",
            "(table 1 funcref) (type $t (func))",
            "(call_indirect (type $t) (i32.const 0))",
            Some(Fault::IllegalInstruction),
            "",
        ),
        ("a device of nobody", "", "(drop (call $read (i32.const 3) (i32.const 24) (i32.const 2)))", access(24), ""),
        ("a text beyond it", "", "(call $log (i32.const 0x7fffff00) (i32.const 10))", access(0x7fff_ff00), ""),
        ("it closes a window that nobody waits for", "", "(loop $l (call $closed) (br $l))", Some(Fault::RunAway), ""),
    ] {
        let (found, panics) = end(parts, body);
        assert_eq!(found, fault, "{what}");
        let said: Vec<&str> = if says.is_empty() { vec![] } else { vec![says] };
        assert_eq!(panics, said, "{what}");
    }
}

#[test]
fn an_answer_goes_nowhere_but_into_its_own_memory() {
    for to in [-8, 0x7fff_fff0_i64, 1 << 20] {
        let body = format!("(drop (call $facts (i32.const 0) (i32.const {to})))");
        let module = module("", &body);
        let mut image = image(vec![linked(&module)]);
        image.components[0].rights.facts = true;
        let mut machine = Machine::new(&image, Options::default()).expect("an image");
        machine.run_until(MS);
        let fault = machine.facts(FIRST).and_then(|facts| facts.fault);
        assert_eq!(fault, Some(Fault::Access { address: to as u32 }));
    }
}

#[test]
fn an_overflow_of_its_own_stack_is_known_by_its_stack_pointer() {
    let stack = r#"(global $sp (export "__stack_pointer") (mut i32) (i32.const 1024))"#;
    // As compilers do it: down by a frame, then a store into it. What lies above the stack is whole at the end.
    let body = "(loop $l
        (global.set $sp (i32.sub (global.get $sp) (i32.const 64)))
        (i32.store offset=12 (global.get $sp) (i32.const -1))
        (br $l))";
    assert_eq!(end(stack, body), (Some(Fault::Stack), vec![]));
    let elsewhere = "(i32.store (i32.const -4) (i32.const -1))";
    assert_eq!(end(stack, elsewhere), (Some(Fault::Access { address: 0 }), vec![]));
}

/// Says the digit at address 16 and adds one to it, and to a variable of its own, each turn; dies at the third one.
const COUNTS: (&str, &str) = (
    "(global $turn (mut i32) (i32.const 0))",
    "(loop $l
        (call $log (i32.const 16) (i32.const 1))
        (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
        (global.set $turn (i32.add (global.get $turn) (i32.const 1)))
        (if (i32.eq (global.get $turn) (i32.const 3)) (then unreachable))
        (call $wait (i32.const 0) (i32.const 1) (i32.const 0))
        (br $l))",
);

#[test]
fn memory_and_variables_are_new_in_each_incarnation() {
    let mut machine = machine(&[&module(COUNTS.0, COUNTS.1)]);
    run(&mut machine, MS);
    let epochs = machine.facts(FIRST).map_or(0, |facts| facts.epoch);
    assert!(epochs > 5, "{epochs} incarnations");
    let said = logged(&machine, FIRST);
    assert!(
        said.chunks(3).all(|life| life.iter().zip(["0", "1", "2"]).all(|(found, wanted)| found == wanted)),
        "{said:?}"
    );
}

#[test]
fn two_instances_of_one_module_share_nothing() {
    // One turn after the other: had they one memory, each would see the other's count.
    let body = COUNTS.1.replace("(i32.const 3)", "(i32.const 9)");
    let counts = module(COUNTS.0, &body);
    let mut machine = machine(&[&counts, &counts]);
    machine.run_until(MS);
    for id in [FIRST, ComponentId(1)] {
        assert_eq!(logged(&machine, id), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    }
}

const SERVER: Description = Description {
    name: "server",
    ports: &[PortDescription { name: "counter", side: Side::Offers, interface: &counter::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};
const CLIENT: Description = Description {
    name: "client",
    ports: &[PortDescription { name: "counter", side: Side::Uses, interface: &counter::INTERFACE }],
    ..SERVER
};

struct Counter(u32);

impl counter::Server for Counter {
    async fn add(&mut self, by: u32) -> u32 {
        self.0 = self.0.wrapping_add(by);
        self.0
    }
}

async fn serve(_: Start) -> Exit {
    let Ok(port) = ServicePort::open::<counter::Port>(0) else { return Exit::Unfit("no port") };
    match counter::serve(Counter(0), port).await {}
}

async fn ask(_: Start) -> Exit {
    let Ok(port) = RequestPort::open::<counter::Port>(0) else { return Exit::Unfit("no port") };
    let mut client = counter::Client::new(port);
    for count in 1..=100 {
        if client.add(1).await != Ok(count) {
            return Exit::Unfit("it was answered wrongly");
        }
        sleep(Duration::from_micros(10)).await;
    }
    log("all was answered as it should be");
    std::future::pending().await
}

#[test]
fn one_that_fills_all_its_memory_with_lies_reaches_nobody_elses() {
    // Its page with all addresses, its own halves and its copy of its peer's: every word, another one each time.
    let liar = module(
        "",
        "(local $at i32) (local $word i32)
        (local.set $word (i32.const 12345))
        (loop $turn
            (local.set $at (i32.const 0))
            (loop $l
                (local.set $word (i32.add (i32.mul (local.get $word) (i32.const 1664525)) (i32.const 1013904223)))
                (i32.store (local.get $at) (i32.shr_u (local.get $word) (i32.and (local.get $at) (i32.const 28))))
                (local.set $at (i32.add (local.get $at) (i32.const 4)))
                (br_if $l (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
            (call $ring (i32.const -1))
            (call $wait (i32.const -1) (i32.const 0) (i32.const 0))
            (br $turn))",
    );
    let liar = |description| Linked::module(description, &liar).expect("it has one port");
    // In the order in which they are joined: each liar to an honest one, and two honest ones to each other.
    let parts = vec![
        liar(&CLIENT),
        Linked::new(&SERVER, serve),
        Linked::new(&CLIENT, ask),
        liar(&SERVER),
        Linked::new(&CLIENT, ask),
        Linked::new(&SERVER, serve),
    ];
    let mut machine =
        Machine::new(&image(parts), Options { journal: Depth::All, ..Options::default() }).expect("an image");
    run(&mut machine, 20 * MS);
    let fault = |id| machine.facts(ComponentId(id)).and_then(|facts| facts.fault);
    // What a liar's peer cannot read is the liar's fault; one who is answered with lies that can be read may give up.
    assert_eq!([fault(0), fault(3)], [Some(Fault::BadMessage); 2]);
    assert_eq!([fault(1), fault(4), fault(5)], [None; 3]);
    assert_eq!(logged(&machine, ComponentId(4)), ["all was answered as it should be"]);
    assert_eq!(machine.panics(), [""; 0]);
}

#[test]
fn its_memory_does_not_grow() {
    let body = "(if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";
    assert_eq!(end("", body), (Some(Fault::Exit), vec![]));
}

#[test]
fn a_turn_has_so_much_fuel_and_the_next_one_has_it_again() {
    // A thousand rounds of ten instructions or so in each turn.
    let body = "(local $n i32)
        (loop $turn
            (local.set $n (i32.const 1000))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (call $wait (i32.const 0) (i32.const 1) (i32.const 0))
            (br $turn))";
    let (meter, counts) = (Meter::default(), module("", body));
    let with = |fuel| counts.clone().with_turn(fuel).with_meter(meter.clone());
    let mut enough = machine(&[&with(20_000)]);
    enough.run_until(MS);
    assert_eq!(enough.facts(FIRST).and_then(|facts| facts.fault), None);
    assert!(meter.used() > 10 * 20_000, "{} units in {} turns", meter.used(), enough.turns());
    let mut too_little = machine(&[&with(1_000)]);
    too_little.run_until(MS);
    assert_eq!(too_little.facts(FIRST).and_then(|facts| facts.fault), Some(Fault::RunAway));
}

#[test]
fn an_incarnation_ends_after_the_fuel_that_was_chosen_and_only_that_one() {
    let body = COUNTS.1.replace("(i32.const 3)", "(i32.const 9)");
    let counts = module(COUNTS.0, &body);
    let used = {
        let meter = Meter::default();
        let mut machine = machine(&[&counts.clone().with_meter(meter.clone())]);
        machine.run_until(MS);
        meter.used()
    };
    assert!(used > 50, "{used}");
    let mut lives = Vec::new();
    for fuel in 0..used {
        let meter = Meter::default();
        meter.end_at(fuel);
        let mut machine = machine(&[&counts.clone().with_meter(meter.clone())]);
        machine.run_until(MS);
        assert_eq!(machine.facts(FIRST).and_then(|facts| facts.fault), Some(Fault::Told), "after {fuel}");
        assert!(meter.used() <= fuel, "{} of {fuel}", meter.used());
        lives.push(logged(&machine, FIRST).len());
        // Whoever comes after it lives on, to the end that is in the code.
        run(&mut machine, 2 * MS);
        assert!(logged(&machine, FIRST).ends_with(&["8".to_owned()]));
    }
    assert!(lives.is_sorted() && lives.first() == Some(&0) && lives.last() == Some(&9), "{lives:?}");
}

/// Reads this field of a module's page.
fn field(offset: usize) -> String {
    format!("(i32.load offset={offset} (local.get $view))")
}

#[test]
fn where_it_can_be_stopped_is_known_and_what_differs_in_what_it_leaves_behind() {
    // It says what it finds in its kept memory, and leaves 1 there, then 2; in between it does what nobody can notice.
    let kept = field(offset_of!(View, kept));
    let window = field(offset_of!(View, window));
    let wanted = field(offset_of!(View, end_wanted));
    let quiet =
        "(loop $quiet (br_if $quiet (i32.rem_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))";
    let body = format!(
        "(local $n i32)
        (i32.store8 (i32.const 16) (i32.add (i32.load8_u {kept}) (i32.const 0x30)))
        (call $log (i32.const 16) (i32.const 1))
        {quiet} (loop (i32.store8 {kept} (i32.const 1)))
        {quiet} (call $wait (i32.const 0) (i32.const 1) (i32.const 0))
        {quiet} (loop (i32.store {window} (i32.const 1)))
        {quiet} (loop (i32.store8 {kept} (i32.const 2)))
        {quiet} (loop (i32.store {window} (i32.const 0)))
        (if {wanted} (then (call $closed)))
        {quiet}"
    );
    let code = module("", &body);
    let lives_once = |meter: &Meter| {
        let mut machine = machine(&[&code.clone().with_meter(meter.clone())]);
        machine.run_until(MS);
        machine
    };
    let (plain, watching) = (Meter::default(), Meter::watching());
    assert_eq!(lives_once(&plain).journal().to_string(), lives_once(&watching).journal().to_string());
    let stops = watching.stops();
    assert_eq!(watching.used(), plain.used());
    assert_eq!(stops.last().map(|last| last.amounts.end), Some(plain.used()));
    assert!(stops[0].amounts.start == 0 && stops.windows(2).all(|two| two[0].amounts.end == two[1].amounts.start));
    let mut left = Vec::new();
    for same in stops.chunk_by(|one, next| one.leaves == next.leaves) {
        let ends: Vec<_> = same
            .iter()
            .flat_map(|stop| stop.amounts.clone().map(move |fuel| (fuel, stop.amounts.start)))
            .map(|(fuel, place)| {
                let meter = Meter::default();
                meter.end_at(fuel);
                let mut machine = lives_once(&meter);
                assert_eq!(meter.ended(), [place], "after {fuel}");
                let journal = machine.journal().to_string();
                run(&mut machine, 2 * MS);
                (journal, logged(&machine, FIRST)[..2].concat())
            })
            .collect();
        assert!(ends.windows(2).all(|two| two[0] == two[1]), "{same:?}: {ends:?}");
        left.push((same.len() > 1, same[0].window, ends[0].1.clone()));
    }
    let found: Vec<_> = left.iter().map(|(many, window, said)| (*many, *window, said.as_str())).collect();
    // What it said, and then its successor. Before it can say anything it is its successor and the one after that.
    let expected = [
        (false, false, "02"),
        (true, false, "00"),
        (true, false, "01"),
        (true, false, "01"),
        (true, true, "02"),
        (true, false, "02"),
    ];
    assert_eq!(found, expected);
    // One that was not ended says so.
    let meter = Meter::default();
    meter.end_at(plain.used());
    lives_once(&meter);
    assert_eq!(meter.ended(), [0; 0]);
}

#[test]
fn a_second_end_is_its_successors() {
    let counts = module(COUNTS.0, COUNTS.1);
    let life = {
        let meter = Meter::default();
        machine(&[&counts.clone().with_meter(meter.clone())]).run_until(MS);
        meter.used()
    };
    let meter = Meter::default();
    let mut machine = machine(&[&counts.with_meter(meter.clone())]);
    // Left alone, each life ends by itself. The second one is ended as it begins, and so is the one two lives later.
    meter.end_at(life + 1);
    meter.end_at(life * 3 + 2);
    run(&mut machine, 5 * MS);
    let journal = machine.journal();
    let ends = journal.events().filter_map(|(_, event)| match event {
        Event::Ended { fault, .. } => Some(*fault),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    let (own, told) = (Fault::Panic, Fault::Told);
    assert_eq!(ends[..6], [own, told, own, own, told, own], "{ends:?}");
    let ended = meter.ended();
    assert!(ended.len() == 2 && ended[0] <= life + 1 && ended[1] <= life * 3 + 2, "{ended:?}");
}

#[test]
fn an_end_from_outside_waits_until_an_open_window_is_closed() {
    // The word at $window is told behind the view's configuration; here it is found as components find it.
    let window = field(offset_of!(View, window));
    let wanted = field(offset_of!(View, end_wanted));
    let closes = format!(
        "(call $log (i32.const 16) (i32.const 1))
        (i32.store {window} (i32.const 1))
        (loop $l (br_if $l (i32.eqz {wanted})))
        (call $log (i32.const 17) (i32.const 1))
        (i32.store {window} (i32.const 0))
        (call $closed)
        (call $log (i32.const 18) (i32.const 1))"
    );
    let never = closes.replace("(call $closed)", "(loop $e (br $e))");
    for (body, after) in [(&closes, 900), (&never, 900)] {
        let meter = Meter::default();
        meter.end_at(after);
        let mut machine = machine(&[&module("", body).with_meter(meter)]);
        machine.run_until(MS);
        assert_eq!(machine.facts(FIRST).and_then(|facts| facts.fault), Some(Fault::Told));
        assert_eq!(logged(&machine, FIRST), ["0", "1"]);
    }
}

#[test]
fn what_is_no_component_is_refused_and_says_why() {
    let entry = r#"(func (export "koboshi_component") (param i32))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    for (text, why) in [
        (format!("(module {entry})"), "exports no `memory`"),
        (format!("(module {memory})"), "exports no function `koboshi_component`"),
        (format!(r#"(module {memory} (func (export "koboshi_component")))"#), "exports no function"),
        (format!(r#"(module (import "env" "open" (func)) {memory} {entry})"#), "cannot be loaded"),
        (
            format!(r#"(module (import "env" "koboshi_trap_now" (func (result i32))) {memory} {entry})"#),
            "cannot be loaded",
        ),
        (format!("(module {memory} {entry} (func $s) (start $s))"), "cannot be loaded"),
        (format!(r#"(module {memory} {entry} (data (i32.const 65536) "x"))"#), "cannot be loaded"),
        (format!(r#"(module (memory (export "memory") 1024) {entry})"#), "cannot be loaded"),
        (format!("(module {memory} {entry} (table 100000 funcref))"), "cannot be loaded"),
    ] {
        let wasm = wat::parse_str(&text).expect("it is WebAssembly");
        let Err(refused) = Module::new(&wasm) else { panic!("it is taken: {text}") };
        assert!(refused.to_string().contains(why), "{refused}: {text}");
    }
    for bytes in [&b"no module"[..], b"", b"\0asm\x02\0\0\0"] {
        assert!(matches!(Module::new(bytes), Err(BadModule::Refused(_))));
    }
}

#[test]
fn one_that_cannot_have_its_ports_says_so_and_ends() {
    let wasm =
        wat::parse_str(text("", "").replace(r#"(memory (export "memory") 1)"#, r#"(memory (export "memory") 1 1)"#));
    let module = Module::new(&wasm.expect("it is WebAssembly")).expect("it is a component's");
    let mut machine = machine(&[&module]);
    machine.run_until(MS);
    assert_eq!(machine.facts(FIRST).map(|facts| (facts.state, facts.fault)), Some((State::Failed, Some(Fault::Exit))));
    assert!(logged(&machine, FIRST)[0].starts_with("its memory has no room for its ports"));
}
