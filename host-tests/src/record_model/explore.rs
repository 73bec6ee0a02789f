//! Explores the models.
//!
//! Job: say within which bounds each is explored, quickly and in full, and which small model finds each mistake; report
//! what was found.

use super::*;

/// The rule that a model without a circle keeps.
const NO_CIRCLE: &str = "no run goes round in a circle";

/// Walks through the whole of a model and looks for a circle: with it, "every request ends answered"
/// would say nothing, because a run could go on for ever and answer nothing.
fn explore_circles<M: Model<State: Hash + Eq>>(name: &'static str, bound: &str, model: &M) -> Outcome {
    let mut seen = HashMap::new();
    // Depth first; a state is open while the walk is below it.
    let mut path = Vec::new();
    let mut circle = false;
    for first in model.init_states() {
        let first = Rc::new(first);
        seen.insert(Rc::clone(&first), true);
        path.push((Rc::clone(&first), model.next_states(&first)));
        while let Some((state, next)) = path.last_mut() {
            let Some(next) = next.pop() else {
                seen.insert(Rc::clone(state), false);
                path.pop();
                continue;
            };
            match seen.get(&next) {
                Some(&open) => circle |= open,
                None => {
                    let next = Rc::new(next);
                    seen.insert(Rc::clone(&next), true);
                    path.push((Rc::clone(&next), model.next_states(&next)));
                }
            }
        }
    }
    let discovery = Discovery { rule: NO_CIRCLE, steps: Vec::new() };
    let bound = bound.to_owned();
    Outcome { name, bound, states: seen.len(), discoveries: circle.then_some(discovery).into_iter().collect() }
}

/// Walks through the whole of a model, or up to the first rule that does not hold.
fn explore<M>(name: &'static str, bound: String, model: M) -> Outcome
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq + Send + Sync>
        + Send
        + Sync
        + 'static,
{
    let checker = model.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let discovery = |(rule, path): (&'static str, stateright::Path<M::State, M::Action>)| Discovery {
        rule,
        steps: path.into_actions().iter().map(|step| format!("{step:?}")).collect(),
    };
    Outcome {
        name,
        bound,
        states: checker.unique_state_count(),
        discoveries: checker.discoveries().into_iter().map(discovery).collect(),
    }
}

impl Service {
    fn bound(&self) -> String {
        format!(
            "{SLOTS} slots, {} choices of {} requests, {} deaths, {} bad replies, {} deadlines{}",
            self.contracts.len(),
            self.contracts[0].len(),
            self.deaths,
            self.bad_replies,
            self.deadlines,
            if self.gives_up { ", given up" } else { "" },
        )
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

impl<const N: usize> Router<N> {
    fn bound(&self) -> String {
        format!(
            "{N} slots each, {} choices of {} requests, {} deaths, {} bad replies, {} deadlines, {} probes",
            self.contracts.len(),
            self.contracts[0].len(),
            self.deaths,
            self.bad_replies,
            self.deadlines,
            self.probes,
        )
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

impl Stream {
    fn bound(&self) -> String {
        format!("{SLOTS} slots, items of {:?} bytes or fewer, {} deaths", self.items, self.deaths)
    }

    fn explore(self, name: &'static str) -> Outcome {
        explore(name, self.bound(), self)
    }

    fn explore_circles(self, name: &'static str) -> Outcome {
        explore_circles(name, &self.bound(), &self)
    }
}

/// Tries every order of steps inside the bounds of `form`, and reports each model.
#[must_use]
pub fn report(form: Form) -> Vec<Outcome> {
    let full = form == Form::Full;
    // Long enough that a slot is used again, and every neighbour of every contract but one.
    let mixed = || vec![vec![Resumable, AtMostOnce, Resumable], vec![Idempotent, Resumable, Pure]];
    let routed = || vec![vec![Resumable, AtMostOnce], vec![Idempotent, Resumable]];
    let deadly = || vec![vec![Deadly, Pure, Deadly], vec![Resumable, Deadly, Deadly]];
    let mut outcomes = vec![
        Service { contracts: if full { every(3) } else { every(2) }, deaths: 1, ..Service::default() }
            .explore("service"),
        Service { contracts: deadly(), deaths: u8::from(full), ..Service::default() }
            .explore("service, deadly requests"),
        Router::<SLOTS> { contracts: if full { every(3) } else { every(2) }, deaths: 1, ..Router::default() }
            .explore("router"),
        Router::<SLOTS> { contracts: routed(), deaths: 1, bad_replies: 1, ..Router::default() }
            .explore("router, a bad reply"),
        Stream { deaths: if full { 3 } else { 2 }, ..Stream::default() }.explore("stream"),
        Service {
            contracts: vec![vec![Pure, AtMostOnce]],
            deaths: 1,
            bad_replies: u8::from(full),
            ..Service::default()
        }
        .explore_circles("service, circles"),
        Service { contracts: deadly(), deaths: 0, gives_up: true, ..Service::default() }
            .explore_circles("service, circles when given up"),
        Router::<SLOTS> { contracts: vec![vec![Pure, Resumable]], deaths: 1, bad_replies: 1, ..Router::default() }
            .explore_circles("router, circles"),
        Stream { items: &[1, 1, 1], deaths: 2, ..Stream::default() }.explore_circles("stream, circles"),
    ];
    if full {
        outcomes.extend([
            Stream { first: u32::MAX - 1, deaths: 5, ..Stream::default() }.explore("stream, positions run over"),
            Service { contracts: every(2), ..Service::default() }.explore("service, more deaths"),
            Service { contracts: mixed(), first: u32::MAX - 1, ..Service::default() }
                .explore("service, positions run over"),
            Service { contracts: vec![vec![Resumable, AtMostOnce]], deaths: 3, ..Service::default() }
                .explore("service, most deaths"),
            Service { contracts: every(2), deaths: 1, bad_replies: 1, ..Service::default() }
                .explore("service, a bad reply"),
            Service { contracts: mixed(), deaths: 1, bad_replies: 1, ..Service::default() }
                .explore("service, a bad reply, a slot used again"),
            Service { contracts: vec![vec![Pure, Resumable]], deaths: 1, bad_replies: 2, ..Service::default() }
                .explore("service, bad replies"),
            Service { contracts: mixed(), deaths: 1, deadlines: 1, ..Service::default() }
                .explore("service, a deadline"),
            Service { contracts: mixed(), deaths: 2, gives_up: true, ..Service::default() }
                .explore("service, given up"),
            Router::<SLOTS> { contracts: every(2), ..Router::default() }.explore("router, more deaths"),
            Router::<SLOTS> { contracts: mixed(), deaths: 2, first: u32::MAX - 1, ..Router::default() }
                .explore("router, positions run over"),
            Router::<SLOTS> { contracts: every(2), deaths: 1, bad_replies: 1, ..Router::default() }
                .explore("router, a bad reply, all contracts"),
            Router::<SLOTS> { contracts: routed(), bad_replies: 1, ..Router::default() }
                .explore("router, a bad reply, more deaths"),
            Router::<SLOTS> { contracts: every(2), deaths: 0, bad_replies: 2, ..Router::default() }
                .explore("router, bad replies"),
            Router::<SLOTS> {
                contracts: vec![vec![Resumable, Idempotent, AtMostOnce, Resumable]],
                deaths: 1,
                bad_replies: 1,
                ..Router::default()
            }
            .explore("router, a bad reply, a slot used again"),
            Router::<4> {
                contracts: vec![vec![Resumable, Pure, Pure, Pure]],
                deaths: 1,
                probes: 1,
                ..Router::default()
            }
            .explore("router, a probe"),
            Router::<SLOTS> { contracts: mixed(), deaths: 1, deadlines: 1, ..Router::default() }
                .explore("router, a deadline"),
            Service { contracts: mixed(), deaths: 0, stale: 1 << 31 | 1, ..Service::default() }
                .explore("service, long after the last death"),
        ]);
    }
    outcomes
}

/// Explores a small model that has this one mistake, up to the first rule it breaks.
#[must_use]
pub fn explore_mistake(mistake: Mistake) -> Outcome {
    use Mistake::*;
    let mistakes = Mistakes::of(&[mistake]);
    let service = |contracts: &[Contract]| Service {
        contracts: vec![contracts.to_vec()],
        deaths: 1,
        mistakes,
        ..Service::default()
    };
    let router = |contracts: &[Contract]| Router::<SLOTS> {
        contracts: vec![contracts.to_vec()],
        deaths: 1,
        mistakes,
        ..Router::default()
    };
    let stream = |items| Stream { items, deaths: 1, mistakes, ..Stream::default() };
    let spoiled = |service: Service| Service { bad_replies: 1, ..service };
    match mistake {
        CountsBeforeTheStep | CountsAfterTheStep | ResetsAReplay => service(&[Resumable]).explore("service"),
        DoesNotSeal
        | SealsBySent
        | ClampsConsumedByAnswered
        | SealDoesNotRing
        | ClearsTheBellAfterLooking
        | SendsBeforeCommit
        | CommitsBeforeWriting
        | ConsumesBeforeDelivering
        | ClampsTakenBySent => service(&[Pure, Pure, Pure]).explore("service"),
        SealsByAnswered | TakesAfterTheMethod => service(&[AtMostOnce]).explore("service"),
        TakesBeforeTheReset => service(&[Resumable, Pure, Resumable]).explore("service"),
        DecodesBeforeTaking => service(&[Deadly]).explore("service"),
        OffersAtMostOnceAgain => service(&[AtMostOnce]).explore("service"),
        SendsWithoutRoom => service(&[Pure, Pure, Pure]).explore("service"),
        DoesNotSkip => spoiled(service(&[Pure, AtMostOnce])).explore("service"),
        SkipsAfterLooking => Service { deaths: 0, ..spoiled(service(&[Pure, Pure, Pure, Pure])) }.explore("service"),
        ReopensBehindALaterOne => spoiled(service(&[Idempotent, Idempotent])).explore("service"),
        ComplainsWithoutEpoch => Service { deaths: 2, ..spoiled(service(&[Pure, Pure, Pure])) }.explore("service"),
        AnswersGoneOnce => Service { gives_up: true, ..service(&[Pure]) }.explore("service"),
        RemembersBySlot => Service { deaths: 2, ..service(&[Pure, Pure, Pure]) }.explore("service"),
        ComparesPlainly => Service { first: u32::MAX, ..service(&[Resumable, Pure]) }.explore("service"),
        ComparesBySign => Service { stale: 1 << 31 | 1, ..service(&[Resumable, Pure, Resumable]) }.explore("service"),
        ExpiresBeforeTheReset => Service { deadlines: 1, ..service(&[Resumable, Pure, Resumable]) }.explore("service"),
        ForwardsAgain => router(&[Resumable]).explore("router"),
        ExpiresWhatIsForwarded => Router { deadlines: 1, ..router(&[Resumable]) }.explore("router"),
        ConsumesBeforeAnswering => router(&[Resumable]).explore("router"),
        TakesReplaysTogether => router(&[Pure, AtMostOnce]).explore("router"),
        ForwardsBeforeTaking => router(&[AtMostOnce]).explore("router"),
        DoesNotLookBack => Router { bad_replies: 1, ..router(&[Resumable]) }.explore("router"),
        FindsWhatIsHalfWritten => router(&[Pure, Pure, Pure]).explore("router"),
        ForwardsWhatIsLost => {
            let contracts = vec![vec![Resumable, Pure, Pure, Pure]];
            Router::<4> { contracts, deaths: 0, bad_replies: 1, probes: 1, mistakes, ..Router::default() }
                .explore("router")
        }
        PassesOnUnread => Router { bad_replies: 1, ..router(&[Pure]) }.explore_circles("router"),
        AnswersBeforeTakingAgain => Router { deaths: 2, ..router(&[Pure, Pure]) }.explore("router"),
        PopsThenCounts | BeginsTheSlotAnew | CountsThenPushes | PushesThenCounts => stream(&[2]).explore("stream"),
        MarksBeforeTheReset
        | StreamSealsBySent
        | StreamClampsBySent
        | ResetsAfterConsuming
        | ResetsBeforeConsuming
        | StreamSealDoesNotRing => stream(&[1, 1, 1]).explore("stream"),
        EmptyItemsLeaveNoTag => stream(&[1, 1, 1]).explore("stream"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to a number and then stays there, or goes round.
    struct Clock {
        round: bool,
    }

    impl Model for Clock {
        type State = u8;
        type Action = ();

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, &state: &u8, actions: &mut Vec<()>) {
            actions.extend((self.round || state < 11).then_some(()));
        }

        fn next_state(&self, &last: &u8, (): ()) -> Option<u8> {
            Some((last + 1) % 12)
        }
    }

    #[test]
    fn a_circle_is_found_where_there_is_one() {
        let broken = |round| explore_circles("clock", "", &Clock { round }).discoveries.len();
        assert_eq!([broken(false), broken(true)], [0, 1]);
    }

    #[test]
    fn a_mark_from_long_ago_is_not_ahead() {
        assert_eq!(Port::<SLOTS>::ahead(u32::MAX, 1), 2);
        assert_eq!(Port::<SLOTS>::ahead(5, 5), 0);
        assert_eq!(Port::<SLOTS>::ahead(5, 4), 0);
        assert_eq!(Port::<SLOTS>::ahead(5, 5u32.wrapping_add(1 << 31)), 0);
    }
}
