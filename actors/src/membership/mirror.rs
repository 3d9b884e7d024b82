//! What one node shows of who is in a presence channel over all nodes. Pure.
//!
//! A roster at a position of the channel's sequence, and the comings and goings of higher serials. Events
//! must be told in the order of the sequence; what stands at or below the position is known already.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Admission, Position};
use crate::channel::Member;
use crate::protocol::UserId;

/// See the module.
#[derive(Debug, Default)]
pub struct Mirror {
    position: Option<Position>,
    users: IndexMap<UserId, Arc<str>, foldhash::quality::RandomState>,
}

/// What an event meant for a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reflected {
    /// It changed who is there: subscribers are to be told.
    Changed,
    /// It was known already.
    Known,
    /// It belongs to another sequence or does not follow on, or there is no roster yet: a new roster is needed.
    Lost,
}

impl Mirror {
    /// Takes a roster in its place. Returns who came and who went by it, if there was one before.
    pub fn replace(&mut self, position: Position, roster: Vec<Member>) -> Difference {
        let had = self.position.replace(position).is_some();
        let users = roster.into_iter().map(|member| (member.user, member.info)).collect();
        let before = std::mem::replace(&mut self.users, users);
        if !had {
            return Difference::default();
        }
        let came = self.users.iter().filter(|(user, _)| !before.contains_key(*user));
        Difference {
            came: came.map(|(user, info)| member(user, info)).collect(),
            went: before.into_keys().filter(|user| !self.users.contains_key(user)).collect(),
        }
    }

    /// Takes what a connection was admitted with. Events up to its position that come later are known then.
    pub fn receive(&mut self, admission: &Admission) -> Received {
        let position = &admission.position;
        let same = self.position.as_ref().is_some_and(|here| here.epoch == position.epoch);
        match &admission.roster {
            _ if same && self.has_reached(position) => Received::Now(Difference::default()),
            Some(roster) => Received::Now(self.replace(position.clone(), roster.clone())),
            None if same => Received::Wait,
            None => Received::Lost,
        }
    }

    /// Tells whether there is a roster yet.
    pub fn has_begun(&self) -> bool {
        self.position.is_some()
    }

    /// Takes what a user who is there tells anew with a further connection.
    pub fn renew(&mut self, member: &Member) {
        if let Some(info) = self.users.get_mut(&member.user) {
            *info = Arc::clone(&member.info);
        }
    }

    /// Takes the coming of a user.
    pub fn joined(&mut self, at: &Position, member: &Member) -> Reflected {
        self.reflect(at, |users| {
            users.insert(member.user.clone(), Arc::clone(&member.info)).is_none()
        })
    }

    /// Takes the going of a user.
    pub fn left(&mut self, at: &Position, user: &UserId) -> Reflected {
        self.reflect(at, |users| users.swap_remove(user).is_some())
    }

    /// Tells whether the events up to a position are in it.
    pub fn has_reached(&self, at: &Position) -> bool {
        self.position
            .as_ref()
            .is_some_and(|position| position.epoch == at.epoch && position.serial >= at.serial)
    }

    /// Tells whether a position is of its sequence.
    pub fn is_of(&self, at: &Position) -> bool {
        self.position.as_ref().is_some_and(|position| position.epoch == at.epoch)
    }

    /// Moves on over an event that changes nobody: a published one.
    pub fn pass(&mut self, at: &Position) -> Reflected {
        self.reflect(at, |_| false)
    }

    /// Returns the users with what is told of them.
    pub fn members(&self) -> impl Iterator<Item = (&UserId, &str)> + Clone {
        self.users.iter().map(|(user, info)| (user, &**info))
    }

    /// Returns how many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Tells whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn reflect(
        &mut self,
        at: &Position,
        change: impl FnOnce(&mut IndexMap<UserId, Arc<str>, foldhash::quality::RandomState>) -> bool,
    ) -> Reflected {
        let Some(position) = &mut self.position else {
            return Reflected::Lost;
        };
        if position.epoch != at.epoch {
            return Reflected::Lost;
        }
        if at.serial <= position.serial {
            return Reflected::Known;
        }
        if at.serial > position.serial + 1 {
            return Reflected::Lost;
        }
        position.serial = at.serial;
        if change(&mut self.users) { Reflected::Changed } else { Reflected::Known }
    }
}

/// What an admission means for a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The connection may see the mirror; whoever sees it already is to be told of the difference first.
    Now(Difference),
    /// The connection may see the mirror when that has reached the admission's position.
    Wait,
    /// The admission belongs to another sequence, or there is no roster yet: a new roster is needed.
    Lost,
}

/// Who came and who went between two rosters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Who is there now and was not.
    pub came: Vec<Member>,
    /// Who was there and is not.
    pub went: Vec<UserId>,
}

fn member(user: &UserId, info: &Arc<str>) -> Member {
    Member { user: user.clone(), info: Arc::clone(info) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::membership::Counts;

    fn at(serial: u64) -> Position {
        Position { epoch: "e".into(), serial }
    }

    fn named(user: usize) -> Member {
        Member { user: UserId::member(&user.to_string()).unwrap(), info: "{}".into() }
    }

    fn shown(mirror: &Mirror) -> BTreeSet<String> {
        mirror.members().map(|(user, _)| user.to_string()).collect()
    }

    #[test]
    fn another_sequence_is_not_taken_for_this_one() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.joined(&at(1), &named(1)), Reflected::Lost);
        mirror.replace(at(1), vec![named(1), named(2)]);
        let other = Position { epoch: "f".into(), serial: 9 };
        assert_eq!(mirror.left(&other, &named(1).user), Reflected::Lost);
        assert!(!mirror.has_reached(&other));
        let difference = mirror.replace(other.clone(), vec![named(2), named(3)]);
        assert_eq!(difference, Difference { came: vec![named(3)], went: vec![named(1).user] });
        assert!(mirror.has_reached(&other));
        let next = |serial| Position { epoch: "f".into(), serial };
        assert_eq!(mirror.pass(&next(11)), Reflected::Lost, "one is missing");
        assert_eq!(mirror.joined(&next(10), &named(4)), Reflected::Changed);
    }

    #[test]
    fn an_admission_shows_the_mirror_when_that_is_as_far() {
        let admission = |position: &Position, roster| Admission {
            position: position.clone(),
            roster,
            counts: Counts::default(),
        };
        let now = || Received::Now(Difference::default());
        let mut mirror = Mirror::default();
        assert_eq!(mirror.receive(&admission(&at(3), None)), Received::Lost);
        assert_eq!(mirror.receive(&admission(&at(3), Some(vec![named(1)]))), now());
        assert_eq!(mirror.receive(&admission(&at(2), None)), now());
        assert_eq!(mirror.receive(&admission(&at(5), None)), Received::Wait);
        mirror.joined(&at(4), &named(2));
        mirror.pass(&at(5));
        assert_eq!(mirror.receive(&admission(&at(5), None)), now());
        // further ahead with a roster: what it skips is told at once, and not again
        let ahead = mirror.receive(&admission(&at(7), Some(vec![named(1), named(3)])));
        let difference = Difference { came: vec![named(3)], went: vec![named(2).user] };
        assert_eq!(ahead, Received::Now(difference));
        assert_eq!(mirror.left(&at(6), &named(2).user), Reflected::Known);
        let other = Position { epoch: "f".into(), serial: 1 };
        assert_eq!(mirror.receive(&admission(&other, None)), Received::Lost);
    }

    proptest! {
        /// A snapshot at any serial, then all events from any earlier one: the same users in the end, and
        /// each change is told once.
        #[test]
        fn a_snapshot_and_later_events_make_the_whole(
            steps in prop::collection::vec(0_usize..6, 1..60),
            taken in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
        ) {
            let mut truth: Vec<BTreeSet<usize>> = vec![BTreeSet::new()];
            for user in &steps {
                let mut next = truth.last().unwrap().clone();
                if !next.remove(user) {
                    next.insert(*user);
                }
                truth.push(next);
            }
            let taken = taken.index(truth.len());
            let from = from.index(taken + 1);
            let mut mirror = Mirror::default();
            mirror.replace(at(taken as u64), truth[taken].iter().map(|user| named(*user)).collect());
            for serial in from + 1..truth.len() {
                let user = steps[serial - 1];
                let place = at(serial as u64);
                let reflected = if truth[serial].contains(&user) {
                    mirror.joined(&place, &named(user))
                } else {
                    mirror.left(&place, &named(user).user)
                };
                let expected = if serial > taken { Reflected::Changed } else { Reflected::Known };
                prop_assert_eq!(reflected, expected);
            }
            let last: BTreeSet<String> = truth.last().unwrap().iter().map(usize::to_string).collect();
            prop_assert_eq!(shown(&mirror), last);
        }
    }
}
