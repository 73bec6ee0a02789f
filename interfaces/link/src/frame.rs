//! What stands on the line: how a frame is written, and how it is found again among bytes that are not to be trusted.
//!
//! The rule: what does not have the right checksum, length and numbers is no frame, and costs nothing but itself. A zero
//! ends every frame and stands in none, so whoever has lost his place has it again behind the next one.
//!
//! It must never: believe a length, or keep more than one frame.

use cobs::{DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc};
use heapless::Vec;

/// The way of writing frames that this is. An end that speaks another one is not talked to.
pub const VERSION: u8 = 1;

/// The most bytes of a channel in one frame. It holds up the other channels for 12.5 ms at 115,200 baud, and stays below 255
/// bytes as a whole, so that COBS adds one byte to it.
pub const PAYLOAD: usize = 128;

/// Kind and channel, and both sessions.
const HEAD: usize = 5;
const POSITION: usize = 4;
const CHECKSUM: usize = 4;
const LONGEST: usize = HEAD + POSITION + PAYLOAD + CHECKSUM;

/// The longest frame as it stands on the line, in bytes, with a zero on either side.
pub const ON_THE_LINE: usize = 1 + cobs::max_encoding_length(LONGEST) + 1;

const HELLO: u8 = 1;
const DATA: u8 = 2;
const ACKNOWLEDGEMENT: u8 = 3;

/// CRC-32 as Ethernet and zlib have it (polynomial 0x04C11DB7, reflected): in a frame it finds every burst of up to 32
/// bits, and lets one in 2^32 of longer ones through.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// One of the streams of bytes that share a line. Number 0 on the line is the link itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// The application's bytes.
    Application = 1,
    /// Questions to the running image, and the answers.
    Control = 2,
    /// What is said to people.
    Log = 3,
    /// Packages that are brought, and what becomes of them.
    Packages = 4,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 4] = [Channel::Application, Channel::Control, Channel::Log, Channel::Packages];
}

/// Names one life of an end. It grows with each life, round the corner at 65,535; 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session(pub u16);

impl Session {
    /// No end at all: who has not heard the other one yet sends to nobody.
    pub const NOBODY: Session = Session(0);

    /// Whether this is a later life than `other`.
    pub(crate) const fn is_later_than(self, other: Session) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 15
    }

    /// The life after this one.
    pub(crate) const fn next(self) -> Session {
        match self.0.wrapping_add(1) {
            0 => Session(1),
            next => Session(next),
        }
    }
}

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) from: Session,
    pub(crate) to: Session,
    pub(crate) body: Body<'a>,
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// "Here I am"; `heard`: "and I have heard from you that you know me".
    Hello { version: u8, heard: bool },
    /// Bytes of a channel, the first of them at `position`. None at all is a question for an acknowledgement.
    Data { channel: Channel, position: u32, bytes: &'a [u8] },
    /// All bytes before `position` have come, and `window` more may; `missing`: later ones have come already.
    Acknowledgement { channel: Channel, position: u32, window: u16, missing: bool },
}

/// Why bytes between two zeros are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// The checksum is another one.
    Checksum,
    /// The checksum is right, and the rest is not as any end of this version writes it.
    Unknown,
}

/// The parts of a frame, if its checksum is right, or nobody looks (`checked`: tests leave that out on purpose).
pub(crate) fn parse(frame: &[u8], checked: bool) -> Result<Frame<'_>, NoFrame> {
    let (covered, checksum) = frame.split_last_chunk::<CHECKSUM>().ok_or(NoFrame::Checksum)?;
    if checked && CRC.checksum(covered) != u32::from_le_bytes(*checksum) {
        return Err(NoFrame::Checksum);
    }
    let ([kind, from0, from1, to0, to1], body) = covered.split_first_chunk::<HEAD>().ok_or(NoFrame::Unknown)?;
    let from = Session(u16::from_le_bytes([*from0, *from1]));
    let to = Session(u16::from_le_bytes([*to0, *to1]));
    let channel = Channel::ALL.into_iter().find(|channel| *channel as u8 == kind & 0xF);
    let body = match (kind >> 4, channel, body) {
        (HELLO, None, [version, flags, ..]) if kind & 0xF == 0 => {
            Body::Hello { version: *version, heard: flags & 1 != 0 }
        }
        (DATA, Some(channel), _) => {
            let (position, bytes) = body.split_first_chunk::<POSITION>().ok_or(NoFrame::Unknown)?;
            Body::Data { channel, position: u32::from_le_bytes(*position), bytes }
        }
        (ACKNOWLEDGEMENT, Some(channel), [p0, p1, p2, p3, w0, w1, flags]) => Body::Acknowledgement {
            channel,
            position: u32::from_le_bytes([*p0, *p1, *p2, *p3]),
            window: u16::from_le_bytes([*w0, *w1]),
            missing: flags & 1 != 0,
        },
        _ => return Err(NoFrame::Unknown),
    };
    if from == Session::NOBODY { Err(NoFrame::Unknown) } else { Ok(Frame { from, to, body }) }
}

/// A frame as it stands on the line.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    bytes: Vec<u8, ON_THE_LINE>,
    taken: usize,
}

impl Encoded {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Encoded { bytes: Vec::new(), taken: 0 }
    }

    /// Writes `frame`, with a zero before it too if the line was `silent`: noise that came meanwhile then spoils nothing.
    pub(crate) fn write(&mut self, frame: &Frame<'_>, silent: bool) {
        self.bytes.clear();
        self.taken = 0;
        // That the longest frame fits is what the lengths above are made of; were it otherwise, it would be a frame lost.
        let _ = self.try_write(frame, silent);
    }

    fn try_write(&mut self, frame: &Frame<'_>, silent: bool) -> Option<()> {
        let mut plain = Vec::<u8, LONGEST>::new();
        let (kind, channel) = match frame.body {
            Body::Hello { .. } => (HELLO, 0),
            Body::Data { channel, .. } => (DATA, channel as u8),
            Body::Acknowledgement { channel, .. } => (ACKNOWLEDGEMENT, channel as u8),
        };
        plain.push(kind << 4 | channel).ok()?;
        plain.extend_from_slice(&frame.from.0.to_le_bytes()).ok()?;
        plain.extend_from_slice(&frame.to.0.to_le_bytes()).ok()?;
        match frame.body {
            Body::Hello { version, heard } => plain.extend_from_slice(&[version, heard.into()]).ok()?,
            Body::Data { position, bytes, .. } => {
                plain.extend_from_slice(&position.to_le_bytes()).ok()?;
                plain.extend_from_slice(bytes).ok()?;
            }
            Body::Acknowledgement { position, window, missing, .. } => {
                plain.extend_from_slice(&position.to_le_bytes()).ok()?;
                plain.extend_from_slice(&window.to_le_bytes()).ok()?;
                plain.push(missing.into()).ok()?;
            }
        }
        plain.extend_from_slice(&CRC.checksum(&plain).to_le_bytes()).ok()?;
        let mut stuffed = [0; cobs::max_encoding_length(LONGEST)];
        let length = cobs::try_encode(&plain, &mut stuffed).ok()?;
        if silent {
            self.bytes.push(0).ok()?;
        }
        self.bytes.extend_from_slice(stuffed.get(..length)?).ok()?;
        self.bytes.push(0).ok()
    }

    /// Moves on to `out` what is left and fits; how much that was.
    pub(crate) fn take(&mut self, out: &mut [u8]) -> usize {
        let left = self.bytes.get(self.taken..).unwrap_or_default();
        let moved = left.len().min(out.len());
        for (to, from) in out.iter_mut().zip(left) {
            *to = *from;
        }
        self.taken = self.taken.saturating_add(moved);
        moved
    }

    /// Whether all of it is taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken >= self.bytes.len()
    }
}

/// Finds frames in what arrives, byte by byte.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: DecoderState,
    bytes: Vec<u8, LONGEST>,
    spoilt: bool,
}

/// What a byte completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A frame, if its checksum is right: [`Decoder::take`].
    Frame,
    /// Something that is no frame.
    Spoilt,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Decoder { state: DecoderState::Idle, bytes: Vec::new(), spoilt: false }
    }

    /// The next byte of the line.
    pub(crate) fn feed(&mut self, byte: u8) -> Option<Found> {
        if matches!(self.state, DecoderState::Idle) {
            self.bytes.clear();
            self.spoilt = false;
        }
        match self.state.feed(byte) {
            Ok(DecodeResult::NoData) => None,
            Ok(DecodeResult::DataContinue(byte)) => {
                self.spoilt |= self.bytes.push(byte).is_err();
                None
            }
            Ok(DecodeResult::DataComplete) if !self.spoilt => Some(Found::Frame),
            Ok(DecodeResult::DataComplete) | Err(_) => Some(Found::Spoilt),
        }
    }

    /// The bytes of the frame that was just found.
    pub(crate) fn take(&mut self) -> Vec<u8, LONGEST> {
        core::mem::take(&mut self.bytes)
    }
}
