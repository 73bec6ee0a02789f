//! The outside end of a serial line: what it sends, what it heard, and its half of the flow control.
//!
//! Rules:
//! - The outside end acts at the time of its model: advance the model first, then tell the wire.
//! - It sends frames back to back at its own rate, and stops only at a frame boundary.
//! - It knows more than a real receiver: a frame that was spoilt on its way is never put among the good bytes.
//!
//! It must never touch the registers of the chip at the other end: both meet on the line only.

use std::collections::VecDeque;

/// Binary places of line time below one nanosecond: at 115,200 baud a frame is 86,805.55.. ns, and rounding each
/// to whole nanoseconds would drift. With 32 places the error stays below 1 ns for more than a year of line time.
const FRACTION: u32 = 32;

/// Nanoseconds in one second.
const NS_PER_S: u128 = 1_000_000_000;

/// A rate error above this many thousandths makes the last bit of a frame unreadable (4.5 %: half a bit in ten,
/// less the sampling error of a receiver with 16 samples a bit).
const RATE_TOLERANCE_PER_MILLE: u128 = 45;

/// A time, or a length of time, on the line: 2^-32 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineTime(u128);

impl LineTime {
    /// A time in whole nanoseconds.
    pub(crate) const fn from_ns(ns: u64) -> Self {
        LineTime((ns as u128) << FRACTION)
    }

    /// `numerator / hz` seconds: the length of one bit.
    pub(crate) fn ratio(numerator: u64, hz: u32) -> Self {
        LineTime(((u128::from(numerator) * NS_PER_S) << FRACTION) / u128::from(hz.max(1)))
    }

    /// The first whole nanosecond at which this time has come.
    pub(crate) fn to_ns(self) -> u64 {
        let ns = (self.0 + (1 << FRACTION) - 1) >> FRACTION;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// This much later.
    pub(crate) fn plus(self, span: LineTime) -> Self {
        LineTime(self.0 + span.0)
    }

    /// The span from `earlier` to this time; nothing if that is later.
    pub(crate) fn since(self, earlier: LineTime) -> Self {
        LineTime(self.0.saturating_sub(earlier.0))
    }

    /// So many times as long.
    pub(crate) fn times(self, n: usize) -> Self {
        LineTime(self.0 * n as u128)
    }

    /// How many whole `part`s this span holds.
    fn whole(self, part: LineTime) -> u32 {
        u32::try_from(self.0 / part.0.max(1)).unwrap_or(u32::MAX)
    }
}

/// The parity bit of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    None,
    /// The ones among data and parity are even in number.
    Even,
    /// The ones among data and parity are odd in number.
    Odd,
}

/// How the outside end has set up its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// The parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// Whether the outside end stops sending while the chip negates RTS.
    pub flow_control: bool,
}

impl LineSettings {
    /// Eight data bits, no parity, one stop bit, no flow control, at `baud` bits per second.
    pub const fn at(baud: u32) -> Self {
        LineSettings { baud, data_bits: 8, parity: Parity::None, stop_bits: 1, flow_control: false }
    }

    /// The same, with flow control on or off.
    #[must_use]
    pub const fn with_flow_control(self, on: bool) -> Self {
        LineSettings { flow_control: on, ..self }
    }
}

/// The shape of one frame, as one end sends and expects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The length of one bit.
    pub(crate) bit: LineTime,
    /// The length of a whole frame: start, data, parity and stop bits.
    pub(crate) length: LineTime,
    /// 7 or 8.
    pub(crate) data_bits: u8,
    /// The parity bit.
    pub(crate) parity: Parity,
}

/// How the frames of one end arrive at the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// As they were sent.
    Good,
    /// One end's parity is even and the other's odd: right bytes, wrong parity.
    WrongParity,
    /// Another rate or another number of bits: wrong bytes with a wrong stop bit.
    Garbled,
}

/// One byte as a receiver finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The data bits.
    pub(crate) byte: u8,
    /// The stop bit was 0.
    pub(crate) framing_error: bool,
    /// The parity bit was wrong.
    pub(crate) parity_error: bool,
}

impl Frame {
    /// A frame whose bits last `bit`.
    pub(crate) fn new(bit: LineTime, data_bits: u8, parity: Parity, stop_bits: u8) -> Self {
        let parity_bits = usize::from(parity != Parity::None);
        let bits = 1 + usize::from(data_bits) + parity_bits + usize::from(stop_bits);
        Frame { bit, length: bit.times(bits), data_bits, parity }
    }

    /// The data bits of `byte` that the frame has room for.
    pub(crate) fn carried(&self, byte: u8) -> u8 {
        if self.data_bits == 7 { byte & 0x7f } else { byte }
    }

    /// How frames of this shape arrive at a receiver that expects `receiver`. The number of stop bits does not
    /// matter: a receiver checks the first only.
    pub(crate) fn fit(&self, receiver: &Frame) -> Fit {
        let (sent, expected) = (self.bit.0, receiver.bit.0);
        if sent.abs_diff(expected) * 1000 > expected * RATE_TOLERANCE_PER_MILLE
            || self.data_bits != receiver.data_bits
            || (self.parity == Parity::None) != (receiver.parity == Parity::None)
        {
            Fit::Garbled
        } else if self.parity == receiver.parity {
            Fit::Good
        } else {
            Fit::WrongParity
        }
    }

    /// What a receiver that expects `receiver` makes of `byte` in a frame of this shape.
    pub(crate) fn heard_by(&self, receiver: &Frame, byte: u8, fault: Fault) -> Heard {
        let fit = self.fit(receiver);
        let byte = self.carried(byte);
        let has_parity = self.parity != Parity::None;
        Heard {
            // What a real receiver reads depends on phase. This changes every 8-bit value: a byte and itself rotated
            // differ in an even number of bits, and 0x5b has five.
            byte: if fit == Fit::Garbled { receiver.carried(byte.rotate_left(3) ^ 0x5b) } else { byte },
            framing_error: fit == Fit::Garbled || fault == Fault::Framing,
            parity_error: (fit == Fit::WrongParity) != (has_parity && fault == Fault::Parity),
        }
    }

    /// What is read of a frame with `byte` whose sender stopped `after` its beginning and left the line at `level`.
    pub(crate) fn cut_short(&self, byte: u8, after: LineTime, level: bool) -> u8 {
        let sent = after.whole(self.bit).saturating_sub(1).min(8);
        let rest = 0xff_u8.checked_shl(sent).unwrap_or(0);
        self.carried(if level { byte | rest } else { byte & !rest })
    }
}

/// What is wrong with a frame on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The parity bit is inverted.
    Parity,
    /// The stop bit is 0.
    Framing,
}

/// One thing the outside end can put on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A good frame.
    Byte(u8),
    /// A frame whose parity bit is wrong; a good frame when the settings have no parity bit.
    BadParity(u8),
    /// A frame whose stop bit is 0, and one bit time of mark after it.
    BadFraming(u8),
    /// The line low for so many nanoseconds, and one bit time of mark after it. Flow control does not stop it.
    Break(u64),
    /// The line idle for so many nanoseconds. Flow control does not stop it.
    Pause(u64),
}

impl Symbol {
    /// The byte and the fault, if this is a frame.
    pub(crate) fn frame(self) -> Option<(u8, Fault)> {
        match self {
            Symbol::Byte(byte) => Some((byte, Fault::None)),
            Symbol::BadParity(byte) => Some((byte, Fault::Parity)),
            Symbol::BadFraming(byte) => Some((byte, Fault::Framing)),
            Symbol::Break(_) | Symbol::Pause(_) => None,
        }
    }
}

/// Something the outside end heard that is not a good byte. Times are platform time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// The chip held the line low for at least one frame of the outside end's.
    Break {
        /// When the line went low.
        began: u64,
        /// For how long it stayed low.
        lasted: u64,
    },
    /// A frame that could not be read: wrong rate, wrong framing, wrong parity, or cut short by its sender.
    Garbled {
        /// When the frame ended.
        at: u64,
        /// What was read of it.
        byte: u8,
    },
}

/// A symbol on its way from the outside end to the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnLine {
    pub(crate) symbol: Symbol,
    pub(crate) frame: Frame,
    pub(crate) began: LineTime,
    pub(crate) ends: LineTime,
}

/// The outside end of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    settings: LineSettings,
    frame: Frame,
    /// Plain bytes to send; all other symbols lie in `others`, with the number of plain bytes ever queued before them.
    bytes: VecDeque<u8>,
    others: VecDeque<(u64, Symbol)>,
    bytes_queued: u64,
    bytes_started: u64,
    on_line: Option<OnLine>,
    holding: bool,
    low_since: Option<LineTime>,
    /// Good bytes heard, in order. Whoever drives the wire may take them out.
    pub received: Vec<u8>,
    /// What was heard besides good bytes, in order. Whoever drives the wire may take it out.
    pub events: Vec<LineEvent>,
    /// When the last good byte ended, in nanoseconds.
    pub last_received_at: Option<u64>,
    /// Asks for an event of the model when `received` gets this long.
    pub wake_when_received: Option<usize>,
    /// Asks for an event of the model when no more than this many symbols wait to be sent.
    pub wake_when_waiting: Option<usize>,
}

impl Wire {
    /// An idle outside end, ready to receive.
    pub fn new(settings: LineSettings) -> Self {
        Wire {
            settings,
            frame: frame_of(&settings),
            bytes: VecDeque::new(),
            others: VecDeque::new(),
            bytes_queued: 0,
            bytes_started: 0,
            on_line: None,
            holding: false,
            low_since: None,
            received: Vec::new(),
            events: Vec::new(),
            last_received_at: None,
            wake_when_received: None,
            wake_when_waiting: None,
        }
    }

    /// The settings in use.
    pub fn settings(&self) -> LineSettings {
        self.settings
    }

    /// Changes the settings. A frame on its way out keeps the old ones; one on its way in is judged by the new ones.
    pub fn set_settings(&mut self, settings: LineSettings) {
        self.settings = settings;
        self.frame = frame_of(&settings);
    }

    /// Queues one symbol to be sent after all that wait.
    pub fn send(&mut self, symbol: Symbol) {
        if let Symbol::Byte(byte) = symbol {
            self.send_bytes([byte]);
        } else {
            self.others.push_back((self.bytes_queued, symbol));
        }
    }

    /// Queues bytes to be sent after all that wait.
    pub fn send_bytes(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let before = self.bytes.len();
        self.bytes.extend(bytes);
        self.bytes_queued += (self.bytes.len() - before) as u64;
    }

    /// How many symbols wait; the one on the line is no longer among them.
    pub fn waiting(&self) -> usize {
        self.bytes.len() + self.others.len()
    }

    /// Whether nothing waits and nothing is on its way to the chip.
    pub fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.on_line.is_none()
    }

    /// Takes the good bytes heard so far out of the log.
    pub fn take_received(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.received)
    }

    /// Negates (`true`) or asserts the outside end's own RTS, which is the chip's CTS.
    pub fn hold(&mut self, stop: bool) {
        self.holding = stop;
    }

    /// Whether the outside end asks the chip to stop.
    pub fn is_holding(&self) -> bool {
        self.holding
    }

    /// Since when the chip has been holding the line low, in nanoseconds.
    pub fn break_since(&self) -> Option<u64> {
        self.low_since.map(LineTime::to_ns)
    }

    /// The shape of the outside end's frames.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What is on its way to the chip.
    pub(crate) fn on_line(&self) -> Option<&OnLine> {
        self.on_line.as_ref()
    }

    /// The symbol that is sent after `bytes` plain bytes and `others` other symbols of those that wait.
    pub(crate) fn ahead(&self, bytes: usize, others: usize) -> Option<Symbol> {
        match self.others.get(others) {
            Some(&(position, symbol)) if position == self.bytes_started + bytes as u64 => Some(symbol),
            _ => self.bytes.get(bytes).copied().map(Symbol::Byte),
        }
    }

    /// How many plain bytes in a row are sent after `bytes` plain bytes and `others` other symbols.
    pub(crate) fn plain_ahead(&self, bytes: usize, others: usize) -> usize {
        let end = match self.others.get(others) {
            Some(&(position, _)) => (position - self.bytes_started) as usize,
            None => self.bytes.len(),
        };
        end - bytes
    }

    /// Whether `symbol` may begin, given the chip's RTS.
    pub(crate) fn may_begin(&self, symbol: Symbol, rts: bool) -> bool {
        rts || !self.settings.flow_control || symbol.frame().is_none()
    }

    /// `symbol` as it lies on the line when it begins at `at`.
    pub(crate) fn begin_at(&self, symbol: Symbol, at: LineTime) -> OnLine {
        let span = match symbol {
            Symbol::Byte(_) | Symbol::BadParity(_) => self.frame.length,
            Symbol::BadFraming(_) => self.frame.length.plus(self.frame.bit),
            Symbol::Break(ns) => LineTime::from_ns(ns).plus(self.frame.bit),
            Symbol::Pause(ns) => LineTime::from_ns(ns),
        };
        OnLine { symbol, frame: self.frame, began: at, ends: at.plus(span) }
    }

    /// Puts the next symbol on the idle line, if there is one and it may begin.
    pub(crate) fn begin_next(&mut self, at: LineTime, rts: bool) -> Option<OnLine> {
        if self.on_line.is_some() {
            return None;
        }
        let symbol = self.ahead(0, 0)?;
        if !self.may_begin(symbol, rts) {
            return None;
        }
        if let Symbol::Byte(_) = symbol {
            self.bytes.pop_front();
            self.bytes_started += 1;
        } else {
            self.others.pop_front();
        }
        self.on_line = Some(self.begin_at(symbol, at));
        self.on_line
    }

    /// Takes the finished symbol off the line.
    pub(crate) fn finish(&mut self) -> Option<OnLine> {
        self.on_line.take()
    }

    /// A frame of the chip's ended at `at`.
    pub(crate) fn hear(&mut self, byte: u8, sender: &Frame, at: LineTime) {
        let heard = sender.heard_by(&self.frame, byte, Fault::None);
        let at = at.to_ns();
        if heard.framing_error || heard.parity_error {
            self.events.push(LineEvent::Garbled { at, byte: heard.byte });
        } else {
            self.received.push(heard.byte);
            self.last_received_at = Some(at);
        }
    }

    /// A frame of the chip's was cut short at `at`; `byte` is what can be read of it.
    pub(crate) fn hear_cut_short(&mut self, byte: u8, at: LineTime) {
        self.events.push(LineEvent::Garbled { at: at.to_ns(), byte });
    }

    /// The chip drives the idle line low, or no longer does.
    pub(crate) fn hear_level(&mut self, low: bool, at: LineTime) {
        match (low, self.low_since) {
            (true, None) => self.low_since = Some(at),
            (false, Some(began)) => {
                self.low_since = None;
                let lasted = at.since(began);
                self.events.push(if lasted >= self.frame.length {
                    LineEvent::Break { began: began.to_ns(), lasted: lasted.to_ns() }
                } else {
                    LineEvent::Garbled { at: at.to_ns(), byte: 0 }
                });
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}

/// The frames that `settings` describe.
fn frame_of(settings: &LineSettings) -> Frame {
    Frame::new(LineTime::ratio(1, settings.baud), settings.data_bits, settings.parity, settings.stop_bits)
}
