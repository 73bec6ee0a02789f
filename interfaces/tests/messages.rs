//! Every message comes back as it went, stays within its largest size, and no bytes from outside do any harm.

use std::fmt::Debug;

use koboshi_interface_kit::wire::{Bytes, Str};
use koboshi_interface_kit::{Fill, MAX_MESSAGE, Message, decode, encode};
use koboshi_interfaces::control::{Complaint, Denied, Reboot, Report};
use koboshi_interfaces::health::{Fault, Health, Incident, NoSuch, Outcome, Place, Registers, State};
use koboshi_interfaces::log::{Level, Record};
use koboshi_interfaces::received::Received;
use koboshi_interfaces::serial::{
    Chunk, DataBits, Flow, Line, Milliseconds, ModemLines, Parity, RefusedLine, Status, StopBits, Written,
};
use koboshi_interfaces::{ComponentId, Incarnation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn spell<T: Message>(message: &T) -> Vec<u8> {
    encode(message, &mut [0; MAX_MESSAGE]).expect("it has room").to_vec()
}

fn comes_back<T: Message + PartialEq + Debug>(message: T) {
    let spelt = spell(&message);
    assert!(spelt.len() <= T::POSTCARD_MAX_SIZE, "{message:?} takes {} bytes", spelt.len());
    assert_eq!(decode(&spelt), Some(message));
}

fn any_status() -> impl Strategy<Value = Status> {
    any::<[u32; 4]>().prop_map(|[sent, received, overruns, errors]| Status { sent, received, overruns, errors })
}

fn any_line() -> impl Strategy<Value = Line> {
    (
        any::<u32>(),
        select(vec![DataBits::Seven, DataBits::Eight]),
        select(vec![Parity::None, Parity::Even, Parity::Odd]),
        select(vec![StopBits::One, StopBits::Two]),
        select(vec![Flow::None, Flow::RtsCts]),
    )
        .prop_map(|(baud, data, parity, stop, flow)| Line { baud, data, parity, stop, flow })
}

fn any_refused_line() -> impl Strategy<Value = RefusedLine> {
    prop_oneof![
        any::<u32>().prop_map(|nearest_baud| RefusedLine::Unreachable { nearest_baud }),
        Just(RefusedLine::BreakTooLong),
        Just(RefusedLine::FlowControlled),
    ]
}

fn any_bytes<const N: usize>() -> impl Strategy<Value = Bytes<N>> {
    vec(any::<u8>(), 0..=N).prop_map(|bytes| Bytes::try_from(&bytes[..]).expect("it fits"))
}

fn any_received() -> impl Strategy<Value = Received> {
    prop_oneof![
        any_bytes().prop_map(Received::Bytes),
        any::<u8>().prop_map(Received::Framing),
        any::<u8>().prop_map(Received::Parity),
        Just(Received::Break),
        Just(Received::Overrun),
        Just(Received::Gap),
    ]
}

fn any_incarnation() -> impl Strategy<Value = Incarnation> {
    any::<(u8, u32)>().prop_map(|(component, epoch)| Incarnation { component: ComponentId(component), epoch })
}

fn any_fault() -> impl Strategy<Value = Fault> {
    select(vec![
        Fault::Access,
        Fault::IllegalInstruction,
        Fault::Panic,
        Fault::Stack,
        Fault::Stuck,
        Fault::RunAway,
        Fault::BadMessage,
        Fault::Exit,
        Fault::Told,
        Fault::Late,
    ])
}

fn any_health() -> impl Strategy<Value = Health> {
    let states = vec![
        State::Absent,
        State::Starting,
        State::Running,
        State::Quiescing,
        State::Stopped,
        State::Failed,
        State::Backoff,
        State::GivenUp,
    ];
    (select(states), any::<u32>(), any::<u32>(), proptest::option::of(any_fault()))
        .prop_map(|(state, epoch, restarts, fault)| Health { state, epoch, restarts, fault })
}

fn any_incident() -> impl Strategy<Value = Incident> {
    let outcome = prop_oneof![
        Just(Outcome::Open),
        any::<(u32, u64)>().prop_map(|(epoch, took)| Outcome::Recovered { epoch, took }),
        select(vec![Outcome::GivenUp, Outcome::EndedAgain, Outcome::Stopped, Outcome::Rebooted]),
    ];
    let allowed = (any::<Option<u64>>(), any::<bool>());
    (any::<u32>(), any_incarnation(), any_fault(), any::<u64>(), outcome, allowed, proptest::option::of(any_place()))
        .prop_map(|(sequence, ended, fault, noticed_at, outcome, (allowed, missed), at)| Incident {
            sequence,
            ended,
            fault,
            noticed_at,
            outcome,
            allowed,
            missed,
            at,
        })
}

fn any_place() -> impl Strategy<Value = Place> {
    (any::<[u32; 3]>(), any::<u16>(), "\\PC{0,8}").prop_map(|([pc, address, line], event, file)| Place {
        pc,
        address,
        event,
        file: Str::try_from(&file[..]).expect("it fits"),
        line,
    })
}

fn any_report() -> impl Strategy<Value = Report> {
    let why = select(vec![Complaint::Late, Complaint::BadMessage, Complaint::RuleBroken]);
    (any_incarnation(), why).prop_map(|(run, why)| Report { component: run.component, epoch: run.epoch, why })
}

fn any_record() -> impl Strategy<Value = Record> {
    let level = select(vec![Level::Error, Level::Warn, Level::Info, Level::Debug]);
    (level, "\\PC{0,20}").prop_map(|(level, text)| Record { level, text: Str::try_from(&text[..]).expect("it fits") })
}

proptest! {
    #[test]
    fn messages_of_serial_come_back(
        status in any_status(),
        line in any_line(),
        refused in any_refused_line(),
        chunk in any_bytes().prop_map(Chunk),
        number: u32,
        cts: bool,
        rts: bool,
    ) {
        comes_back(status);
        comes_back(line);
        comes_back::<Result<(), RefusedLine>>(Err(refused));
        comes_back::<Result<(), RefusedLine>>(Ok(()));
        comes_back(chunk);
        comes_back(Written(number));
        comes_back(Milliseconds(number));
        comes_back(ModemLines { cts, rts });
        comes_back(rts);
    }

    #[test]
    fn messages_of_received_come_back(received in any_received()) {
        comes_back(received);
    }

    #[test]
    fn messages_of_control_come_back(
        report in any_report(),
        run in any_incarnation(),
        group: u8,
        at_or_before: u32,
        denied in select(vec![Denied::NotAllowed, Denied::NoSuch, Denied::GivenUp]),
    ) {
        comes_back(report);
        comes_back(run);
        comes_back(run.component);
        comes_back(Reboot { group, at_or_before });
        comes_back::<Result<(), Denied>>(Err(denied));
    }

    #[test]
    fn messages_of_health_come_back(health in any_health(), incident in any_incident()) {
        comes_back::<Result<Health, NoSuch>>(Ok(health));
        comes_back::<Result<Health, NoSuch>>(Err(NoSuch));
        comes_back(Some(incident));
        comes_back(None::<Incident>);
        comes_back(Registers { epoch: u32::MAX, r: [u32::MAX; 16] });
    }

    #[test]
    fn messages_of_log_come_back(record in any_record()) {
        comes_back(record);
    }

    #[test]
    fn no_bytes_from_outside_make_a_decoder_misbehave(bytes in vec(any::<u8>(), 0..=MAX_MESSAGE)) {
        let _ = decode::<Line>(&bytes);
        let _ = decode::<Chunk>(&bytes);
        let _ = decode::<Received>(&bytes);
        let _ = decode::<Report>(&bytes);
        let _ = decode::<Option<Incident>>(&bytes);
        let _ = decode::<Result<Health, NoSuch>>(&bytes);
        let _ = decode::<Record>(&bytes);
    }

    #[test]
    fn received_bytes_and_chunks_are_spelt_as_fill_says(bytes in vec(any::<u8>(), 0..=44)) {
        fn by_hand<T: Fill>(bytes: &[u8]) -> Vec<u8> {
            let spelt = [T::PREFIX, &[bytes.len() as u8], bytes].concat();
            assert_eq!(spelt.len(), T::START + bytes.len());
            spelt
        }
        let received = Received::Bytes(Bytes::try_from(&bytes[..]).expect("it fits"));
        prop_assert_eq!(spell(&received), by_hand::<Received>(&bytes));
        let chunk = Chunk::try_from(&bytes[..]).expect("it fits");
        prop_assert_eq!(spell(&chunk), by_hand::<Chunk>(&bytes));
    }
}

#[test]
fn the_largest_messages_reach_their_largest_size() {
    let full = Chunk(Bytes::try_from(&[0xff; 96][..]).expect("it fits"));
    assert_eq!(spell(&full).len(), koboshi_interfaces::serial::INTERFACE.payload);
    let full = Received::Bytes(Bytes::try_from(&[0xff; 44][..]).expect("it fits"));
    assert_eq!(spell(&full).len(), koboshi_interfaces::received::INTERFACE.payload);
}
