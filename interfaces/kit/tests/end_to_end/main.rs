//! A table at work: its server and its client over a port in memory, with servers that die.

mod memory;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embassy_futures::{block_on, yield_now};
use koboshi_interface_kit::wire::Bytes;
use koboshi_interface_kit::{
    ContractKind, Duration, Failure, Kind, MayHaveHappened, Progress, Service, StillComing, Ticket,
};
use memory::{Ending, Port};

/// A line that prints.
mod printer {
    use koboshi_interface_kit::wire::Bytes;
    use koboshi_interface_kit::{MaxSize, Schema, interface};
    use serde::{Deserialize, Serialize};

    interface! {
        /// A printer,
        /// with one tray.
        service printer;

        | operation | contract           | request   | reply          | deadline | meaning                           |
        | --------- | ------------------ | --------- | -------------- | -------- | --------------------------------- |
        | pages     | Pure               | ()        | u32            | 250 ms   | "How many pages it has made."     |
        | set_tray  | Idempotent         | u8        | Result<(), u8> | 1 s      | "Chooses a tray, if it is there." |
        | print     | Resumable<Printed> | Bytes<16> | Printed        | 250 ms   | "Prints each character once."     |
        | eject     | AtMostOnce         | ()        | ()             | 20 us    | "Throws the page out."            |
    }

    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Schema, MaxSize)]
    pub struct Printed(pub u32);

    impl From<u32> for Printed {
        fn from(count: u32) -> Self {
            Self(count)
        }
    }

    impl From<Printed> for u32 {
        fn from(printed: Printed) -> Self {
            printed.0
        }
    }
}

use printer::{Client, Printed, operation};

/// What outlives a server: paper.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

struct Printer {
    paper: Paper,
    tray: u8,
}

impl Printer {
    fn new(paper: &Paper) -> Self {
        Self { paper: paper.clone(), tray: 0 }
    }
}

impl printer::Server for Printer {
    async fn pages(&mut self, (): ()) -> u32 {
        u32::from(self.tray)
    }

    async fn set_tray(&mut self, tray: u8) -> Result<(), u8> {
        if tray > 3 {
            return Err(3);
        }
        self.tray = tray;
        Ok(())
    }

    async fn print(&mut self, text: Bytes<16>, mut progress: Progress<Printed>) -> Printed {
        loop {
            let Printed(done) = progress.get();
            let Some(byte) = text.as_slice().get(done as usize) else {
                return Printed(done);
            };
            self.paper.0.borrow_mut().push(*byte);
            progress.set(Printed(done + 1));
            yield_now().await;
        }
    }

    async fn eject(&mut self, (): ()) {
        yield_now().await;
        self.paper.0.borrow_mut().push(b'^');
        yield_now().await;
    }
}

/// Runs `client` against a server that dies after each of `lives` (counted in polls) and then lives on.
fn run<T>(port: &Port, paper: &Paper, lives: &[u32], client: impl Future<Output = T>) -> T {
    let server = async {
        for polls in lives {
            let life = async {
                for _ in 0..*polls {
                    yield_now().await;
                }
            };
            select(printer::serve(Printer::new(paper), port.clone()), life).await;
        }
        printer::serve(Printer::new(paper), port.clone()).await
    };
    match block_on(select(client, server)) {
        Either::First(result) => result,
        Either::Second(never) => match never {},
    }
}

fn text(text: &str) -> Bytes<16> {
    Bytes::try_from(text.as_bytes()).expect("it fits")
}

#[test]
fn every_operation_reaches_its_method_and_comes_back() {
    let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
    let mut client = Client::new(port.clone());
    run(&port, &paper, &[], async {
        assert_eq!(client.set_tray(2).await, Ok(Ok(())));
        assert_eq!(client.set_tray(9).await, Ok(Err(3)));
        assert_eq!(client.pages(()).await, Ok(2));
        assert_eq!(client.print(text("hello")).await, Ok(Printed(5)));
        let long = Duration::from_secs(1);
        assert_eq!(client.within(long).eject(()).await, Ok(()));
    });
    assert_eq!(paper.0.take(), b"hello^");
}

#[test]
fn a_resumable_request_is_carried_on_without_loss_or_repetition_wherever_the_server_dies() {
    for first in 1..12 {
        for second in 1..12 {
            let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
            let mut client = Client::new(port.clone());
            let answer = run(&port, &paper, &[first, second], client.print(text("koboshi")));
            assert_eq!(answer, Ok(Printed(7)));
            assert_eq!(paper.0.take(), b"koboshi", "died after {first} and {second} polls");
        }
    }
}

#[test]
fn a_request_that_must_not_be_repeated_is_answered_or_interrupted_and_done_once_at_most() {
    let mut interrupted = 0;
    for polls in 1..6 {
        let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
        let mut client = Client::new(port.clone());
        let answer = run(&port, &paper, &[polls], async { client.within(Duration::from_secs(1)).eject(()).await });
        let done = paper.0.take().len();
        match answer {
            Ok(()) => assert_eq!(done, 1),
            Err(Failure::Interrupted(MayHaveHappened)) => {
                assert!(done <= 1);
                interrupted += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(interrupted > 0, "no death met the request in hand");
}

#[test]
fn a_late_call_gives_a_ticket_and_the_ticket_gives_the_answer() {
    let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
    let mut client = Client::new(port.clone());
    run(&port, &paper, &[], async {
        let soon = Duration::from_millis(3);
        let late = client.within(soon).print(text("slow")).await;
        let Err(Failure::Late { ticket, means: StillComing }) = late else {
            panic!("{late:?}");
        };
        assert_eq!(client.wait(ticket).await, Ok(Printed(4)));
    });
}

#[test]
fn late_means_may_have_happened_where_nobody_will_try_again() {
    let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
    let mut client = Client::new(port.clone());
    let late = run(&port, &paper, &[], client.eject(()));
    assert_eq!(late, Err(Failure::Late { ticket: Ticket::new(0), means: MayHaveHappened }));
}

#[test]
fn what_cannot_be_served_is_refused_and_the_next_request_is_served() {
    let (port, paper) = (Port::new(printer::INTERFACE), Paper::default());
    port.forge(4, &[]); // no such operation
    port.forge(255, &[]);
    port.forge(2, &[16, 1]); // sixteen bytes promised, one there
    port.forge(1, &[1, 1]); // one byte too many
    let mut client = Client::new(port.clone());
    assert_eq!(run(&port, &paper, &[], client.pages(())), Ok(0));
    assert_eq!(port.endings()[..4], [const { Ending::Refused }; 4]);
    assert_eq!(paper.0.take(), b"");
}

#[test]
fn the_rows_say_what_the_table_says() {
    let interface = printer::INTERFACE;
    assert_eq!(interface.path, "koboshi-interface-kit/printer");
    assert_eq!(interface.path, printer::Port::PATH);
    assert_eq!(interface.kind, Kind::Service);
    assert_eq!(interface.meaning, "A printer, with one tray.");
    assert_eq!(interface.payload, 17);
    let names: Vec<_> = interface.operations.iter().map(|row| (row.index, row.name)).collect();
    assert_eq!(names, [(0, "pages"), (1, "set_tray"), (2, "print"), (3, "eject")]);
    let print = &interface.operations[2];
    assert_eq!(print.contract, ContractKind::Resumable);
    assert_eq!(print.progress.map(|schema| schema.name), Some("Printed"));
    assert_eq!((print.request_max, print.reply_max), (17, 5));
    assert_eq!(print.request.name, "Bytes<16>");
    assert_eq!(print.deadline, Duration::from_millis(250));
    assert_eq!(print.meaning, "Prints each character once.");
    assert_eq!(interface.operations[1].deadline, Duration::from_secs(1));
    assert_eq!(interface.operations[3].deadline, Duration::from_micros(20));
}

#[test]
fn each_contract_has_its_mask_of_operations() {
    let interface = printer::INTERFACE;
    assert_eq!(interface.mask(ContractKind::Pure), 0b0001);
    assert_eq!(interface.mask(ContractKind::Idempotent), 0b0010);
    assert_eq!(interface.mask(ContractKind::Resumable), 0b0100);
    assert_eq!(interface.mask(ContractKind::AtMostOnce), 0b1000);
}

#[test]
fn a_failure_says_which_operation_failed_and_what_is_known() {
    let failure = Failure::<operation::eject>::Interrupted(MayHaveHappened);
    assert_eq!(
        failure.to_string(),
        "koboshi-interface-kit/printer/eject: the server died with it in hand; it may have happened"
    );
    let failure = Failure::<operation::print>::Late { ticket: Ticket::new(7), means: StillComing };
    assert_eq!(format!("{failure:?}"), "Late { ticket: Ticket(7), means: StillComing }");
}

#[test]
fn a_match_needs_no_arm_for_an_ending_that_the_contract_rules_out() {
    fn name(failure: Failure<operation::print>) -> &'static str {
        match failure {
            Failure::Late { .. } => "late",
            Failure::NotSent => "not sent",
            Failure::Expired { .. } => "expired",
            Failure::Poisoned { .. } => "poisoned",
            Failure::Gone { .. } => "gone",
            Failure::Refused => "refused",
        }
    }
    assert_eq!(name(Failure::Gone { progress: 3 }), "gone");
}
