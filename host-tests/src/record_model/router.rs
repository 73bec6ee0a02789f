//! The router: SOS between a client and a driver.
//!
//! Job: walk through what SOS does between its two ports, store by store, with deaths and unreadable replies of SOS and of
//! the driver, deadlines and probes. SOS is one task: it relays, else lets go, else passes on, and begins again. It keeps nothing of its own; what
//! it did before it died, it sees from the two rings alone.
//!
//! The driver and the client take larger steps here: the service model looks at their small ones.

use super::*;

/// What a probe asks: no request of the client, and it changes nothing.
const PROBE: u8 = u8::MAX - 1;

/// The router model: a client, SOS, a driver.
pub(super) struct Router<const N: usize = SLOTS> {
    pub(super) contracts: Vec<Vec<Contract>>,
    pub(super) deaths: u8,
    /// Replies, of SOS or of the driver, that cannot be decoded.
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    pub(super) probes: u8,
    pub(super) first: u32,
    pub(super) mistakes: Mistakes,
}

impl<const N: usize> Default for Router<N> {
    fn default() -> Self {
        Self {
            contracts: every(3),
            deaths: 2,
            bad_replies: 0,
            deadlines: 0,
            probes: 0,
            first: 0,
            mistakes: Mistakes::default(),
        }
    }
}

/// What SOS does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Routing {
    Looking,
    /// Has written the reply to the oldest request in hand, and must commit it.
    Answering,
    /// Has committed it, and must store `answered`.
    Answered,
    /// Has taken what is answered already, and must store `answered`.
    Passing,
    /// Has taken a request, and must see what became of it.
    Taken,
    /// Has written the slot below that it forwards into, and must commit it.
    Written,
    /// Has committed it, and must store `sent`.
    Committed,
    /// Has nothing to do but to send a probe.
    Probing,
}

/// A request that SOS has taken, and not forwarded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Taken {
    position: u32,
    replay: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouterState<const N: usize> {
    pub(super) contracts: [Contract; REQUESTS],
    pub(super) requests: u8,
    /// Between the client and SOS.
    pub(super) upper: Port<N>,
    /// Between SOS and the driver.
    pub(super) lower: Port<N>,
    pub(super) router: Life,
    pub(super) routing: Routing,
    pub(super) held: Option<Taken>,
    /// How many of the next requests were in hand at a death.
    pub(super) replays: u8,
    /// The last request that was taken was one of them, or none was taken yet.
    pub(super) replaying: bool,
    /// Below: slots of probes that SOS has let go, before they were answered.
    pub(super) let_go: [bool; N],
    pub(super) driver: Server,
    pub(super) deaths: u8,
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    pub(super) probes: u8,
    /// Requests whose deadline has passed.
    pub(super) expired: u8,
    /// For the onlooker: requests that were ever forwarded.
    pub(super) forwarded: u8,
    pub(super) ghost: Ghost,
}

impl<const N: usize> Watched for RouterState<N> {
    fn wrong(&self) -> Wrong {
        self.ghost.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RouterStep {
    ClientSends,
    ClientReceives,
    RouterRoutes,
    RouterSpoilsAnswer,
    RouterProbes,
    KernelSealsRouter,
    KernelStartsRouter,
    DriverServes,
    DriverSpoilsReply,
    KernelSealsDriver,
    DeadlinePasses(u8),
    RouterDies,
    DriverDies,
}

pub(super) const ROUTER_STEPS: [RouterStep; 7] = [
    RouterStep::DriverServes,
    RouterStep::RouterRoutes,
    RouterStep::ClientReceives,
    RouterStep::ClientSends,
    RouterStep::KernelSealsRouter,
    RouterStep::KernelStartsRouter,
    RouterStep::KernelSealsDriver,
];

impl<const N: usize> RouterState<N> {
    fn contract(&self, request: u8) -> Contract {
        if request == PROBE { Pure } else { self.contracts[request as usize % REQUESTS] }
    }

    fn router_dies(&mut self) {
        self.router = Life::Down;
        self.routing = Routing::Looking;
        self.held = None;
        self.replays = 0;
        self.replaying = true;
        self.let_go = [false; N];
    }

    /// The oldest request below that SOS still waits for.
    fn oldest(&self) -> Option<u32> {
        let count = self.lower.sent.wrapping_sub(self.lower.consumed);
        (0..count)
            .map(|further| self.lower.consumed.wrapping_add(further))
            .find(|&at| !self.let_go[Port::<N>::slot(at)])
    }

    /// Writes the reply to the oldest request in hand; it is not committed yet.
    fn writes_answer(&mut self, reply: Reply) {
        let position = self.upper.answered;
        self.ghost.wrong.note(Wrong::OVERWRITTEN, !self.upper.may_reply(position));
        let one = &mut self.upper.replies[Port::<N>::slot(position)];
        one.reply = reply;
        one.progress = reply.progress;
        self.routing = Routing::Answering;
    }
}

impl<const N: usize> Router<N> {
    pub(super) fn index(&self, position: u32) -> u8 {
        position.wrapping_sub(self.first) as u8
    }

    pub(super) fn done(&self, state: &RouterState<N>) -> bool {
        self.index(state.upper.consumed) == state.requests && state.ghost.heard == state.requests
    }

    pub(super) fn step(&self, last: &RouterState<N>, step: RouterStep) -> Option<RouterState<N>> {
        let mut state = last.clone();
        let moved = match step {
            RouterStep::ClientSends => self.client_sends(&mut state),
            RouterStep::ClientReceives => self.client_receives(&mut state),
            RouterStep::RouterRoutes => last.router == Life::Up && self.router_routes(&mut state),
            RouterStep::RouterSpoilsAnswer => {
                let moved = last.router == Life::Up && last.bad_replies > 0 && self.router_routes(&mut state);
                let written = last.routing == Routing::Looking && state.routing == Routing::Answering;
                state.upper.replies[Port::<N>::slot(last.upper.answered)].reply.bad = true;
                state.bad_replies = last.bad_replies.saturating_sub(1);
                moved && written
            }
            RouterStep::RouterProbes => last.router == Life::Up && self.router_probes(&mut state),
            RouterStep::KernelSealsRouter => self.kernel_seals_router(&mut state),
            RouterStep::KernelStartsRouter => {
                state.router = Life::Up;
                state.replays = Port::<N>::ahead(last.upper.taken, last.upper.replayed) as u8;
                last.router == Life::Sealed
            }
            RouterStep::DriverServes => last.driver.life == Life::Up && self.driver_serves(&mut state, false),
            RouterStep::DriverSpoilsReply => {
                last.driver.life == Life::Up && last.bad_replies > 0 && self.driver_serves(&mut state, true)
            }
            RouterStep::KernelSealsDriver => last.driver.life == Life::Down && self.kernel_seals_driver(&mut state),
            RouterStep::DeadlinePasses(request) => {
                let at = self.first.wrapping_add(u32::from(request));
                let waits = !behind(at, last.upper.consumed) && behind(at, last.upper.sent);
                state.expired |= 1 << request;
                state.deadlines = last.deadlines.saturating_sub(1);
                waits && last.deadlines > 0 && last.expired & 1 << request == 0
            }
            RouterStep::RouterDies => {
                state.router_dies();
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.router == Life::Up
            }
            RouterStep::DriverDies => {
                state.driver.dies();
                state.deaths = last.deaths.saturating_sub(1);
                last.deaths > 0 && last.driver.life == Life::Up
            }
        };
        moved.then_some(state)
    }

    fn client_sends(&self, state: &mut RouterState<N>) -> bool {
        let position = state.upper.sent;
        if self.index(position) >= state.requests || !state.upper.room() {
            return false;
        }
        let request = self.index(position);
        state.upper.requests[Port::<N>::slot(position)] =
            RequestSlot { sequence: position.wrapping_add(1), request, origin: 0 };
        state.upper.sent = position.wrapping_add(1);
        true
    }

    fn client_receives(&self, state: &mut RouterState<N>) -> bool {
        let position = state.upper.consumed;
        if !state.upper.replied(position) {
            return false;
        }
        let request = self.index(position);
        let reply = state.upper.replies[Port::<N>::slot(position)].reply;
        if reply.bad {
            // The complaint: SOS is stopped, and what it answered is no answer.
            state.router_dies();
            state.upper.reopen(position);
        } else {
            let contract = state.contract(request);
            state.ghost.deliver(request, contract, reply);
            state.upper.consumed = position.wrapping_add(1);
        }
        true
    }

    /// Where the request with this origin lies below, if its reply can still be read: it is outstanding, or was let go and
    /// its slot has not been used again. A slot that a death left half written still shows the word of the one that had it.
    fn find(&self, lower: &Port<N>, origin: u32) -> Option<u32> {
        let looks_back =
            !self.mistakes.has(Mistake::DoesNotLookBack) && !self.mistakes.has(Mistake::ConsumesBeforeAnswering);
        let first = if looks_back { lower.consumed.wrapping_sub(N as u32) } else { lower.consumed };
        (0..lower.sent.wrapping_sub(first))
            .map(|further| first.wrapping_add(further))
            .find(|&at| lower.asked(at) && lower.requests[Port::<N>::slot(at)].origin == origin)
    }

    /// Whether the slot was half written when SOS died: what lies behind it was forwarded before it.
    fn half_written(&self, lower: &Port<N>, at: u32) -> bool {
        let origin = |at| lower.requests[Port::<N>::slot(at)].origin;
        let next = (1..)
            .map(|further| at.wrapping_add(further))
            .take_while(|&next| lower.asked(next))
            .find(|&next| lower.requests[Port::<N>::slot(next)].request != PROBE);
        next.is_some_and(|next| behind(origin(next), origin(at))) && !self.mistakes.has(Mistake::FindsWhatIsHalfWritten)
    }

    /// Whether the request with this origin is not to be found because its slot was used again: a later one is there.
    fn lost(&self, lower: &Port<N>, origin: u32) -> bool {
        let later = (1..=N as u32).any(|further| self.find(lower, origin.wrapping_add(further)).is_some());
        later && !self.mistakes.has(Mistake::ForwardsWhatIsLost)
    }

    fn router_routes(&self, state: &mut RouterState<N>) -> bool {
        let RouterState { upper, lower, .. } = state;
        let below = lower.sent;
        match state.routing {
            Routing::Looking => return self.relays(state) || self.lets_go(state) || self.passes_on(state),
            Routing::Answering => {
                upper.replies[Port::<N>::slot(upper.answered)].sequence = upper.answered.wrapping_add(1);
                state.routing = Routing::Answered;
            }
            Routing::Answered => {
                upper.answered = upper.answered.wrapping_add(1);
                state.routing = Routing::Looking;
            }
            Routing::Passing => {
                upper.answered = upper.taken;
                state.routing = Routing::Looking;
            }
            Routing::Probing => {
                lower.requests[Port::<N>::slot(below)] =
                    RequestSlot { sequence: below.wrapping_add(1), request: PROBE, origin: 0 };
                lower.sent = below.wrapping_add(1);
                state.let_go[Port::<N>::slot(below)] = true;
                state.routing = Routing::Looking;
            }
            Routing::Taken => {
                state.routing = Routing::Looking;
                self.passes_on(state);
            }
            Routing::Written => {
                lower.requests[Port::<N>::slot(below)].sequence = below.wrapping_add(1);
                state.forwarded |= 1 << lower.requests[Port::<N>::slot(below)].request;
                state.routing = Routing::Committed;
            }
            Routing::Committed => {
                lower.sent = below.wrapping_add(1);
                if let Some(Taken { position, .. }) = state.held.take()
                    && behind(upper.taken, position.wrapping_add(1))
                {
                    // Only with a mistake: forwarded before it is taken.
                    upper.taken = position.wrapping_add(1);
                }
                state.routing = Routing::Looking;
            }
        }
        true
    }

    /// Answers the oldest request in hand, if the driver has.
    fn relays(&self, state: &mut RouterState<N>) -> bool {
        let RouterState { upper, lower, .. } = state;
        let asked = upper.answered;
        if asked == upper.taken && !self.mistakes.has(Mistake::AnswersBeforeTakingAgain) {
            return false;
        }
        let Some(below) = self.find(lower, asked.wrapping_add(1)).filter(|&below| lower.replied(below)) else {
            return false;
        };
        let reply = lower.replies[Port::<N>::slot(below)].reply;
        if reply.bad && !self.mistakes.has(Mistake::PassesOnUnread) {
            // The complaint: the driver is stopped, and what it answered is no answer.
            if below.wrapping_sub(lower.consumed) < RING {
                lower.reopen(below);
            }
            state.driver.dies();
            return self.kernel_seals_driver(state);
        }
        if self.mistakes.has(Mistake::ConsumesBeforeAnswering) {
            lower.consumed = below.wrapping_add(1);
        }
        state.writes_answer(reply);
        true
    }

    /// Lets go of the oldest reply below if nobody waits for it any more: only now may its slot be used again.
    fn lets_go(&self, state: &mut RouterState<N>) -> bool {
        let Some(oldest) = state.oldest() else { return false };
        let RouterState { upper, lower, .. } = state;
        let request = lower.requests[Port::<N>::slot(oldest)];
        let answered = request.request == PROBE || behind(request.origin.wrapping_sub(1), upper.answered);
        if !answered || !lower.replied(oldest) {
            return false;
        }
        state.let_go[Port::<N>::slot(oldest)] = true;
        while state.let_go[Port::<N>::slot(lower.consumed)] && lower.replied(lower.consumed) {
            state.let_go[Port::<N>::slot(lower.consumed)] = false;
            lower.consumed = lower.consumed.wrapping_add(1);
        }
        true
    }

    /// Takes the next request, or forwards the one that was taken.
    fn passes_on(&self, state: &mut RouterState<N>) -> bool {
        let RouterState { upper, lower, ghost, .. } = state;
        let Some(Taken { position, replay }) = state.held else { return self.takes(state) };
        let origin = position.wrapping_add(1);
        if replay && !self.mistakes.has(Mistake::ForwardsAgain) {
            match self.find(lower, origin) {
                Some(below) if !self.half_written(lower, below) => {
                    state.held = None;
                    return true;
                }
                None if self.lost(lower, origin) => {
                    let to = self.index(position);
                    // Without probes no slot is used again too early.
                    let forwarded = state.forwarded & 1 << to != 0 && self.probes > 0;
                    ghost.wrong.note(Wrong::POISONED, !forwarded);
                    ghost.lost |= 1 << to;
                    let progress = upper.replies[Port::<N>::slot(position)].progress;
                    state.held = None;
                    state.writes_answer(Reply { kind: Kind::Poisoned, to, progress, bad: false });
                    return true;
                }
                _ => {}
            }
        }
        if !lower.room() {
            return false;
        }
        ghost.wrong.note(Wrong::OVERWRITTEN, lower.asked(lower.sent));
        let one = &mut lower.requests[Port::<N>::slot(lower.sent)];
        (one.request, one.origin) = (self.index(position), origin);
        state.routing = Routing::Written;
        true
    }

    fn takes(&self, state: &mut RouterState<N>) -> bool {
        let RouterState { upper, ghost, .. } = state;
        let position = upper.taken;
        let replay = state.replays > 0;
        let in_hand = upper.taken != upper.answered;
        if replay && !in_hand && upper.replied(position) {
            upper.taken = position.wrapping_add(1);
            state.replays -= 1;
            state.routing = Routing::Passing;
            return true;
        }
        // What lies behind may be answered already, and only one with nothing in hand passes it.
        if state.replaying && in_hand && !self.mistakes.has(Mistake::TakesReplaysTogether) || !upper.asked(position) {
            return false;
        }
        let copied = upper.requests[Port::<N>::slot(position)].request;
        ghost.wrong.note(Wrong::MISMATCH, copied != self.index(position));
        state.replays = state.replays.saturating_sub(1);
        state.replaying = replay;
        if !replay {
            upper.replies[Port::<N>::slot(position)].progress = 0;
        }
        if !self.mistakes.has(Mistake::ForwardsBeforeTaking) {
            upper.taken = position.wrapping_add(1);
        }
        let expires = self.mistakes.has(Mistake::ExpiresWhatIsForwarded) && replay && !in_hand;
        if expires && state.expired & 1 << copied != 0 {
            let progress = upper.replies[Port::<N>::slot(position)].progress;
            state.writes_answer(Reply { kind: Kind::Expired, to: copied, progress, bad: false });
        } else {
            state.held = Some(Taken { position, replay });
            state.routing = Routing::Taken;
        }
        true
    }

    /// When nothing is left to do: something harmless is to be asked behind the oldest request that the driver has, and no
    /// reply waited for. Sent in one step: what can befall it half way befalls a forwarded request too.
    fn router_probes(&self, state: &mut RouterState<N>) -> bool {
        let Some(oldest) = state.oldest() else { return false };
        let lower = &state.lower;
        let mut behind_it = 1..lower.sent.wrapping_sub(oldest);
        let probed =
            behind_it.any(|further| lower.requests[Port::<N>::slot(oldest.wrapping_add(further))].request == PROBE);
        let idle = state.routing == Routing::Looking && !self.router_routes(&mut state.clone());
        if state.probes == 0 || !lower.room() || probed || !idle {
            return false;
        }
        state.probes -= 1;
        state.routing = Routing::Probing;
        true
    }

    fn kernel_seals_router(&self, state: &mut RouterState<N>) -> bool {
        if state.router != Life::Down {
            return false;
        }
        let RouterState { upper, lower, ghost, .. } = state;
        let consumed = upper.clamp_server(self.mistakes, &mut ghost.wrong);
        let contract = |position: u32| state.contracts[self.index(position) as usize % REQUESTS];
        let routed = |position| match contract(position) {
            // Whether it may run again is judged where it is carried out.
            AtMostOnce => AtMostOnce,
            _ => Pure,
        };
        for further in 0..upper.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            upper.seal_position(position, routed(position), false, self.mistakes, &mut ghost.wrong);
        }
        upper.finish_server(consumed, routed, self.mistakes, &mut ghost.wrong);
        lower.seal_client(self.mistakes, &mut ghost.wrong);
        state.router = Life::Sealed;
        true
    }

    /// The driver in larger steps than in the service model, which looks at the small ones.
    fn driver_serves(&self, state: &mut RouterState<N>, spoils: bool) -> bool {
        let position = state.driver.position;
        let at = Port::<N>::slot(position);
        let request = state.lower.requests[at].request;
        let contract = state.contract(request);
        let RouterState { lower, driver, ghost, .. } = state;
        let steps = contract == Resumable && lower.replies[at].progress < STEPS && !driver.expired;
        let acts = matches!(contract, Idempotent | AtMostOnce) && !driver.expired;
        let writes = match driver.serving {
            Serving::Running => !steps && !acts,
            Serving::Ran => true,
            _ => false,
        };
        if spoils && !writes {
            return false;
        }
        driver.serving = match driver.serving {
            Serving::Wait(_) => {
                let position = lower.taken;
                let replay = driver.replays > 0;
                let skips = replay && lower.replied(position);
                if !skips && !lower.asked(position) {
                    return false;
                }
                let request = lower.requests[Port::<N>::slot(position)].request;
                driver.position = position;
                driver.replays = driver.replays.saturating_sub(1);
                driver.expired = replay && request != PROBE && state.expired & 1 << (request % 8) != 0;
                if !replay {
                    lower.replies[Port::<N>::slot(position)].progress = 0;
                }
                lower.taken = position.wrapping_add(1);
                if !skips {
                    ghost.takes(lower, position, &state.contracts);
                }
                if skips { Serving::Committed } else { Serving::Running }
            }
            Serving::Running if steps => {
                ghost.effect(request, contract, lower.replies[at].progress);
                lower.replies[at].progress += 1;
                Serving::Running
            }
            Serving::Running if acts => {
                ghost.effect(request, contract, 0);
                Serving::Ran
            }
            Serving::Running | Serving::Ran => {
                ghost.wrong.note(Wrong::OVERWRITTEN, !lower.may_reply(position));
                let kind = if driver.expired { Kind::Expired } else { Kind::Plain };
                let one = &mut lower.replies[at];
                one.reply = Reply { kind, to: request, progress: one.progress, bad: spoils };
                one.epoch = driver.epoch;
                one.sequence = position.wrapping_add(1);
                state.bad_replies -= u8::from(spoils);
                Serving::Committed
            }
            _ => {
                lower.answered = position.wrapping_add(1);
                driver.expired = false;
                Serving::Wait(Waiting::Looking)
            }
        };
        true
    }

    /// Seals and starts the driver in one step.
    fn kernel_seals_driver(&self, state: &mut RouterState<N>) -> bool {
        let contracts = state.contracts;
        let RouterState { lower, driver, ghost, .. } = state;
        let consumed = lower.clamp_server(self.mistakes, &mut ghost.wrong);
        let slots = lower.requests;
        let request = |position: u32| slots[Port::<N>::slot(position)].request;
        let contract =
            |position| if request(position) == PROBE { Pure } else { contracts[request(position) as usize % REQUESTS] };
        for further in 0..lower.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            if !lower.replied(position) && request(position) != PROBE {
                ghost.is_in_hand(request(position));
            }
            lower.seal_position(position, contract(position), true, self.mistakes, &mut ghost.wrong);
        }
        lower.finish_server(consumed, contract, self.mistakes, &mut ghost.wrong);
        driver.born(lower);
        true
    }
}

impl<const N: usize> Model for Router<N> {
    type State = RouterState<N>;
    type Action = RouterStep;

    fn init_states(&self) -> Vec<RouterState<N>> {
        let state = |contracts: &Vec<Contract>| {
            let mut all = [Pure; REQUESTS];
            all[..contracts.len()].copy_from_slice(contracts);
            // The positions below are others than those above; the lap before was forwarded as this one is.
            let mut lower = Port::<N>::new(self.first.wrapping_add(5));
            for further in 1..=N as u32 {
                let at = Port::<N>::slot(lower.sent.wrapping_sub(further));
                lower.requests[at].origin = self.first.wrapping_sub(further).wrapping_add(1);
            }
            RouterState {
                contracts: all,
                requests: contracts.len() as u8,
                upper: Port::<N>::new(self.first),
                lower,
                router: Life::Up,
                routing: Routing::Looking,
                held: None,
                replays: 0,
                replaying: true,
                let_go: [false; N],
                driver: Server::NEW,
                deaths: self.deaths,
                bad_replies: self.bad_replies,
                deadlines: self.deadlines,
                probes: self.probes,
                expired: 0,
                forwarded: 0,
                ghost: Ghost::default(),
            }
        };
        self.contracts.iter().map(state).collect()
    }

    fn actions(&self, state: &RouterState<N>, actions: &mut Vec<RouterStep>) {
        actions.extend(ROUTER_STEPS);
        if state.bad_replies > 0 {
            actions.extend([RouterStep::RouterSpoilsAnswer, RouterStep::DriverSpoilsReply]);
        }
        if state.probes > 0 {
            actions.push(RouterStep::RouterProbes);
        }
        if state.deadlines > 0 {
            actions.extend((0..state.requests).map(RouterStep::DeadlinePasses));
        }
        if state.deaths > 0 {
            actions.extend([RouterStep::RouterDies, RouterStep::DriverDies]);
        }
    }

    fn next_state(&self, last: &RouterState<N>, step: RouterStep) -> Option<RouterState<N>> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = service_rules();
        rules.push(Property::always("every request ends answered", |model: &Self, state: &RouterState<N>| {
            model.done(state) || ROUTER_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}
