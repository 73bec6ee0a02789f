//! A service's port in memory, with a clock that moves by one millisecond whenever a client looks for its answer.
//!
//! It keeps the record that the kernel would keep (what was sent, taken, answered) outside of both ends, so that a test
//! may drop a server in the middle of a request and put another in its place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use koboshi_interface_kit::{
    ClientEnd, Contract, ContractKind, Duration, Failure, Interface, MAX_MESSAGE, Message, Operation, ServerEnd,
    Ticket, decode, encode,
};

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Answered(Vec<u8>),
    Interrupted,
    Refused,
}

struct Record {
    interface: Interface,
    requests: Vec<(u8, Vec<u8>)>,
    taken: BTreeSet<usize>,
    endings: Vec<Ending>,
    progress: &'static AtomicU32,
    now: Duration,
}

/// The port. Its clones are ends of the same port.
#[derive(Clone)]
pub(crate) struct Port(Rc<RefCell<Record>>);

impl Port {
    pub(crate) fn new(interface: Interface) -> Self {
        Self(Rc::new(RefCell::new(Record {
            interface,
            requests: Vec::new(),
            taken: BTreeSet::new(),
            endings: Vec::new(),
            progress: Box::leak(Box::default()),
            now: Duration::from_ticks(0),
        })))
    }

    /// Sends what no generated client would send.
    pub(crate) fn forge(&self, operation: u8, bytes: &[u8]) {
        self.0.borrow_mut().requests.push((operation, bytes.to_vec()));
    }

    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.0.borrow().endings.clone()
    }

    fn spell<T: Message>(message: &T) -> Vec<u8> {
        encode(message, &mut [0; MAX_MESSAGE]).expect("it has room").to_vec()
    }
}

pub(crate) struct Taken {
    operation: u8,
    bytes: Vec<u8>,
}

impl ServerEnd for Port {
    type Taken = Taken;

    async fn next(&mut self) -> Taken {
        poll_fn(|_| {
            let record = &mut *self.0.borrow_mut();
            let next = record.endings.len();
            let Some((operation, bytes)) = record.requests.get(next).cloned() else {
                return Poll::Pending;
            };
            if record.taken.insert(next) {
                record.progress.store(0, Ordering::Relaxed);
            } else if record.interface.mask(ContractKind::AtMostOnce) >> operation & 1 == 1 {
                record.endings.push(Ending::Interrupted);
                return Poll::Pending;
            }
            Poll::Ready(Taken { operation, bytes })
        })
        .await
    }

    fn operation(taken: &Taken) -> u8 {
        taken.operation
    }

    fn request<T: Message>(&self, taken: &Taken) -> Option<T> {
        decode(&taken.bytes)
    }

    fn progress(&self, _: &Taken) -> &'static AtomicU32 {
        self.0.borrow().progress
    }

    async fn answer<T: Message>(&mut self, _: Taken, reply: &T) {
        self.0.borrow_mut().endings.push(Ending::Answered(Self::spell(reply)));
    }

    fn refuse(&mut self, _: Taken) {
        self.0.borrow_mut().endings.push(Ending::Refused);
    }
}

impl ClientEnd for Port {
    async fn call<O: Operation>(&mut self, request: &O::Request, deadline: Duration) -> Result<O::Reply, Failure<O>> {
        let position = {
            let mut record = self.0.borrow_mut();
            record.requests.push((O::INDEX, Self::spell(request)));
            record.requests.len() as u32 - 1
        };
        self.wait(Ticket::new(position), deadline).await
    }

    async fn wait<O: Operation>(&mut self, ticket: Ticket<O>, deadline: Duration) -> Result<O::Reply, Failure<O>> {
        let position = ticket.position;
        let until = self.0.borrow().now + deadline;
        poll_fn(|_| {
            let record = &mut *self.0.borrow_mut();
            record.now += Duration::from_millis(1);
            match record.endings.get(position as usize) {
                None if record.now < until => Poll::Pending,
                None => Poll::Ready(Err(Failure::Late {
                    ticket: Ticket::new(position),
                    means: O::Contract::after_deadline(),
                })),
                Some(Ending::Answered(bytes)) => Poll::Ready(Ok(decode(bytes).expect("the server is ours"))),
                Some(Ending::Interrupted) => Poll::Ready(Err(Failure::Interrupted(
                    O::Contract::interrupted().expect("only such a contract is interrupted"),
                ))),
                Some(Ending::Refused) => Poll::Ready(Err(Failure::Refused)),
            }
        })
        .await
    }
}
