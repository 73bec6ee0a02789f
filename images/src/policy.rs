//! Groups, as the restart manager reads them.

use koboshi_restart_manager::policy::{Escalation, GROUPS, Group, MEMBERS, Policy, Strategy};

use crate::manifest::{GroupManifest, StrategyKind};

/// The most groups in an image.
pub(crate) const MOST_GROUPS: usize = GROUPS;

/// The most members in a group.
pub(crate) const MOST_MEMBERS: usize = MEMBERS;

/// What comes when a group's intensity is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The group at this place in the manifest is restarted.
    Group(u8),
    /// The image reboots.
    Image,
    /// It is given up.
    GiveUp,
}

/// A group with its names looked up.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its members' places.
    pub(crate) members: Vec<u8>,
    /// What comes next.
    pub(crate) escalate: To,
}

/// Whether the way of escalation from one group comes to another.
pub(crate) fn leads(groups: &[Found], from: usize, to: usize) -> bool {
    let mut at = from;
    for _ in groups {
        match groups.get(at).map(|group| group.escalate) {
            Some(To::Group(next)) => at = next.into(),
            _ => return false,
        }
        if at == to {
            return true;
        }
    }
    false
}

/// The group that decides about a component's deaths: of those that list it, the one from which escalation begins.
pub(crate) fn home(groups: &[Found], component: usize) -> Option<usize> {
    let lists = |group: &Found| group.members.iter().any(|member| usize::from(*member) == component);
    let mut listing = (0..groups.len()).filter(|place| groups.get(*place).is_some_and(lists));
    let first = listing.next()?;
    Some(listing.fold(first, |home, other| if leads(groups, other, home) { other } else { home }))
}

/// Whether the way of escalation from this group ends with somebody given up.
pub(crate) fn ends_in_give_up(groups: &[Found], from: usize) -> bool {
    let mut at = from;
    for _ in groups {
        match groups.get(at).map(|group| group.escalate) {
            Some(To::Group(next)) => at = next.into(),
            Some(To::GiveUp) => return true,
            Some(To::Image) | None => return false,
        }
    }
    false
}

/// The policy of these groups, or what about it cannot be followed.
pub(crate) fn policy(found: &[Found], groups: &[GroupManifest]) -> Result<Policy, String> {
    // The manager wants each group before the one that it escalates to; a person need not care.
    let steps = |from: usize| (0..found.len()).filter(|to| leads(found, from, *to)).count();
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(steps(*place)));
    let mut policy = Policy::default();
    for place in &order {
        let (Some(found), Some(group)) = (found.get(*place), groups.get(*place)) else { continue };
        // Whole milliseconds, not too many of them: the manifest's reader has seen to it.
        let milliseconds = |time: u64| u32::try_from(time / 1_000_000).unwrap_or(u32::MAX);
        let group = Group {
            members: found.members.iter().copied().collect(),
            strategy: match group.strategy {
                StrategyKind::OneForOne => Strategy::OneForOne,
                StrategyKind::OneForAll => Strategy::OneForAll,
                StrategyKind::RestForOne => Strategy::RestForOne,
            },
            intensity: group.intensity,
            period_ms: milliseconds(group.period.value),
            backoff_first_ms: milliseconds(group.backoff_first.value),
            backoff_most_ms: milliseconds(group.backoff_most.value),
            rate_per_second: group.rate_per_second,
            escalate: match found.escalate {
                To::Group(next) => {
                    let place = order.iter().position(|place| *place == usize::from(next));
                    Escalation::Group(place.map_or(u8::MAX, |place| place as u8))
                }
                To::Image => Escalation::Image,
                To::GiveUp => Escalation::GiveUp,
            },
        };
        policy.groups.push(group).map_err(|_| "too many groups".to_owned())?;
    }
    policy.check().map_err(|flaw| format!("the policy has a flaw: {flaw:?}"))?;
    Ok(policy)
}
