//! The router: a client, SOS and a driver.

use super::*;

/// The router model: a client, SOS, a driver.
pub(super) struct Router {
    pub(super) contracts: Vec<Vec<Contract>>,
    pub(super) deaths: u8,
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    pub(super) first: u32,
    pub(super) mistakes: Mistakes,
}

impl Default for Router {
    fn default() -> Self {
        Self { contracts: every(3), deaths: 2, bad_replies: 0, deadlines: 0, first: 0, mistakes: Mistakes::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Forwarding {
    /// Has not yet taken up again what was in hand.
    Born,
    Idle,
    /// Must forward this position.
    Forward,
    /// Has written that this position is expired, and must commit it.
    Expired,
    /// Has committed that, and must store `answered`.
    Settled,
    Written,
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answering {
    Idle,
    Written,
    Committed,
    Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouterState {
    pub(super) contracts: [Contract; REQUESTS],
    pub(super) requests: u8,
    /// Between the client and SOS.
    pub(super) upper: Port,
    /// Between SOS and the driver.
    pub(super) lower: Port,
    pub(super) router: Life,
    pub(super) forwarding: Forwarding,
    pub(super) answering: Answering,
    /// The next position that the forwarding task looks at.
    pub(super) cursor: u32,
    pub(super) driver: Server,
    pub(super) deaths: u8,
    pub(super) bad_replies: u8,
    pub(super) deadlines: u8,
    /// Requests whose deadline has passed.
    pub(super) expired: u8,
    pub(super) ghost: Ghost,
}

impl Watched for RouterState {
    fn wrong(&self) -> Wrong {
        self.ghost.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RouterStep {
    ClientSends,
    ClientReceives,
    RouterForwards,
    RouterAnswers,
    RouterSpoilsAnswer,
    KernelSealsRouter,
    KernelStartsRouter,
    DriverServes,
    KernelSealsDriver,
    DeadlinePasses(u8),
    RouterDies,
    DriverDies,
}

pub(super) const ROUTER_STEPS: [RouterStep; 8] = [
    RouterStep::DriverServes,
    RouterStep::RouterForwards,
    RouterStep::RouterAnswers,
    RouterStep::ClientReceives,
    RouterStep::ClientSends,
    RouterStep::KernelSealsRouter,
    RouterStep::KernelStartsRouter,
    RouterStep::KernelSealsDriver,
];

impl Router {
    pub(super) fn index(&self, position: u32) -> u8 {
        position.wrapping_sub(self.first) as u8
    }

    pub(super) fn done(&self, state: &RouterState) -> bool {
        self.index(state.upper.consumed) == state.requests && state.ghost.heard == state.requests
    }

    pub(super) fn step(&self, last: &RouterState, step: RouterStep) -> Option<RouterState> {
        let mut state = last.clone();
        let moved = match step {
            RouterStep::ClientSends => self.client_sends(&mut state),
            RouterStep::ClientReceives => self.client_receives(&mut state),
            RouterStep::RouterForwards => last.router == Life::Up && self.router_forwards(&mut state),
            RouterStep::RouterAnswers => last.router == Life::Up && self.router_answers(&mut state, false),
            RouterStep::RouterSpoilsAnswer => {
                last.router == Life::Up && last.bad_replies > 0 && self.router_answers(&mut state, true)
            }
            RouterStep::KernelSealsRouter => self.kernel_seals_router(&mut state),
            RouterStep::KernelStartsRouter => {
                state.router = Life::Up;
                last.router == Life::Sealed
            }
            RouterStep::DriverServes => last.driver.life == Life::Up && self.driver_serves(&mut state),
            RouterStep::KernelSealsDriver => self.kernel_seals_driver(&mut state),
            RouterStep::DeadlinePasses(request) => {
                let at = self.first.wrapping_add(u32::from(request));
                let waits = !behind(at, last.upper.consumed) && behind(at, last.upper.sent);
                state.expired |= 1 << request;
                state.deadlines = last.deadlines.saturating_sub(1);
                waits && last.deadlines > 0 && last.expired & 1 << request == 0
            }
            RouterStep::RouterDies => {
                router_dies(&mut state);
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

    pub(super) fn client_sends(&self, state: &mut RouterState) -> bool {
        let position = state.upper.sent;
        if self.index(position) >= state.requests || !state.upper.room() {
            return false;
        }
        let request = self.index(position);
        state.upper.requests[slot(position)] = RequestSlot { sequence: position.wrapping_add(1), request, origin: 0 };
        state.upper.sent = position.wrapping_add(1);
        true
    }

    pub(super) fn client_receives(&self, state: &mut RouterState) -> bool {
        let position = state.upper.consumed;
        if !state.upper.replied(position) {
            return false;
        }
        let request = self.index(position);
        let contract = state.contracts[request as usize % REQUESTS];
        let reply = state.upper.replies[slot(position)].reply;
        if reply.bad {
            // The complaint: SOS is stopped, and what ended below it does not begin anew.
            router_dies(state);
            state.upper.reopen(position);
            if contract == Resumable && !self.mistakes.has(Mistake::ReopensResumable) {
                let to = reply.to;
                state.upper.kernel_replies(position, Kind::Interrupted, to, &mut state.ghost.wrong);
            }
        } else {
            state.ghost.deliver(request, contract, reply);
            state.upper.consumed = position.wrapping_add(1);
        }
        true
    }

    /// The position below, if any, that carries `origin` and waits for its reply to be consumed.
    pub(super) fn forwarded(&self, lower: &Port, origin: u32) -> bool {
        (0..lower.sent.wrapping_sub(lower.consumed))
            .map(|further| lower.consumed.wrapping_add(further))
            .any(|position| lower.requests[slot(position)].origin == origin)
    }

    pub(super) fn router_forwards(&self, state: &mut RouterState) -> bool {
        let RouterState { upper, lower, ghost, .. } = state;
        let position = state.cursor;
        let below = lower.sent;
        state.forwarding = match state.forwarding {
            Forwarding::Born => {
                state.cursor = upper.answered;
                let in_hand = ahead(upper.taken, upper.replayed);
                if !self.mistakes.has(Mistake::AnswersBeforeTakingAgain) {
                    upper.taken = upper.taken.wrapping_add(in_hand);
                }
                Forwarding::Idle
            }
            Forwarding::Idle if behind(position, upper.taken) => {
                let claims = !self.mistakes.has(Mistake::ForwardsAgain);
                let request = self.index(position);
                // Looked at in both cases below: whether it runs, the driver alone knows.
                let expires = state.expired & 1 << request != 0
                    && (self.mistakes.has(Mistake::ExpiresWhatIsForwarded) || !self.forwarded(lower, position));
                if expires && !behind(position, upper.answered) && !upper.replied(position) {
                    ghost.wrong.note(Wrong::OVERWRITTEN, !upper.may_reply(position));
                    let one = &mut upper.replies[slot(position)];
                    one.reply = Reply { kind: Kind::Expired, to: request, progress: 0, bad: false };
                    Forwarding::Expired
                } else if behind(position, upper.answered)
                    || upper.replied(position)
                    || claims && self.forwarded(lower, position)
                {
                    state.cursor = position.wrapping_add(1);
                    Forwarding::Idle
                } else {
                    Forwarding::Forward
                }
            }
            Forwarding::Expired => {
                upper.replies[slot(position)].sequence = position.wrapping_add(1);
                Forwarding::Settled
            }
            Forwarding::Settled => {
                upper.answered = upper.proven_answered();
                Forwarding::Idle
            }
            Forwarding::Idle if upper.replied(position) => {
                // Only with a mistake: nothing above `taken` has a reply.
                upper.taken = position.wrapping_add(1);
                Forwarding::Idle
            }
            Forwarding::Idle => {
                if !upper.asked(position) {
                    return false;
                }
                let copied = upper.requests[slot(position)].request;
                ghost.wrong.note(Wrong::MISMATCH, copied != self.index(position));
                if self.mistakes.has(Mistake::ForwardsBeforeTaking) {
                    Forwarding::Forward
                } else {
                    upper.taken = position.wrapping_add(1);
                    Forwarding::Idle
                }
            }
            Forwarding::Forward => {
                if !lower.room() {
                    return false;
                }
                ghost.wrong.note(Wrong::OVERWRITTEN, lower.asked(below));
                let request = self.index(position);
                let one = &mut lower.requests[slot(below)];
                (one.request, one.origin) = (request, position);
                Forwarding::Written
            }
            Forwarding::Written => {
                lower.requests[slot(below)].sequence = below.wrapping_add(1);
                Forwarding::Committed
            }
            Forwarding::Committed => {
                lower.sent = below.wrapping_add(1);
                if behind(upper.taken, position.wrapping_add(1)) {
                    upper.taken = position.wrapping_add(1);
                }
                state.cursor = position.wrapping_add(1);
                Forwarding::Idle
            }
        };
        true
    }

    pub(super) fn router_answers(&self, state: &mut RouterState, spoils: bool) -> bool {
        let early = self.mistakes.has(Mistake::ConsumesBeforeAnswering);
        let RouterState { upper, lower, ghost, .. } = state;
        let below =
            if early && state.answering != Answering::Idle { lower.consumed.wrapping_sub(1) } else { lower.consumed };
        let position = lower.requests[slot(below)].origin;
        if spoils && state.answering != Answering::Idle {
            return false;
        }
        state.answering = match state.answering {
            Answering::Idle => {
                if state.forwarding == Forwarding::Born || !lower.replied(below) {
                    return false;
                }
                let settled = upper.replied(position) && !self.mistakes.has(Mistake::DropsByAnswered);
                if behind(position, upper.answered) || settled {
                    lower.consumed = below.wrapping_add(1);
                    if spoils {
                        return false;
                    }
                    Answering::Idle
                } else {
                    let reply = lower.replies[slot(below)].reply;
                    ghost.wrong.note(Wrong::OVERWRITTEN, !upper.may_reply(position));
                    let one = &mut upper.replies[slot(position)];
                    one.reply = Reply { bad: spoils, ..reply };
                    // For the seal: a request that is not resumed by SOS has no progress here.
                    one.progress = reply.progress;
                    state.bad_replies -= u8::from(spoils);
                    if early {
                        lower.consumed = below.wrapping_add(1);
                    }
                    Answering::Written
                }
            }
            Answering::Written => {
                upper.replies[slot(position)].sequence = position.wrapping_add(1);
                Answering::Committed
            }
            Answering::Committed => {
                // Behind a reopened request the replies wait until that one is answered again.
                upper.answered = upper.proven_answered();
                Answering::Answered
            }
            Answering::Answered => {
                if !early {
                    lower.consumed = below.wrapping_add(1);
                }
                Answering::Idle
            }
        };
        true
    }

    pub(super) fn kernel_seals_router(&self, state: &mut RouterState) -> bool {
        if state.router != Life::Down {
            return false;
        }
        let RouterState { upper, lower, ghost, .. } = state;
        let consumed = upper.clamp_server(self.mistakes, &mut ghost.wrong);
        for further in 0..upper.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            let contract = state.contracts[self.index(position) as usize % REQUESTS];
            upper.seal_position(position, contract, false, self.mistakes, &mut ghost.wrong);
        }
        upper.finish_server(consumed, self.mistakes);
        lower.seal_client(self.mistakes, &mut ghost.wrong);
        state.router = Life::Sealed;
        true
    }

    /// The driver in larger steps than in the service model, which looks at the small ones.
    pub(super) fn driver_serves(&self, state: &mut RouterState) -> bool {
        let RouterState { lower, driver, ghost, .. } = state;
        let position = driver.position;
        let at = slot(position);
        let request = lower.requests[at].request;
        let contract = state.contracts[request as usize % REQUESTS];
        driver.serving = match driver.serving {
            Serving::Wait(_) => {
                let position = lower.taken;
                let replay = driver.replays > 0;
                let skips = replay && lower.replied(position);
                if !skips && !lower.asked(position) {
                    return false;
                }
                driver.position = position;
                driver.replays = driver.replays.saturating_sub(1);
                if !replay {
                    lower.replies[slot(position)].progress = 0;
                }
                lower.taken = position.wrapping_add(1);
                if skips { Serving::Committed } else { Serving::Running }
            }
            Serving::Running if contract == Resumable && lower.replies[at].progress < STEPS => {
                ghost.effect(request, contract, lower.replies[at].progress);
                lower.replies[at].progress += 1;
                Serving::Running
            }
            Serving::Running if matches!(contract, Idempotent | AtMostOnce) => {
                ghost.effect(request, contract, 0);
                Serving::Ran
            }
            Serving::Running | Serving::Ran => {
                ghost.wrong.note(Wrong::OVERWRITTEN, !lower.may_reply(position));
                let one = &mut lower.replies[at];
                one.reply = Reply { kind: Kind::Plain, to: request, progress: one.progress, bad: false };
                one.epoch = driver.epoch;
                one.sequence = position.wrapping_add(1);
                Serving::Committed
            }
            _ => {
                lower.answered = position.wrapping_add(1);
                Serving::Wait(Waiting::Looking)
            }
        };
        true
    }

    /// Seals and starts the driver in one step.
    pub(super) fn kernel_seals_driver(&self, state: &mut RouterState) -> bool {
        if state.driver.life != Life::Down {
            return false;
        }
        let RouterState { lower, driver, ghost, .. } = state;
        let consumed = lower.clamp_server(self.mistakes, &mut ghost.wrong);
        for further in 0..lower.taken.wrapping_sub(consumed) {
            let position = consumed.wrapping_add(further);
            let request = lower.requests[slot(position)].request as usize % REQUESTS;
            if !lower.replied(position) {
                ghost.in_hand[request] = (ghost.in_hand[request] + 1).min(2);
            }
            lower.seal_position(position, state.contracts[request], true, self.mistakes, &mut ghost.wrong);
        }
        lower.finish_server(consumed, self.mistakes);
        driver.born(lower);
        true
    }
}

pub(super) fn router_dies(state: &mut RouterState) {
    state.router = Life::Down;
    state.forwarding = Forwarding::Born;
    state.answering = Answering::Idle;
    state.cursor = 0;
}

impl Model for Router {
    type State = RouterState;
    type Action = RouterStep;

    fn init_states(&self) -> Vec<RouterState> {
        let state = |contracts: &Vec<Contract>| {
            let mut all = [Pure; REQUESTS];
            all[..contracts.len()].copy_from_slice(contracts);
            RouterState {
                contracts: all,
                requests: contracts.len() as u8,
                upper: Port::new(self.first),
                // The positions below are others than those above.
                lower: Port::new(self.first.wrapping_add(5)),
                router: Life::Up,
                forwarding: Forwarding::Born,
                answering: Answering::Idle,
                cursor: 0,
                driver: Server::NEW,
                deaths: self.deaths,
                bad_replies: self.bad_replies,
                deadlines: self.deadlines,
                expired: 0,
                ghost: Ghost::default(),
            }
        };
        self.contracts.iter().map(state).collect()
    }

    fn actions(&self, state: &RouterState, actions: &mut Vec<RouterStep>) {
        actions.extend(ROUTER_STEPS);
        if state.bad_replies > 0 {
            actions.push(RouterStep::RouterSpoilsAnswer);
        }
        if state.deadlines > 0 {
            actions.extend((0..state.requests).map(RouterStep::DeadlinePasses));
        }
        if state.deaths > 0 {
            actions.extend([RouterStep::RouterDies, RouterStep::DriverDies]);
        }
    }

    fn next_state(&self, last: &RouterState, step: RouterStep) -> Option<RouterState> {
        self.step(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut rules = service_rules();
        rules.push(Property::always("every request ends answered", |model: &Self, state: &RouterState| {
            model.done(state) || ROUTER_STEPS.iter().any(|&step| model.step(state, step).is_some())
        }));
        rules
    }
}
