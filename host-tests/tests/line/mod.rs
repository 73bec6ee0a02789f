//! A bench for a serial driver alone: the real driver, the model of its device, and a client that does what it is told.
//!
//! Nobody polls: the client sleeps until the bench rings its bell, so that turns can be counted.
#![allow(dead_code, reason = "the tests of each driver use what fits its device")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use koboshi_core::ComponentId;
use koboshi_core::kernel::{Command, Rights};
use koboshi_core::life::{Fault, State};
use koboshi_host::application::Application;
use koboshi_host::device::{DeviceModel, Width};
use koboshi_host::image::{Connection, Costs, DeviceModelKind, Image, ImageComponent, ImageDevice, PortEnd, WhenGone};
use koboshi_host::journal::{Depth, Event};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, Options};
use koboshi_host::ns16550::Ns16550;
use koboshi_host::scif::{Counters, FifoDepth, Layout, Scif};
use koboshi_host::wire::{self, LineSettings, Wire};
use koboshi_host_tests::system::Drives;
use koboshi_interfaces::received::{self, Received};
use koboshi_interfaces::serial::{
    self, Chunk, DataBits, Flow, Line, Milliseconds, ModemLines, Parity, RefusedLine, Status, StopBits,
};
use koboshi_runtime::time::until;
use koboshi_runtime::{
    Description, Device, Duration, Exit, Interrupt, PortDescription, RequestPort, Side, Subscriber, join3,
};
use koboshi_scif_driver::device::{Board, Chip};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000 * MS;

pub(crate) const DRIVER: ComponentId = ComponentId(0);
const CLIENT: ComponentId = ComponentId(1);

/// How long the driver may be away from its wait.
pub(crate) const RESPOND_WITHIN: u64 = 200_000;

/// How often the bench looks whether the driver has to be started again.
const LOOK_EVERY: u64 = 50_000;

/// No request of a test takes longer.
const AT_MOST: u64 = 20 * S;

const CLIENT_DESCRIPTION: Description = Description {
    name: "client",
    ports: &[
        PortDescription { name: "serial", side: Side::Uses, interface: &serial::INTERFACE },
        PortDescription { name: "received", side: Side::Uses, interface: &received::INTERFACE },
    ],
    devices: &["bell"],
    interrupts: &["bell"],
    kept: None,
};

/// What the client is to ask of the driver.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Status,
    Configure(Line),
    /// In chunks, one after the other.
    Write(Vec<u8>),
    Break(u32),
    ModemLines,
    SetRts(bool),
}

/// How that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Status(Status),
    Done(Result<(), RefusedLine>),
    Written(usize),
    Lines(ModemLines),
    Failed(String),
}

/// What arrived, byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum In {
    Byte(u8),
    Framing(u8),
    Parity(u8),
    Break,
    Overrun,
    Gap,
}

/// The board under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    pub(crate) chip: Chip,
    pub(crate) fifo: FifoDepth,
    pub(crate) clock_hz: u32,
    pub(crate) line: Line,
    /// Which driver the SCIF has.
    pub(crate) drives: Drives,
    /// It is no SCIF but this.
    pub(crate) uart: Option<Uart>,
}

/// A 16550A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uart {
    pub(crate) shift: u8,
    pub(crate) auto_flow: bool,
    /// Its interrupt is joined to the board; otherwise the driver looks every half millisecond.
    pub(crate) wired: bool,
}

impl Default for Fit {
    /// 64 MHz make 115,200 (2.1 % off) and 1,000,000 baud.
    fn default() -> Self {
        let (chip, fifo) = (Chip::Sh7751r, FifoDepth::Sixteen);
        Fit { chip, fifo, clock_hz: 64_000_000, line: Line::default(), drives: Drives::Scif, uart: None }
    }
}

impl Fit {
    pub(crate) fn at(self, baud: u32) -> Self {
        Fit { line: Line { baud, ..self.line }, ..self }
    }

    pub(crate) fn with_flow(self) -> Self {
        Fit { line: Line { flow: Flow::RtsCts, ..self.line }, ..self }
    }

    /// By this driver: both layouts, and the SH7780 with either depth.
    pub(crate) fn of(drives: Drives) -> [Fit; 3] {
        let (chip, fifo, first) = (Chip::Sh7780, FifoDepth::SixtyFour, Fit { drives, ..Fit::default() });
        [first, Fit { chip, ..first }, Fit { chip, fifo, ..first }]
    }

    /// By either driver.
    pub(crate) fn all() -> [Fit; 6] {
        let [first, second, third] = Fit::of(Drives::Scif);
        let [fourth, fifth, sixth] = Fit::of(Drives::ScifPolled);
        [first, second, third, fourth, fifth, sixth]
    }
}

/// The real driver for this board.
pub(crate) fn real(fit: &Fit) -> Linked {
    match fit.uart {
        None => fit.drives.linked(),
        Some(_) => Drives::Ns16550.linked(),
    }
}

/// How the outside end sets a line that the driver has set like this.
pub(crate) fn outside(line: &Line) -> LineSettings {
    LineSettings {
        baud: line.baud,
        data_bits: if line.data == DataBits::Seven { 7 } else { 8 },
        parity: match line.parity {
            Parity::None => wire::Parity::None,
            Parity::Even => wire::Parity::Even,
            Parity::Odd => wire::Parity::Odd,
        },
        stop_bits: if line.stop == StopBits::Two { 2 } else { 1 },
        flow_control: line.flow == Flow::RtsCts,
    }
}

struct Shared {
    asks: VecDeque<Ask>,
    told: Vec<Told>,
    asked: usize,
    answered: usize,
    items: Vec<Received>,
    consumes: bool,
    /// The client waits for as long as it takes, not for as long as the interface says.
    patient: bool,
}

type Stage = Arc<Mutex<Shared>>;

async fn does_as_told(stage: &Stage, mut serial: serial::Client<RequestPort>) -> Exit {
    loop {
        let ask = until(|| stage.lock().unwrap().asks.pop_front()).await;
        let told = if stage.lock().unwrap().patient {
            asks(ask, &mut serial.within(Duration::from_secs(3_600))).await
        } else {
            asks(ask, &mut serial).await
        };
        let mut stage = stage.lock().unwrap();
        stage.told.push(told);
        stage.answered += 1;
    }
}

async fn asks<E: koboshi_interface_kit::ClientEnd>(ask: Ask, serial: &mut serial::Client<E>) -> Told {
    macro_rules! told {
        ($asked:expr, $as:expr) => {
            $asked.await.map_or_else(|failure| Told::Failed(format!("{failure:?}")), $as)
        };
    }
    match ask {
        Ask::Status => told!(serial.status(()), Told::Status),
        Ask::Configure(line) => told!(serial.configure(line), Told::Done),
        Ask::Break(length) => told!(serial.send_break(Milliseconds(length)), Told::Done),
        Ask::ModemLines => told!(serial.modem_lines(()), Told::Lines),
        Ask::SetRts(may_send) => told!(serial.set_rts(may_send), Told::Done),
        Ask::Write(bytes) => {
            let mut written = 0;
            for chunk in bytes.chunks(96) {
                match serial.write(Chunk::try_from(chunk).unwrap()).await {
                    Ok(count) => written += count.0 as usize,
                    Err(failure) => return Told::Failed(format!("{failure:?} after {written} bytes")),
                }
            }
            Told::Written(written)
        }
    }
}

async fn consumes(stage: &Stage, mut received: Subscriber<received::Port>) -> Exit {
    loop {
        let item = until(|| received.peek().filter(|_| stage.lock().unwrap().consumes)).await;
        stage.lock().unwrap().items.push(item.expect("the driver spells well"));
        received.release();
    }
}

async fn answers_the_bell() -> Exit {
    let (bell, line) = (koboshi_monitor::device::Application::new(Device::open(0)), Interrupt::open(0));
    bell.enable(true, false);
    until(|| {
        while bell.waiting() > 0 {
            let _ring = bell.pop();
        }
        if line.delivered() {
            line.acknowledge();
        }
        None
    })
    .await
}

async fn client(stage: Stage) -> Exit {
    let serial = serial::Client::new(RequestPort::open::<serial::Port>(0).unwrap());
    let received = Subscriber::open(1).unwrap();
    // The bell is polled last: by then the others have looked.
    join3(does_as_told(&stage, serial), consumes(&stage, received), answers_the_bell()).await.0
}

/// The driver on its bench.
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    /// Whether a driver that has died is started again at once.
    pub(crate) revives: bool,
    fit: Fit,
    stage: Stage,
}

impl Bench {
    /// The driver is up, and the outside end is set as it is.
    pub(crate) fn new(fit: Fit) -> Self {
        let mut bench = Bench::with_driver(fit, fit, real(&fit));
        // The driver waits for one bit before it lets the device go.
        bench.run_bytes(1);
        assert_eq!(bench.state(), State::Running);
        bench
    }

    /// Before anything has happened, with this driver; it may believe to be on another board.
    pub(crate) fn with_driver(fit: Fit, believes: Fit, driver: Linked) -> Self {
        let stage = Arc::new(Mutex::new(Shared {
            asks: VecDeque::new(),
            told: vec![],
            asked: 0,
            answered: 0,
            items: vec![],
            consumes: true,
            patient: true,
        }));
        let options = Options { journal: Depth::All, ..Options::default() };
        let machine = Machine::new(&image(fit, believes, driver, &stage), options).unwrap();
        Bench { machine, revives: true, fit, stage }
    }

    /// Runs for so many nanoseconds. No component panics but where a test strikes.
    pub(crate) fn run(&mut self, span: u64) {
        let end = self.machine.now() + span;
        while self.machine.now() < end {
            let next = if self.revives { end.min(self.machine.now() + LOOK_EVERY) } else { end };
            self.machine.run_until(next);
            if self.revives && self.state() == State::Failed {
                self.revive();
            }
        }
        assert!(self.machine.panics().is_empty(), "{:?}", self.machine.panics());
        assert_eq!(self.machine.stale_accesses(), 0);
    }

    pub(crate) fn state(&self) -> State {
        self.machine.facts(DRIVER).unwrap().state
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.machine.facts(DRIVER).unwrap().fault
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.machine.facts(DRIVER).unwrap().epoch
    }

    /// Ends the driver, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.machine.kill(DRIVER);
    }

    /// Starts the driver that has died again: it adopts its device.
    pub(crate) fn revive(&mut self) {
        self.machine.command(DRIVER, Command::Start).unwrap();
    }

    /// The driver dies and is up again.
    pub(crate) fn recover(&mut self) {
        self.kill();
        self.revive();
        self.run(MS);
    }

    fn wake(&mut self) {
        let taken = self.machine.application("bell", |bell| bell.offer(&[0])).unwrap();
        assert_eq!(taken, Ok(1));
    }

    /// The client asks this next.
    pub(crate) fn ask(&mut self, ask: Ask) {
        {
            let mut stage = self.stage.lock().unwrap();
            stage.asks.push_back(ask);
            stage.asked += 1;
        }
        self.wake();
    }

    /// How everything ended since this was last called.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.stage.lock().unwrap().told)
    }

    /// Asks, and runs until it is answered, behind all that was asked before.
    pub(crate) fn answer(&mut self, ask: Ask) -> Told {
        let asked = format!("{ask:?}");
        self.ask(ask);
        let end = self.machine.now() + AT_MOST;
        while self.machine.now() < end {
            self.run(LOOK_EVERY);
            let all = { self.stage.lock().unwrap() };
            if all.answered == all.asked {
                drop(all);
                return self.told().pop().expect("it was answered");
            }
        }
        panic!("{asked} is not answered; {}", self.last_events());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert_eq!(self.answer(Ask::Write(bytes.to_vec())), Told::Written(bytes.len()));
    }

    pub(crate) fn configure(&mut self, line: Line) {
        assert_eq!(self.answer(Ask::Configure(line)), Told::Done(Ok(())));
    }

    /// Both ends are set to this.
    pub(crate) fn set_both(&mut self, line: Line) {
        self.configure(line);
        self.wire(|wire| wire.set_settings(outside(&line)));
    }

    /// Whether the client takes what arrives.
    pub(crate) fn consume(&mut self, on: bool) {
        self.stage.lock().unwrap().consumes = on;
        self.wake();
    }

    /// The client waits no longer than the interface says.
    pub(crate) fn be_impatient(&mut self) {
        self.stage.lock().unwrap().patient = false;
    }

    pub(crate) fn scif<T>(&mut self, act: impl FnOnce(&mut Scif) -> T) -> T {
        self.machine.scif("line", act).unwrap()
    }

    pub(crate) fn uart<T>(&mut self, act: impl FnOnce(&mut Ns16550) -> T) -> T {
        self.machine.ns16550("line", act).unwrap()
    }

    pub(crate) fn uart_shift(&self) -> u8 {
        self.fit.uart.expect("it is a 16550A").shift
    }

    pub(crate) fn wire<T>(&mut self, act: impl FnOnce(&mut Wire) -> T) -> T {
        self.machine.wire("line", act).unwrap()
    }

    pub(crate) fn counters(&mut self) -> Counters {
        self.scif(|scif| *scif.counters())
    }

    /// What the outside end sends.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire(|wire| wire.send_bytes(bytes.iter().copied()));
    }

    /// The good bytes that the outside end has heard since this was last called.
    pub(crate) fn heard(&mut self) -> Vec<u8> {
        self.wire(Wire::take_received)
    }

    /// What the client has received since this was last called.
    pub(crate) fn received(&mut self) -> Vec<In> {
        let items = std::mem::take(&mut self.stage.lock().unwrap().items);
        let mut all = vec![];
        for item in items {
            match item {
                Received::Bytes(bytes) => all.extend(bytes.as_slice().iter().map(|byte| In::Byte(*byte))),
                Received::Framing(byte) => all.push(In::Framing(byte)),
                Received::Parity(byte) => all.push(In::Parity(byte)),
                Received::Break => all.push(In::Break),
                Received::Overrun => all.push(In::Overrun),
                Received::Gap => all.push(In::Gap),
            }
        }
        all
    }

    /// Runs for as long as so many bytes take on the line, and a little longer.
    pub(crate) fn run_bytes(&mut self, bytes: usize) {
        // A start bit, eight for data, and up to three more.
        let bits = 12 * bytes as u64;
        let baud = self.wire(|wire| wire.settings().baud);
        self.run(MS + bits * S / u64::from(baud));
    }

    fn pins(&self) -> u32 {
        if self.fit.chip == Chip::Sh7751r { 0x20 } else { 0x24 }
    }

    /// SCSMR, SCBRR, SCSCR, SCFCR and SCSPTR, read without touching the device.
    pub(crate) fn registers(&mut self) -> [u32; 5] {
        let places = [(0x00, Width::Half), (0x04, Width::Byte), (0x08, Width::Half), (0x18, Width::Half)];
        let pins = (self.pins(), Width::Half);
        self.scif(|scif| {
            let (mut copy, now) = (scif.clone(), scif.now());
            [places[0], places[1], places[2], places[3], pins].map(|(at, width)| copy.read(at, width, now).unwrap())
        })
    }

    /// Writes a register behind the driver's back.
    pub(crate) fn poke(&mut self, offset: u32, width: Width, value: u32) {
        self.scif(|scif| {
            let now = scif.now();
            scif.write(offset, width, value, now).unwrap();
        });
    }

    /// When the driver's incarnations ended, and why.
    pub(crate) fn ends(&self) -> Vec<(u64, Fault)> {
        let journal = self.machine.journal();
        let of_it = journal.events().filter_map(|(at, event)| match event {
            Event::Ended { component, fault, .. } if *component == DRIVER => Some((*at, *fault)),
            _ => None,
        });
        of_it.collect()
    }

    pub(crate) fn last_events(&self) -> String {
        let text = self.machine.journal().to_string();
        let skip = text.lines().count().saturating_sub(60);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// The device was used as it must be, and no frame in either direction was cut short or missed.
    pub(crate) fn assert_untouched(&mut self) {
        if self.fit.uart.is_some() {
            let counters = self.uart(|uart| *uart.counters());
            let found = (counters.spoilt, counters.discarded_tx, counters.discarded_rx);
            assert_eq!(found, (0, 0, 0), "{counters:?}");
            return self.assert_proper();
        }
        let counters = self.counters();
        let found = (counters.aborted, counters.missed, counters.discarded_tx, counters.discarded_rx);
        assert_eq!(found, (0, 0, 0, 0), "{counters:?}");
        self.assert_proper();
    }

    /// The device was used as it must be.
    pub(crate) fn assert_proper(&mut self) {
        if self.fit.uart.is_some() {
            let counters = self.uart(|uart| *uart.counters());
            let misuses = [
                counters.pushed_into_full,
                counters.popped_empty,
                counters.popped_unseen,
                counters.write_of_read_only_register,
                counters.set_while_sending,
            ];
            assert_eq!(misuses, [0; 5], "{counters:?}");
            return;
        }
        let counters = self.counters();
        let misuses = [
            counters.pushed_into_full,
            counters.popped_empty,
            counters.read_of_undefined_register,
            counters.write_of_read_only_register,
            counters.illegal_reprogramming,
        ];
        assert_eq!(misuses, [0; 5], "{counters:?}");
    }
}

/// Each byte, without a fault.
pub(crate) fn good(bytes: &[u8]) -> Vec<In> {
    bytes.iter().map(|byte| In::Byte(*byte)).collect()
}

fn image(fit: Fit, believes: Fit, driver: Linked, stage: &Stage) -> Image {
    let scif = Board {
        chip: believes.chip,
        fifo: believes.fifo.bytes() as u8,
        clock_hz: fit.clock_hz,
        line: fit.line,
        rate_reads_back: true,
    };
    let board = match believes.uart {
        None => postcard::to_stdvec(&scif),
        Some(uart) => postcard::to_stdvec(&koboshi_ns16550_driver::device::Board {
            shift: uart.shift,
            clock_hz: fit.clock_hz,
            line: fit.line,
            auto_flow: uart.auto_flow,
            look_each_ns: (!uart.wired).then_some(MS / 2),
        }),
    };
    let layout = match fit.chip {
        Chip::Sh7751r => Layout::SH7751R,
        Chip::Sh7780 => Layout::SH7780,
    };
    let component = |name: &str, linked, vcpu, configuration| ImageComponent {
        swappable: None,
        recover_within: None,
        name: name.to_owned(),
        linked,
        vcpu,
        respond_within: RESPOND_WITHIN,
        configuration,
        rights: Rights { blame: true, ..Rights::default() },
    };
    let stage = Arc::clone(stage);
    let asking = Linked::new(&CLIENT_DESCRIPTION, move |_| client(Arc::clone(&stage)));
    let wire = Wire::new(outside(&fit.line));
    let model = match fit.uart {
        None => DeviceModelKind::Scif(Box::new(Scif::new(layout.with_fifo(fit.fifo), fit.clock_hz, wire))),
        Some(uart) => DeviceModelKind::Ns16550(Box::new(Ns16550::new(uart.shift, fit.clock_hz, uart.auto_flow, wire))),
    };
    // A line that its owner does not have is joined to nothing.
    let first_line = if fit.uart.is_some_and(|uart| !uart.wired) { 9 } else { 0 };
    let device = |name: &str, owner, first_line, model| ImageDevice {
        safe: Vec::new(),
        name: name.to_owned(),
        owner,
        number: 0,
        first_line,
        model,
    };
    let end = |component, port| PortEnd { component, port };
    Image {
        components: vec![component("driver", driver, 0, board.unwrap()), component("client", asking, 1, vec![])],
        connections: vec![
            Connection {
                when_gone: WhenGone::default(),
                interface: &serial::INTERFACE,
                near: end(CLIENT, 0),
                far: end(DRIVER, 0),
                slots: 8,
                routed: false,
            },
            Connection {
                when_gone: WhenGone::default(),
                interface: &received::INTERFACE,
                near: end(DRIVER, 1),
                far: end(CLIENT, 1),
                slots: 16,
                routed: false,
            },
        ],
        devices: vec![
            device("line", DRIVER, first_line, model),
            device("bell", CLIENT, 0, DeviceModelKind::Application(Box::new(Application::new(64)))),
        ],
        manager: None,
        costs: Costs::default(),
    }
}
