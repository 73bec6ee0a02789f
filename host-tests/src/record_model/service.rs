//! The service: a client, a server and the kernel, with one port between them.
//!
//! Job: walk through sending, taking, the method, answering, receiving and sealing, store by store, with deaths of either
//! side, bad replies, deadlines, and a server that is given up.

use super::*;

/// The service model.
pub(super) struct Service {
    pub(super) contracts: Vec<Vec<Contract>>,
    pub(super) deaths: u8,
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    pub(super) gives_up: bool,
    pub(super) first: u32,
    /// `replayed` as it is long after the last death: this far behind.
    pub(super) stale: u32,
    pub(super) mistakes: Mistakes,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            contracts: every(3),
            deaths: 2,
            bad_replies: 0,
            deadlines: 0,
            gives_up: false,
            first: 0,
            stale: 0,
            mistakes: Mistakes::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sending {
    Idle,
    Written,
    Committed,
    Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiting {
    Looking,
    /// Only with a mistake: has looked, and will clear its bell.
    Clearing,
    Asleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Receiving {
    Wait(Waiting),
    Delivered,
    /// Only with a mistake: consumed, not delivered.
    Consumed(Reply),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Serving {
    Wait(Waiting),
    Skipping,
    Copied,
    Reset,
    Taken,
    /// Only with a mistake: taken, progress not reset.
    Unreset,
    Running,
    /// Only with a mistake: between a device step and its count.
    HalfStep,
    Ran,
    Written,
    Committed,
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Server {
    pub(super) life: Life,
    pub(super) serving: Serving,
    /// The position being served.
    pub(super) position: u32,
    /// How many of the next positions are replays, counted down: never compared again.
    pub(super) replays: u8,
    /// The position being served is a replay.
    pub(super) replay: bool,
    pub(super) expired: bool,
    pub(super) epoch: u8,
}

impl Server {
    pub(super) const NEW: Self = Self {
        life: Life::Up,
        serving: Serving::Wait(Waiting::Looking),
        position: 0,
        replays: 0,
        replay: false,
        expired: false,
        epoch: 1,
    };

    pub(super) fn born<const N: usize>(&mut self, port: &Port<N>) {
        let epoch = self.epoch + 1;
        *self = Self { epoch, ..Self::NEW };
        self.replays = Port::<N>::ahead(port.taken, port.replayed) as u8;
    }

    pub(super) fn dies(&mut self) {
        *self = Self { life: Life::Down, epoch: self.epoch, ..Self::NEW };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Complaint {
    pub(super) position: u32,
    pub(super) epoch: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServiceState {
    pub(super) contracts: [Contract; REQUESTS],
    pub(super) requests: u8,
    pub(super) port: Port<SLOTS>,
    pub(super) client: Life,
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
    pub(super) server: Server,
    pub(super) client_bell: bool,
    pub(super) server_bell: bool,
    pub(super) complaints: [Option<Complaint>; 2],
    pub(super) deaths: u8,
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    /// Requests whose deadline has passed.
    pub(super) expired: u8,
    pub(super) ghost: Ghost,
}

impl Watched for ServiceState {
    fn wrong(&self) -> Wrong {
        self.ghost.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ServiceStep {
    ClientSends,
    ClientReceives,
    ServerServes,
    ServerSpoilsReply,
    KernelSealsServer,
    KernelSealsClient,
    KernelStartsServer,
    KernelStartsClient,
    KernelHearsComplaint,
    KernelGivesUp,
    KernelAnswersGone,
    DeadlinePasses(u8),
    ClientDies,
    ServerDies,
}

/// The steps that must go on by themselves: without one of them nothing happens any more.
pub(super) const SERVICE_STEPS: [ServiceStep; 9] = [
    ServiceStep::ServerServes,
    ServiceStep::ClientReceives,
    ServiceStep::ClientSends,
    ServiceStep::KernelSealsServer,
    ServiceStep::KernelSealsClient,
    ServiceStep::KernelStartsServer,
    ServiceStep::KernelStartsClient,
    ServiceStep::KernelHearsComplaint,
    ServiceStep::KernelAnswersGone,
];

/// Looks for work the way every waiter does: clear the bell, then look, then sleep.
pub(super) fn wakes(bell: &mut bool, mistakes: Mistakes) -> Option<Waiting> {
    if !*bell {
        return None;
    }
    if !mistakes.has(Mistake::ClearsTheBellAfterLooking) {
        *bell = false;
    }
    Some(Waiting::Looking)
}

pub(super) fn finds_nothing(mistakes: Mistakes) -> Waiting {
    if mistakes.has(Mistake::ClearsTheBellAfterLooking) { Waiting::Clearing } else { Waiting::Asleep }
}

impl Service {
    pub(super) fn index(&self, position: u32) -> u8 {
        position.wrapping_sub(self.first) as u8
    }

    pub(super) fn done(&self, state: &ServiceState) -> bool {
        self.index(state.port.consumed) == state.requests && state.ghost.heard == state.requests
    }

    pub(super) fn step(&self, last: &ServiceState, step: ServiceStep) -> Option<ServiceState> {
        let mut state = last.clone();
        let moved = match step {
            ServiceStep::ClientSends => last.client == Life::Up && self.client_sends(&mut state),
            ServiceStep::ClientReceives => last.client == Life::Up && self.client_receives(&mut state),
            ServiceStep::ServerServes => last.server.life == Life::Up && self.server_serves(&mut state, false),
            ServiceStep::ServerSpoilsReply => {
                last.server.life == Life::Up && last.bad_replies > 0 && self.server_serves(&mut state, true)
            }
            ServiceStep::KernelSealsServer => self.kernel_seals_server(&mut state),
            ServiceStep::KernelSealsClient => self.kernel_seals_client(&mut state),
            ServiceStep::KernelStartsServer => {
                state.server.born(&state.port);
                last.server.life == Life::Sealed
            }
            ServiceStep::KernelStartsClient => {
                state.client = Life::Up;
                last.client == Life::Sealed
            }
            ServiceStep::KernelHearsComplaint => self.kernel_hears(&mut state),
            ServiceStep::KernelGivesUp => {
                state.server.life = Life::Gone { awake: true };
                self.gives_up && last.server.life == Life::Sealed
            }
            ServiceStep::KernelAnswersGone => self.kernel_answers_gone(&mut state),
            ServiceStep::DeadlinePasses(request) => {
                let at = self.first.wrapping_add(u32::from(request));
                let waits = !behind(at, last.port.consumed) && behind(at, last.port.sent);
                state.expired |= 1 << request;
                state.deadlines = last.deadlines.saturating_sub(1);
                waits && last.deadlines > 0 && last.expired & 1 << request == 0
            }
            ServiceStep::ClientDies => {
                state.client = Life::Down;
                state.sending = Sending::Idle;
                state.receiving = Receiving::Wait(Waiting::Looking);
                state.ghost.told = false;
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.client == Life::Up
            }
            ServiceStep::ServerDies => {
                state.server.dies();
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.server.life == Life::Up
            }
        };
        moved.then_some(state)
    }

    pub(super) fn client_sends(&self, state: &mut ServiceState) -> bool {
        let early = self.mistakes.has(Mistake::SendsBeforeCommit);
        let port = &mut state.port;
        let position = port.sent;
        match state.sending {
            Sending::Idle => {
                let extra = self.mistakes.has(Mistake::SendsWithoutRoom);
                let outstanding = position.wrapping_sub(port.consumed);
                let room = outstanding < RING || extra && outstanding == RING;
                if self.index(position) >= state.requests || !room {
                    return false;
                }
                // The request that had this slot must be through; and nothing committed is changed.
                let through = behind(position.wrapping_sub(RING), port.consumed) && !port.asked(position);
                state.ghost.wrong.note(Wrong::OVERWRITTEN, !through);
                port.requests[slot(position)].request = self.index(position);
                state.sending = Sending::Written;
            }
            Sending::Written if early => {
                port.sent = position.wrapping_add(1);
                state.sending = Sending::Committed;
            }
            Sending::Written => {
                port.requests[slot(position)].sequence = position.wrapping_add(1);
                state.sending = Sending::Committed;
            }
            Sending::Committed if early => {
                port.requests[slot(position.wrapping_sub(1))].sequence = position;
                state.sending = Sending::Stored;
            }
            Sending::Committed => {
                port.sent = position.wrapping_add(1);
                state.sending = Sending::Stored;
            }
            Sending::Stored => {
                state.server_bell = true;
                state.sending = Sending::Idle;
            }
        }
        true
    }

    pub(super) fn client_receives(&self, state: &mut ServiceState) -> bool {
        let position = state.port.consumed;
        let request = self.index(position);
        match state.receiving {
            Receiving::Wait(Waiting::Looking) => {
                let found = state.port.replies[slot(position)];
                if !state.port.replied(position) {
                    state.receiving = Receiving::Wait(finds_nothing(self.mistakes));
                } else if found.reply.bad {
                    let complaint = Complaint { position, epoch: found.epoch };
                    // The same complaint may come twice: from one incarnation and from the next.
                    if let Some(free) = state.complaints.iter_mut().find(|one| one.is_none()) {
                        *free = Some(complaint);
                    }
                    state.receiving = Receiving::Wait(finds_nothing(self.mistakes));
                } else if self.mistakes.has(Mistake::ConsumesBeforeDelivering) {
                    state.port.consumed = position.wrapping_add(1);
                    state.receiving = Receiving::Consumed(found.reply);
                } else {
                    let contract = state.contracts[request as usize % REQUESTS];
                    state.ghost.deliver(request, contract, found.reply);
                    state.receiving = Receiving::Delivered;
                }
            }
            Receiving::Wait(Waiting::Clearing) => {
                state.client_bell = false;
                state.receiving = Receiving::Wait(Waiting::Asleep);
            }
            Receiving::Wait(Waiting::Asleep) => match wakes(&mut state.client_bell, self.mistakes) {
                Some(waiting) => state.receiving = Receiving::Wait(waiting),
                None => return false,
            },
            Receiving::Delivered => {
                state.port.consumed = position.wrapping_add(1);
                state.receiving = Receiving::Wait(Waiting::Looking);
            }
            Receiving::Consumed(reply) => {
                let request = request.wrapping_sub(1);
                state.ghost.deliver(request, state.contracts[request as usize], reply);
                state.receiving = Receiving::Wait(Waiting::Looking);
            }
        }
        true
    }

    /// One step of the server; `spoils` is the same step with a reply that cannot be decoded.
    pub(super) fn server_serves(&self, state: &mut ServiceState, spoils: bool) -> bool {
        let mistakes = self.mistakes;
        let ServiceState { port, server, ghost, .. } = state;
        let position = server.position;
        let at = slot(position);
        let request = self.index(position);
        let contract = state.contracts[request as usize % REQUESTS];
        let writes = match server.serving {
            Serving::Running => matches!(contract, Pure) || contract == Resumable && port.replies[at].progress >= STEPS,
            Serving::Taken => server.expired,
            Serving::Ran => true,
            _ => false,
        };
        if spoils && !writes {
            return false;
        }
        let kind = if server.expired { Kind::Expired } else { Kind::Plain };
        let reply = Reply { kind, to: request, progress: port.replies[at].progress, bad: spoils };
        let commits_first = mistakes.has(Mistake::CommitsBeforeWriting);
        if writes {
            ghost.wrong.note(Wrong::OVERWRITTEN, !port.may_reply(position));
            if commits_first {
                port.replies[at].sequence = position.wrapping_add(1);
            } else {
                port.replies[at].reply = reply;
            }
            state.bad_replies -= u8::from(spoils);
            server.serving = Serving::Written;
            return true;
        }
        server.serving = match server.serving {
            Serving::Wait(Waiting::Looking) => {
                let position = port.taken;
                let replay = if mistakes.has(Mistake::ComparesPlainly) {
                    position < port.replayed
                } else if mistakes.has(Mistake::ComparesBySign) {
                    behind(position, port.replayed)
                } else {
                    server.replays > 0
                };
                let skips = replay && port.replied(position) && !mistakes.has(Mistake::DoesNotSkip);
                // The skip comes first: the client may have used the request slot again by now.
                if skips && (port.asked(position) || !mistakes.has(Mistake::SkipsAfterLooking)) {
                    port.taken = position.wrapping_add(1);
                    server.replays = server.replays.saturating_sub(1);
                    server.position = position;
                    Serving::Skipping
                } else if port.asked(position) {
                    let copied = port.requests[slot(position)].request;
                    ghost.wrong.note(Wrong::MISMATCH, copied != self.index(position));
                    server.position = position;
                    server.replay = replay;
                    server.replays = server.replays.saturating_sub(1);
                    Serving::Copied
                } else {
                    Serving::Wait(finds_nothing(mistakes))
                }
            }
            Serving::Wait(Waiting::Clearing) => {
                state.server_bell = false;
                Serving::Wait(Waiting::Asleep)
            }
            Serving::Wait(Waiting::Asleep) => match wakes(&mut state.server_bell, mistakes) {
                Some(waiting) => Serving::Wait(waiting),
                None => return false,
            },
            Serving::Skipping => {
                port.answered = position.wrapping_add(1);
                Serving::Wait(Waiting::Looking)
            }
            Serving::Copied if contract == Deadly && mistakes.has(Mistake::DecodesBeforeTaking) => {
                return self.is_killed(state, request);
            }
            Serving::Copied if mistakes.has(Mistake::ExpiresBeforeTheReset) && state.expired & 1 << request != 0 => {
                server.expired = true;
                port.taken = position.wrapping_add(1);
                Serving::Taken
            }
            Serving::Copied if mistakes.has(Mistake::TakesBeforeTheReset) && !server.replay => {
                port.taken = position.wrapping_add(1);
                Serving::Unreset
            }
            Serving::Copied if server.replay && !mistakes.has(Mistake::ResetsAReplay) => Serving::Reset,
            Serving::Copied => {
                port.replies[at].progress = 0;
                Serving::Reset
            }
            Serving::Unreset => {
                port.replies[at].progress = 0;
                Serving::Taken
            }
            Serving::Reset if mistakes.has(Mistake::TakesAfterTheMethod) => Serving::Running,
            Serving::Reset => {
                port.taken = position.wrapping_add(1);
                ghost.takes(port, position, &state.contracts);
                server.expired = state.expired & 1 << request != 0;
                Serving::Taken
            }
            Serving::Taken => Serving::Running,
            Serving::Running if contract == Deadly => return self.is_killed(state, request),
            Serving::Running | Serving::HalfStep if contract == Resumable => {
                let before = mistakes.has(Mistake::CountsBeforeTheStep);
                let after = mistakes.has(Mistake::CountsAfterTheStep);
                let half = server.serving == Serving::HalfStep;
                if after && half || !after && !half {
                    port.replies[at].progress += 1;
                }
                let step = port.replies[at].progress - u8::from(!after);
                if before && half || !before && !half {
                    ghost.effect(request, contract, step);
                }
                if (before || after) && !half { Serving::HalfStep } else { Serving::Running }
            }
            Serving::Running => {
                ghost.effect(request, contract, 0);
                Serving::Ran
            }
            Serving::Written if commits_first => {
                port.replies[at].reply = reply;
                Serving::Committed
            }
            Serving::Written => {
                if mistakes.has(Mistake::TakesAfterTheMethod) {
                    port.taken = position.wrapping_add(1);
                }
                port.replies[at].epoch = server.epoch;
                port.replies[at].sequence = position.wrapping_add(1);
                Serving::Committed
            }
            Serving::Committed => {
                port.answered = position.wrapping_add(1);
                Serving::Answered
            }
            Serving::Answered => {
                state.client_bell = true;
                server.expired = false;
                Serving::Wait(Waiting::Looking)
            }
            Serving::HalfStep | Serving::Ran => unreachable!("handled above"),
        };
        true
    }

    /// A deadly request kills its server.
    pub(super) fn is_killed(&self, state: &mut ServiceState, request: u8) -> bool {
        let killed = &mut state.ghost.killed[request as usize];
        *killed += 1;
        // Twice, and once more for each death from outside that came between.
        let others = (self.deaths - state.deaths) + (self.bad_replies - state.bad_replies);
        state.ghost.wrong.note(Wrong::DEADLY, *killed > 2 + others);
        state.server.dies();
        // Beyond this the model would go on without end.
        state.ghost.killed[request as usize] < 4 + self.deaths + self.bad_replies
    }

    pub(super) fn kernel_seals_server(&self, state: &mut ServiceState) -> bool {
        let ServiceState { port, server, ghost, .. } = state;
        match server.life {
            Life::Down if self.mistakes.has(Mistake::DoesNotSeal) => {
                state.client_bell = true;
                server.life = Life::Sealed;
            }
            Life::Down => {
                let consumed = port.clamp_server(self.mistakes, &mut ghost.wrong);
                server.life = Life::Sealing { consumed, next: consumed };
            }
            Life::Sealing { consumed, next } if next == port.taken => {
                let contract = |position| state.contracts[self.index(position) as usize % REQUESTS];
                port.finish_server(consumed, contract, self.mistakes, &mut ghost.wrong);
                state.client_bell |= !self.mistakes.has(Mistake::SealDoesNotRing);
                server.life = Life::Sealed;
            }
            Life::Sealing { consumed, next } => {
                let request = self.index(next);
                if !port.replied(next) {
                    ghost.is_in_hand(request);
                }
                let contract = state.contracts[request as usize % REQUESTS];
                port.seal_position(next, contract, true, self.mistakes, &mut ghost.wrong);
                server.life = Life::Sealing { consumed, next: next.wrapping_add(1) };
            }
            _ => return false,
        }
        true
    }

    pub(super) fn kernel_seals_client(&self, state: &mut ServiceState) -> bool {
        // The kernel does one thing at a time.
        if state.client != Life::Down || matches!(state.server.life, Life::Sealing { .. }) {
            return false;
        }
        state.port.seal_client(self.mistakes, &mut state.ghost.wrong);
        state.server_bell |= !self.mistakes.has(Mistake::SealDoesNotRing);
        state.client = Life::Sealed;
        true
    }

    pub(super) fn kernel_hears(&self, state: &mut ServiceState) -> bool {
        let Some(complaint) = state.complaints[0] else { return false };
        if matches!(state.server.life, Life::Sealing { .. }) {
            return false;
        }
        state.complaints = [state.complaints[1], None];
        let ServiceState { port, server, ghost, .. } = state;
        let found = port.replies[slot(complaint.position)];
        let named = found.epoch == complaint.epoch || self.mistakes.has(Mistake::ComplainsWithoutEpoch);
        if !port.replied(complaint.position) || !named {
            return true;
        }
        port.reopen(complaint.position);
        if let Life::Gone { .. } = server.life {
            port.kernel_replies(complaint.position, Kind::Gone, found.reply.to, &mut ghost.wrong);
            state.client_bell = true;
        } else {
            server.dies();
        }
        true
    }

    pub(super) fn kernel_answers_gone(&self, state: &mut ServiceState) -> bool {
        let Life::Gone { awake } = state.server.life else { return false };
        let port = &mut state.port;
        let position = port.answered;
        if awake {
            if port.replied(position) {
                port.answered = position.wrapping_add(1);
            } else if port.asked(position) {
                let at = slot(position);
                if !behind(position, port.replayed) {
                    port.replies[at].progress = 0;
                }
                let request = port.requests[at].request;
                port.kernel_replies(position, Kind::Gone, request, &mut state.ghost.wrong);
                port.answered = position.wrapping_add(1);
                state.client_bell = true;
            } else {
                state.server.life = Life::Gone { awake: false };
            }
        } else {
            if !state.server_bell || self.mistakes.has(Mistake::AnswersGoneOnce) {
                return false;
            }
            state.server_bell = false;
            state.server.life = Life::Gone { awake: true };
        }
        true
    }
}

impl Model for Service {
    type State = ServiceState;
    type Action = ServiceStep;

    fn init_states(&self) -> Vec<ServiceState> {
        let state = |contracts: &Vec<Contract>| {
            let mut all = [Pure; REQUESTS];
            all[..contracts.len()].copy_from_slice(contracts);
            let mut port = Port::<SLOTS>::new(self.first);
            port.replayed = self.first.wrapping_sub(self.stale);
            let mut server = Server::NEW;
            server.replays = Port::<SLOTS>::ahead(port.taken, port.replayed) as u8;
            ServiceState {
                contracts: all,
                requests: contracts.len() as u8,
                port,
                client: Life::Up,
                sending: Sending::Idle,
                receiving: Receiving::Wait(Waiting::Looking),
                server,
                client_bell: false,
                server_bell: false,
                complaints: [None; 2],
                deaths: self.deaths,
                bad_replies: self.bad_replies,
                deadlines: self.deadlines,
                expired: 0,
                ghost: Ghost::default(),
            }
        };
        self.contracts.iter().map(state).collect()
    }

    fn actions(&self, state: &ServiceState, actions: &mut Vec<ServiceStep>) {
        actions.extend(SERVICE_STEPS);
        if state.bad_replies > 0 {
            actions.push(ServiceStep::ServerSpoilsReply);
        }
        if self.gives_up {
            actions.push(ServiceStep::KernelGivesUp);
        }
        if state.deadlines > 0 {
            actions.extend((0..state.requests).map(ServiceStep::DeadlinePasses));
        }
        if state.deaths > 0 {
            actions.extend([ServiceStep::ClientDies, ServiceStep::ServerDies]);
        }
    }

    fn next_state(&self, last: &ServiceState, step: ServiceStep) -> Option<ServiceState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = service_rules();
        rules.push(Property::always("every request ends answered", |model: &Self, state: &ServiceState| {
            model.done(state) || SERVICE_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}
