//! A board's one line to a computer: carries a program's bytes to and from the Monitor, packages to the loader, and answers
//! questions about the image.
//!
//! Rules kept here: bytes go through `koboshi_link`, which keeps them exact whatever becomes of the line and its driver; a
//! program's byte leaves the Monitor's side only for a message that has room. What was in hand when this component dies is
//! lost with its session of the link, and both the program and whoever asks are told so at the other end.
//!
//! It must never: judge what it carries, or command anything that it was not asked for.
#![no_std]

pub mod message;

use core::cell::RefCell;
use core::convert::Infallible;

use koboshi_interface_kit::Fill;
use koboshi_interface_kit::wire::Bytes;
use koboshi_interfaces::loading;
use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{self, Chunk, Line};
use koboshi_link::{Channel, Link, Session, Timing, Wake};
use koboshi_runtime::authority::{self, Command, ComponentId, Denied, Knock, Version};
use koboshi_runtime::executor::apart;
use koboshi_runtime::kit::{Failure, Operation, Ticket};
use koboshi_runtime::platform::koboshi_port;
use koboshi_runtime::time::{until, wake_at};
use koboshi_runtime::{
    Description, Device, Duration, Exit, Fault, PortDescription, RequestPort, Side, Start, Subscriber, configuration,
    join, join4, now, sleep, window,
};

use message::{Ask, Assembly, Bring, Brought, FromProgram, Health, PART, Sent, ToProgram, Told};

/// The console, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "console",
    ports: &[
        PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Uses, interface: &received::INTERFACE },
        PortDescription { name: "loading", side: Side::Uses, interface: &loading::INTERFACE },
    ],
    devices: &["program"],
    interrupts: &[],
    kept: None,
};

/// Bytes that a channel holds in each direction.
pub const WINDOW: usize = 512;

/// A write of the line's driver may take so long. The link sends again what did not go out.
const PATIENCE: Duration = Duration::from_millis(500);

/// The place of the port `loading` in [`DESCRIPTION`]. An image without a loader does not join it.
const LOADING: u8 = 2;

/// The driver refused: it is asked again after so long.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Registers of the device `program`: a line's end seen from its program's side.
mod register {
    pub(super) const WAITING: u32 = 0x00;
    pub(super) const POP: u32 = 0x04;
    pub(super) const ROOM: u32 = 0x08;
    pub(super) const PUSH: u32 = 0x0C;
    pub(super) const ANNOUNCE: u32 = 0x10;
    pub(super) const STATE: u32 = 0x18;
    pub(super) const WANTED: u32 = 0x1C;
    pub(super) const APPLIED: u32 = 0x20;
    pub(super) const BAUD: u32 = 0x24;
    pub(super) const FRAMING: u32 = 0x28;
    pub(super) const TAKEN: u32 = 0x34;
    pub(super) const GIVEN: u32 = 0x38;
}

type End = RefCell<Link<WINDOW>>;

/// One incarnation, from what the image gives it. How it begins does not matter: the other end hears of a new session.
pub async fn start(_: Start) -> Exit {
    let Some(line) = configuration::<Line>() else { return Exit::Unfit("it is not told how its line is set") };
    let (mut serial, received) = match (RequestPort::open::<serial::Port>(0), Subscriber::open(1)) {
        (Ok(serial), Ok(received)) => (serial::Client::new(serial), received),
        (Err(unfit), _) | (_, Err(unfit)) => return unfit,
    };
    let loader = match koboshi_port(LOADING).map(|_| RequestPort::open::<loading::Port>(LOADING)).transpose() {
        Ok(loader) => loader.map(loading::Client::new),
        Err(unfit) => return unfit,
    };
    let session = Session(serial.end().epoch().0 as u16);
    let link = RefCell::new(Link::new(session, Timing::of_line(line.baud)));
    let program = Device::open(0);
    // In this order: what was received is acted on in the same turn, and sent at its end.
    join(
        join4(
            receive(&link, received),
            apart(from_program(&link, &program)),
            apart(to_program(&link, &program)),
            apart(join(answer(&link), bring(&link, loader))),
        ),
        transmit(&link, serial),
    )
    .await;
    Exit::Done
}

/// Gives the link what arrives. What the line has lost or spoilt the link finds out by itself.
async fn receive(link: &End, mut received: Subscriber<received::Port>) -> Infallible {
    loop {
        match received.item().await {
            Ok(Received::Bytes(bytes)) => link.borrow_mut().receive(bytes.as_slice()),
            Ok(Received::Framing(byte) | Received::Parity(byte)) => link.borrow_mut().receive(&[byte]),
            Ok(Received::Break | Received::Overrun | Received::Gap) | Err(_) => {}
        }
        received.release();
    }
}

/// Puts on the line what the link has to send.
async fn transmit(link: &End, mut serial: serial::Client<RequestPort>) -> Infallible {
    // Asked by an incarnation before this one, in a session that is over.
    serial.end().cancel_all();
    // Behind each chunk the link is asked once more: so it knows where it has fallen silent.
    let mut ask = true;
    loop {
        let chunk = until(|| {
            let mut link = link.borrow_mut();
            // Most turns have nothing to send: neither the clock is asked then, nor room made.
            if !ask && link.wake() == Wake::Never {
                return None;
            }
            let mut room = [0; Chunk::CAPACITY];
            let count = link.transmit(&mut room, now());
            ask = count > 0;
            if count == 0 {
                if let Wake::At(at) = link.wake() {
                    wake_at(at);
                }
                return None;
            }
            let mut bytes = Bytes::new();
            let _fits = bytes.extend_from_slice(room.get(..count)?);
            Some(Chunk(bytes))
        })
        .await;
        match serial.within(PATIENCE).write(chunk).await {
            Ok(_) => {}
            Err(Failure::Late { ticket: Ticket { position, .. }, .. }) => serial.end().cancel(position),
            Err(_) => sleep(TRY_AGAIN).await,
        }
    }
}

/// What a program does at its end of the line.
async fn from_program(link: &End, program: &Device) -> Infallible {
    let mut found = Assembly::default();
    loop {
        next(link, Channel::Application, &mut found).await;
        match found.message() {
            Some(FromProgram::Bytes(bytes)) => {
                for byte in bytes {
                    until(|| (program.read32(register::ROOM) > 0).then_some(())).await;
                    window(|| program.write32(register::PUSH, (*byte).into()));
                }
            }
            Some(FromProgram::Line { number, baud, framing }) => {
                program.write32(register::BAUD, baud);
                program.write32(register::FRAMING, framing);
                program.write32(register::WANTED, number);
            }
            None => {}
        }
        found.next();
    }
}

/// Waits for the next message. Where a session begins, its first one is the next.
async fn next(link: &End, channel: Channel, found: &mut Assembly) {
    until(|| {
        loop {
            if let Ok(whole) = found.fill(&mut link.borrow_mut(), channel) {
                return whole.then_some(());
            }
        }
    })
    .await;
}

/// What became of a message that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It is on its way.
    Yes,
    /// It is too long.
    Never,
    /// The other end has begun anew, and knows nothing of what was said before. It was not sent.
    BegunAnew,
}

/// Sends a message as soon as there is room.
async fn say(link: &End, channel: Channel, message: &impl serde::Serialize) -> Said {
    until(|| match message::send(&mut link.borrow_mut(), channel, message) {
        Ok(Sent::NoRoom) => None,
        Ok(Sent::Whole) => Some(Said::Yes),
        Ok(Sent::TooLong) => Some(Said::Never),
        Err(_) => Some(Said::BegunAnew),
    })
    .await
}

/// What the program is told: at the beginning of a session how the line's end is, and then what is new.
async fn to_program(link: &End, program: &Device) -> Infallible {
    loop {
        let (gone, applied) = (program.read32(register::STATE) == 2, program.read32(register::APPLIED));
        let (taken, given) = (program.read32(register::TAKEN), program.read32(register::GIVEN));
        if say(link, Channel::Application, &ToProgram::Began { taken, given, applied, gone }).await == Said::Yes {
            tell_news(link, program, gone, applied).await;
        }
    }
}

/// Tells the program what is new, until the other end begins anew. `gone` and `applied`: what it was told last.
async fn tell_news(link: &End, program: &Device, mut gone: bool, mut applied: u32) {
    loop {
        // Nothing is taken for which there is no room.
        until(|| (link.borrow().room(Channel::Application) >= PART + 8).then_some(())).await;
        let mut count = 0;
        let mut bytes = [0; PART];
        while count < PART && program.read32(register::WAITING) > 0 {
            if let Some(place) = bytes.get_mut(count) {
                window(|| *place = program.read32(register::POP) as u8);
            }
            count += 1;
        }
        if let Some(bytes) = bytes.get(..count).filter(|bytes| !bytes.is_empty()) {
            if say(link, Channel::Application, &ToProgram::Bytes(bytes)).await == Said::BegunAnew {
                return;
            }
            continue;
        }
        let news = until(|| {
            let (state, set) = (program.read32(register::STATE) == 2, program.read32(register::APPLIED));
            if state != gone {
                gone = state;
                return Some(Some(ToProgram::Gone(gone)));
            }
            if set != applied {
                applied = set;
                return Some(Some(ToProgram::Applied(applied)));
            }
            if let Some(what) = program.read32(register::ANNOUNCE).checked_sub(1) {
                return Some(Some(ToProgram::Announced(what)));
            }
            (program.read32(register::WAITING) > 0).then_some(None)
        })
        .await;
        if let Some(news) = news
            && say(link, Channel::Application, &news).await == Said::BegunAnew
        {
            return;
        }
    }
}

/// Answers questions, one after the other.
async fn answer(link: &End) -> Infallible {
    let mut found = Assembly::default();
    loop {
        next(link, Channel::Control, &mut found).await;
        let answer = found.message().map_or(Told::Denied, told);
        if say(link, Channel::Control, &answer).await == Said::Never {
            say(link, Channel::Control, &Told::Denied).await;
        }
        found.next();
    }
}

/// Carries a package to the loader, step by step.
async fn bring(link: &End, mut loader: Option<loading::Client<RequestPort>>) -> Infallible {
    if let Some(loader) = &mut loader {
        // Asked by an incarnation before this one: whoever wanted it has been told that nobody knows.
        loader.end().cancel_all();
    }
    let mut found = Assembly::default();
    loop {
        next(link, Channel::Packages, &mut found).await;
        let brought = match (found.message(), &mut loader) {
            (Some(step), Some(loader)) => brought(loader, step).await,
            _ => Brought::Nobody,
        };
        say(link, Channel::Packages, &brought).await;
        found.next();
    }
}

async fn brought(loader: &mut loading::Client<RequestPort>, step: Bring) -> Brought {
    fn unsure<O: Operation>(loader: &mut loading::Client<RequestPort>, failure: &Failure<O>) -> Brought {
        match failure {
            Failure::Late { ticket, .. } => loader.end().cancel(ticket.position),
            Failure::Gone { .. } | Failure::Refused => return Brought::Nobody,
            _ => {}
        }
        Brought::Unknown
    }
    match step {
        Bring::Begin(package) => match loader.begin(package).await {
            Ok(here) => Brought::Here(here),
            Err(failure) => unsure(loader, &failure),
        },
        Bring::Piece(piece) => match loader.piece(piece).await {
            Ok(here) => Brought::Here(here),
            Err(failure) => unsure(loader, &failure),
        },
        Bring::Swap(package) => match loader.swap(package).await {
            Ok(done) => Brought::Swap(done),
            Err(failure) => unsure(loader, &failure),
        },
        Bring::Words(from) => match loader.words(from).await {
            Ok(words) => Brought::Words(words),
            Err(failure) => unsure(loader, &failure),
        },
    }
}

fn told(ask: Ask) -> Told {
    let command = |who, wanted| match authority::command(ComponentId(who), wanted) {
        Ok(()) => Told::Done,
        Err(Denied::State(state)) => Told::NotNow(state),
        Err(Denied::Unknown | Denied::Right) => Told::Denied,
    };
    match ask {
        Ask::Health(who) => match authority::facts(ComponentId(who)) {
            Ok(facts) => Told::Health(Health {
                now: now().as_ticks(),
                state: facts.state,
                epoch: facts.epoch,
                on_probation: facts.on_probation,
                starts: facts.starts.count(),
                fault: facts.fault,
            }),
            Err(_) => Told::Denied,
        },
        Ask::Incident(number) => Told::Incident(now().as_ticks(), authority::incident(number)),
        Ask::Registers(who) => Told::Registers(authority::registers(ComponentId(who))),
        Ask::Knock(who, how) => Knock::of_code(how).map_or(Told::Denied, |how| command(who, Command::Knock(how))),
        Ask::Wake(who) => command(who, Command::Wake),
        Ask::End(who) => command(who, Command::End(Fault::Told)),
        Ask::Start(who) => command(who, Command::Start),
        Ask::Back(who) => command(who, Command::Swap(Version::Before)),
    }
}
