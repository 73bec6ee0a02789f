//! A package on its way to a board: what the computer sends, and when.
//!
//! The rule: each answer says how much of the package is there, and that is where it goes on, whoever died meanwhile. Only the
//! swap itself is asked for once: if nobody knows what became of it, that is told.

use std::collections::VecDeque;

use koboshi_console::WINDOW;
use koboshi_console::message::{self, Assembly, Bring, Brought, Sent};
use koboshi_interface_kit::wire::Bytes;
use koboshi_interfaces::loading::{Package, Piece, Refused, Unable};
use koboshi_link::{Channel, Link};

/// Pieces that are sent before the first of them is answered: enough to fill the link's window.
const AHEAD: usize = 4;

/// How often a package is begun anew without more of it being there than ever before: the loader has lost what it had of it, or
/// does not answer.
const ATTEMPTS: u32 = 20;

/// How far a package on its way is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// So many bytes of so many are there.
    Part(usize, usize),
    /// It was let in, and the swap asked for.
    Asked,
    /// It could not be brought, whatever is in it.
    Unable(Unable),
    /// The gate has refused it: its word for programs, and its message.
    Refused(String, String),
    /// The image has no loader, or it was given up.
    Nobody,
    /// The loader did not answer, again and again. Nothing was swapped.
    Silent,
    /// Whoever asked for the swap was ended before it was answered: it may have been asked for.
    Unknown,
}

/// What was sent and is not answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Begin,
    /// The place of its first byte, and behind its last one.
    Piece(usize, usize),
    Swap,
    Words,
    /// Something of a package before this one.
    Stale,
}

/// A package on its way.
pub(crate) struct Delivery {
    package: Package,
    bytes: Vec<u8>,
    /// Where the next piece begins; `None`: it is begun first.
    next: Option<usize>,
    there: usize,
    /// The most that was ever there.
    most: usize,
    open: VecDeque<Open>,
    attempts: u32,
    /// The gate's word, and as much of its message as has come.
    refused: Option<(String, String)>,
    over: Option<Delivered>,
    /// Its end was told.
    told: bool,
}

impl Delivery {
    /// A package, and the one that was on its way before it.
    pub(crate) fn new(package: Package, bytes: Vec<u8>, before: Option<&Delivery>) -> Self {
        let open = vec![Open::Stale; before.map_or(0, |before| before.open.len())].into();
        Delivery {
            package,
            bytes,
            next: None,
            there: 0,
            most: 0,
            open,
            attempts: 0,
            refused: None,
            over: None,
            told: false,
        }
    }

    /// How far it is; its end once.
    pub(crate) fn state(&mut self) -> Option<Delivered> {
        let state = self.over.clone().unwrap_or(Delivered::Part(self.there, self.bytes.len()));
        let told = std::mem::replace(&mut self.told, self.over.is_some());
        (!told).then_some(state)
    }

    /// Whether it is not at its end.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.over.is_none()
    }

    /// What is to be sent next.
    fn wanted(&self) -> Option<(Bring, Open)> {
        if self.over.is_some() || self.open.iter().any(|open| !matches!(open, Open::Piece(..))) {
            return None;
        }
        if let Some((_, text)) = &self.refused {
            return Some((Bring::Words(text.len() as u16), Open::Words));
        }
        let Some(next) = self.next else {
            return self.open.is_empty().then_some((Bring::Begin(self.package), Open::Begin));
        };
        let end = self.bytes.len().min(next + Piece::MOST);
        if next < end {
            let bytes = Bytes::try_from(self.bytes.get(next..end)?).ok()?;
            let piece = Bring::Piece(Piece { at: next as u32, bytes });
            return (self.open.len() < AHEAD).then_some((piece, Open::Piece(next, end)));
        }
        self.open.is_empty().then_some((Bring::Swap(self.package), Open::Swap))
    }

    /// Sends what can be sent; whether that was anything.
    pub(crate) fn send(&mut self, link: &mut Link<WINDOW>) -> bool {
        let mut sent = false;
        while let Some((step, open)) = self.wanted() {
            if message::send(link, Channel::Packages, &step) != Ok(Sent::Whole) {
                // It has no room, or the console has begun anew, which is told where answers are read.
                break;
            }
            if let Open::Piece(_, end) = open {
                self.next = Some(end);
            }
            self.open.push_back(open);
            sent = true;
        }
        sent
    }

    /// Takes the answers that have come; whether there were any.
    pub(crate) fn take(&mut self, found: &mut Assembly, link: &mut Link<WINDOW>) -> bool {
        let mut taken = false;
        loop {
            match found.fill(link, Channel::Packages) {
                Ok(false) => return taken,
                Ok(true) => {
                    let open = self.open.pop_front();
                    if let (Some(open), Some(brought)) = (open, found.message()) {
                        self.answered(open, brought);
                    }
                    found.next();
                }
                // The console has begun anew: what was open is not answered any more.
                Err(_) => {
                    let open: Vec<Open> = self.open.drain(..).collect();
                    open.into_iter().for_each(|open| self.answered(open, Brought::Unknown));
                }
            }
            taken = true;
        }
    }

    fn answered(&mut self, open: Open, brought: Brought) {
        if self.over.is_some() || open == Open::Stale {
            return;
        }
        match (open, brought) {
            (_, Brought::Nobody) => self.over = Some(Delivered::Nobody),
            (Open::Begin, Brought::Here(Ok(there))) => {
                self.comes_to(there);
                self.next = Some(self.there);
            }
            (Open::Piece(_, end), Brought::Here(Ok(there))) => {
                self.comes_to(there);
                if self.there != end {
                    // One before it was lost: those behind it are too early.
                    self.anew();
                }
            }
            (Open::Piece(..), Brought::Here(Err(Unable::NotBegun)))
            | (Open::Begin | Open::Piece(..), Brought::Unknown) => self.anew(),
            (_, Brought::Here(Err(unable))) => self.over = Some(Delivered::Unable(unable)),
            (Open::Swap, Brought::Swap(Ok(()))) => self.over = Some(Delivered::Asked),
            // Whoever was begun anew meanwhile has not judged it: nothing has happened.
            (Open::Swap, Brought::Swap(Err(Refused::Unable(Unable::NotBegun | Unable::NotWhole(_))))) => self.anew(),
            (Open::Swap, Brought::Swap(Err(Refused::Unable(unable)))) => self.over = Some(Delivered::Unable(unable)),
            (Open::Swap, Brought::Swap(Err(Refused::Gate(code)))) => {
                self.refused = Some((code.as_str().to_owned(), String::new()));
            }
            (Open::Swap, _) => self.over = Some(Delivered::Unknown),
            (Open::Words, Brought::Words(words)) if !words.0.is_empty() => {
                if let Some((_, text)) = &mut self.refused {
                    text.push_str(words.0.as_str());
                }
            }
            // There is no more of it; or whoever knew it is gone, and the word has to do.
            (Open::Words, _) => {
                let (code, text) = self.refused.take().unwrap_or_default();
                self.over = Some(Delivered::Refused(code, text));
            }
            // An answer to something else: this console and this computer do not fit together.
            _ => self.over = Some(Delivered::Silent),
        }
    }

    /// So much of it is there.
    fn comes_to(&mut self, there: u32) {
        self.there = there as usize;
        if self.there > self.most {
            (self.most, self.attempts) = (self.there, 0);
        }
    }

    /// It is begun once more, and goes on where it is then. Once for all that is open.
    fn anew(&mut self) {
        if self.next.take().is_some() || self.open.is_empty() {
            self.attempts += 1;
        }
        if self.attempts > ATTEMPTS {
            self.over = Some(Delivered::Silent);
        }
    }
}

#[cfg(test)]
mod tests {
    use koboshi_interface_kit::wire::Str;
    use koboshi_interfaces::ComponentId;
    use koboshi_interfaces::loading::Words;

    use super::*;

    /// What is at the other end: a loader as it should be, which forgets everything after so many steps.
    struct Loader {
        begun: bool,
        there: Vec<u8>,
        forgets_after: usize,
        steps: usize,
    }

    impl Loader {
        fn step(&mut self, step: Bring) -> Brought {
            self.steps += 1;
            if self.steps == self.forgets_after {
                (self.begun, self.there) = (false, Vec::new());
                return Brought::Unknown;
            }
            match step {
                Bring::Begin(_) => {
                    self.begun = true;
                    Brought::Here(Ok(self.there.len() as u32))
                }
                Bring::Piece(_) if !self.begun => Brought::Here(Err(Unable::NotBegun)),
                Bring::Piece(piece) => {
                    if piece.at as usize == self.there.len() {
                        self.there.extend_from_slice(piece.bytes.as_slice());
                    }
                    Brought::Here(Ok(self.there.len() as u32))
                }
                Bring::Swap(_) => Brought::Swap(Ok(())),
                Bring::Words(_) => Brought::Words(Words(Str::new())),
            }
        }
    }

    fn package(bytes: &[u8]) -> Delivery {
        Delivery::new(Package { component: ComponentId(2), bytes: bytes.len() as u32, mark: 9 }, bytes.to_vec(), None)
    }

    /// Brings it to its end, with several steps under way at a time.
    fn brought(delivery: &mut Delivery, mut answer: impl FnMut(Bring) -> Brought) -> Delivered {
        let mut under_way = VecDeque::new();
        for _ in 0..10_000 {
            while let Some((step, open)) = delivery.wanted() {
                if let Open::Piece(_, end) = open {
                    delivery.next = Some(end);
                }
                delivery.open.push_back(open);
                under_way.push_back(step);
            }
            let Some(step) = under_way.pop_front() else { break };
            let (open, told) = (delivery.open.pop_front().expect("it was sent"), answer(step));
            delivery.answered(open, told);
        }
        delivery.state().expect("its end is told once")
    }

    #[test]
    fn a_package_arrives_as_it_is_whenever_the_loader_forgets_it() {
        let bytes: Vec<u8> = (0..1_000u32).map(|at| (at * 7) as u8).collect();
        for forgets_after in 0..12 {
            let mut loader = Loader { begun: false, there: Vec::new(), forgets_after, steps: 0 };
            let mut delivery = package(&bytes);
            let end = brought(&mut delivery, |step| loader.step(step));
            // The last step is the swap: of that nobody knows then.
            assert_eq!(end, Delivered::Asked, "forgotten at step {forgets_after}");
            assert_eq!(loader.there, bytes);
        }
    }

    #[test]
    fn one_that_advances_is_not_given_up_however_often_it_is_cut() {
        let bytes = [5; 30 * 96];
        let (mut there, mut turn) = (0, 0);
        let mut delivery = package(&bytes);
        let end = brought(&mut delivery, |step| match step {
            Bring::Begin(_) => Brought::Here(Ok(there)),
            Bring::Piece(piece) => {
                turn += 1;
                if piece.at == there && turn % 3 == 0 {
                    return Brought::Unknown;
                }
                if piece.at == there {
                    there += piece.bytes.as_slice().len() as u32;
                }
                Brought::Here(Ok(there))
            }
            _ => Brought::Swap(Ok(())),
        });
        assert_eq!((end, there), (Delivered::Asked, 30 * 96));
        assert!(turn > 3 * ATTEMPTS, "it was cut more often than that");
    }

    #[test]
    fn a_swap_that_was_cut_short_is_not_asked_for_again() {
        let mut swaps = 0;
        let mut delivery = package(&[1, 2, 3]);
        let end = brought(&mut delivery, |step| match step {
            Bring::Begin(_) => Brought::Here(Ok(3)),
            Bring::Swap(_) => {
                swaps += 1;
                Brought::Unknown
            }
            other => panic!("{other:?} was not wanted"),
        });
        assert_eq!((end, swaps), (Delivered::Unknown, 1));
    }

    #[test]
    fn a_refusal_is_told_in_all_its_words() {
        let text = "its signature is wrong: ".repeat(9);
        let mut delivery = package(&[1, 2, 3]);
        let end = brought(&mut delivery, |step| match step {
            Bring::Begin(_) => Brought::Here(Ok(3)),
            Bring::Swap(_) => Brought::Swap(Err(Refused::Gate(Str::try_from("signature").expect("it is short")))),
            Bring::Words(from) => {
                let rest = &text[usize::from(from)..];
                Brought::Words(Words(Str::try_from(&rest[..rest.len().min(96)]).expect("it is cut")))
            }
            other => panic!("{other:?} was not wanted"),
        });
        assert_eq!(end, Delivered::Refused("signature".to_owned(), text));
    }

    #[test]
    fn one_who_never_answers_is_given_up_and_nothing_was_swapped() {
        let mut delivery = package(&[1, 2, 3]);
        assert_eq!(brought(&mut delivery, |_| Brought::Unknown), Delivered::Silent);
    }
}
