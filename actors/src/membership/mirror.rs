//! What one node shows of who is in a presence channel over all nodes. Pure.
//!
//! A roster at a position of the channel's sequence, and the comings and goings of higher serials. Events
//! must be told in the order of the sequence; what stands at or below the position is known already. A
//! roster and the events come by different ways: what is ahead of the roster is kept until one comes that
//! it follows on.
//!
//! A sequence begins anew when the broker has lost its state. Then nodes say again who is there, one after
//! another: users of the old sequence stay until all have had the time to ([`Mirror::settle`]).

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashSet;
use indexmap::IndexMap;

use super::{Admission, Position};
use crate::channel::Member;
use crate::protocol::UserId;

/// Events kept that are ahead of the roster. With the oldest gone, the next roster may not do.
const AHEAD: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub struct Mirror {
    position: Option<Position>,
    users: IndexMap<UserId, Arc<str>, foldhash::quality::RandomState>,
    /// What does not follow on the position, in its order and of one sequence.
    ahead: VecDeque<(Position, Step)>,
    /// Users of an earlier sequence whom this one has not told of.
    fading: HashSet<UserId, foldhash::quality::RandomState>,
}

/// What an event does to who is there.
#[derive(Debug)]
enum Step {
    Joined(Member),
    Left(UserId),
    Nothing,
    /// What it does is not known.
    Missing,
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
    /// Takes a roster in its place, and what is known to follow on it. Returns who came and who went by
    /// it, if there was one before.
    pub fn replace(&mut self, position: Position, roster: Vec<Member>) -> Difference {
        let had = self.has_begun();
        let is_anew = had && !self.is_of(&position);
        self.position = Some(position);
        let users = roster.into_iter().map(|member| (member.user, member.info)).collect();
        let before = std::mem::replace(&mut self.users, users);
        let fading = std::mem::take(&mut self.fading);
        for (user, info) in &before {
            if !self.users.contains_key(user) && (is_anew || fading.contains(user)) {
                self.fading.insert(user.clone());
                self.users.insert(user.clone(), Arc::clone(info));
            }
        }
        for (at, step) in std::mem::take(&mut self.ahead) {
            // what does not follow on is kept again
            let _: Reflected = self.reflect(&at, step);
        }
        if !had {
            return Difference::default();
        }
        let came = self.users.iter().filter(|(user, _)| !before.contains_key(*user));
        Difference {
            came: came.map(|(user, info)| member(user, info)).collect(),
            went: before.into_keys().filter(|user| !self.users.contains_key(user)).collect(),
        }
    }

    /// Tells whether nobody is shown whom only an earlier sequence has told of.
    pub fn is_settled(&self) -> bool {
        self.fading.is_empty()
    }

    /// Lets those go whom only an earlier sequence has told of. Returns them.
    pub fn settle(&mut self) -> Vec<UserId> {
        let gone = std::mem::take(&mut self.fading);
        gone.into_iter().filter(|user| self.users.swap_remove(user).is_some()).collect()
    }

    /// Takes what a connection was admitted with. Events up to its position that come later are known then.
    pub fn receive(&mut self, admission: &Admission) -> Received {
        let position = &admission.position;
        match &admission.roster {
            _ if self.has_reached(position) => Received::Now(Difference::default()),
            Some(roster) => Received::Now(self.replace(position.clone(), roster.clone())),
            None if self.is_of(position) => Received::Wait,
            None => Received::Lost,
        }
    }

    /// Tells whether there is a roster yet.
    pub fn has_begun(&self) -> bool {
        self.position.is_some()
    }

    /// Tells whether everything that came is in it.
    pub fn is_whole(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Takes that a roster is asked for now: it will have all that has come so far.
    pub fn look(&mut self) {
        self.ahead.clear();
    }

    /// Takes what a user who is there tells anew with a further connection.
    pub fn renew(&mut self, member: &Member) {
        if let Some(info) = self.users.get_mut(&member.user) {
            *info = Arc::clone(&member.info);
        }
    }

    /// Takes the coming of a user.
    pub fn joined(&mut self, at: &Position, member: &Member) -> Reflected {
        self.reflect(at, Step::Joined(member.clone()))
    }

    /// Takes the going of a user.
    pub fn left(&mut self, at: &Position, user: &UserId) -> Reflected {
        self.reflect(at, Step::Left(user.clone()))
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
        self.reflect(at, Step::Nothing)
    }

    /// Takes that events up to here are lost: only a roster may have what they did.
    pub fn miss(&mut self, at: &Position) -> Reflected {
        self.reflect(at, Step::Missing)
    }

    /// Returns the users with what is told of them.
    pub fn members(&self) -> impl Iterator<Item = (&UserId, &str)> + Clone {
        self.users.iter().map(|(user, info)| (user, &**info))
    }

    /// Tells whether a user is there.
    pub fn shows(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Returns how many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Tells whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn reflect(&mut self, at: &Position, step: Step) -> Reflected {
        if self.has_reached(at) {
            return Reflected::Known;
        }
        let position = self.position.as_mut().filter(|position| {
            let follows = position.serial.checked_add(1) == Some(at.serial);
            follows && position.epoch == at.epoch && !matches!(step, Step::Missing)
        });
        let Some(position) = position else {
            self.keep(at.clone(), step);
            return Reflected::Lost;
        };
        position.serial = at.serial;
        let changed = match step {
            Step::Joined(Member { user, info }) => {
                self.fading.remove(&user);
                self.users.insert(user, info).is_none()
            }
            Step::Left(user) => {
                self.fading.remove(&user);
                self.users.swap_remove(&user).is_some()
            }
            Step::Nothing | Step::Missing => false,
        };
        if changed { Reflected::Changed } else { Reflected::Known }
    }

    fn keep(&mut self, at: Position, step: Step) {
        if self.ahead.back().is_some_and(|(last, _)| last.epoch != at.epoch) {
            self.ahead.clear();
        }
        if self.ahead.len() >= AHEAD {
            self.ahead.pop_front();
        }
        self.ahead.push_back((at, step));
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
        assert_eq!(difference, Difference { came: vec![named(3)], went: vec![] });
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

    #[test]
    fn what_overtakes_its_roster_is_not_forgotten() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.joined(&at(4), &named(4)), Reflected::Lost);
        assert_eq!(mirror.left(&at(5), &named(1).user), Reflected::Lost);
        assert_eq!(mirror.replace(at(3), vec![named(1), named(2)]), Difference::default());
        assert!(mirror.is_whole() && mirror.has_reached(&at(5)));
        assert_eq!(shown(&mirror), ["2", "4"].map(String::from).into());
        // one is missing, and the roster that is asked for is of a moment between what comes meanwhile
        assert_eq!(mirror.pass(&at(7)), Reflected::Lost);
        assert!(!mirror.is_whole());
        mirror.look();
        assert_eq!(mirror.joined(&at(8), &named(8)), Reflected::Lost);
        assert_eq!(mirror.joined(&at(9), &named(9)), Reflected::Lost);
        let difference = mirror.replace(at(8), vec![named(4), named(8)]);
        let came = vec![named(8), named(9)];
        assert_eq!(difference, Difference { came, went: vec![named(2).user] });
        assert!(mirror.is_whole());
        // what is lost is not passed over, even if it follows on
        assert_eq!(mirror.miss(&at(10)), Reflected::Lost);
        mirror.replace(at(9), vec![named(4), named(8), named(9)]);
        assert!(!mirror.is_whole());
        mirror.look();
        mirror.replace(at(10), vec![named(4), named(8)]);
        assert_eq!(mirror.miss(&at(10)), Reflected::Known);
        assert!(mirror.is_whole());
        // a roster that is too old for what has come since does not do
        mirror.pass(&at(12));
        mirror.replace(at(11), vec![]);
        assert!(mirror.is_whole() && mirror.has_reached(&at(12)));
        mirror.pass(&at(15));
        mirror.replace(at(13), vec![]);
        assert!(!mirror.is_whole());
        // nor does one of another sequence, whichever is the younger
        mirror.replace(Position { epoch: "f".into(), serial: 1 }, vec![]);
        assert!(!mirror.is_whole());
    }

    #[test]
    fn users_of_an_earlier_sequence_stay_until_all_had_the_time_to_come_back() {
        let mut mirror = Mirror::default();
        mirror.replace(at(9), (1..=5).map(named).collect());
        let next = |serial| Position { epoch: "f".into(), serial };
        let difference = mirror.replace(next(1), vec![named(1), named(6)]);
        assert_eq!(difference, Difference { came: vec![named(6)], went: vec![] });
        assert_eq!(mirror.joined(&next(2), &named(2)), Reflected::Known, "nobody saw the user go");
        assert_eq!(mirror.joined(&next(3), &named(3)), Reflected::Known);
        assert_eq!(mirror.left(&next(4), &named(3).user), Reflected::Changed);
        // a further roster of the same sequence says no more of the others than the first
        let difference = mirror.replace(next(7), vec![named(1), named(2)]);
        assert_eq!(difference, Difference { came: vec![], went: vec![named(6).user] });
        assert!(!mirror.is_settled());
        let gone: BTreeSet<_> = mirror.settle().iter().map(ToString::to_string).collect();
        assert_eq!(gone, ["4", "5"].map(String::from).into());
        assert_eq!(shown(&mirror), ["1", "2"].map(String::from).into());
        assert!(mirror.is_settled() && mirror.settle().is_empty());
    }

    #[test]
    fn no_more_is_kept_ahead_than_may_be() {
        let mut mirror = Mirror::default();
        for serial in 1..=2 * AHEAD as u64 {
            mirror.pass(&at(serial));
        }
        assert_eq!(mirror.ahead.len(), AHEAD);
        mirror.pass(&Position { epoch: "f".into(), serial: 1 });
        assert_eq!(mirror.ahead.len(), 1);
    }

    proptest! {
        /// A snapshot at any serial, and all events from any earlier one, some of which overtake it: the
        /// same users in the end, and each change that comes after it is told once.
        #[test]
        fn a_snapshot_and_later_events_make_the_whole(
            steps in prop::collection::vec(0_usize..6, 1..60),
            taken in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
            overtaking in any::<prop::sample::Index>(),
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
            let overtaking = from + 1 + overtaking.index(truth.len() - from);
            let mut mirror = Mirror::default();
            for serial in from + 1..truth.len() {
                if serial == overtaking {
                    mirror.replace(at(taken as u64), truth[taken].iter().map(|user| named(*user)).collect());
                }
                let user = steps[serial - 1];
                let place = at(serial as u64);
                let reflected = if truth[serial].contains(&user) {
                    mirror.joined(&place, &named(user))
                } else {
                    mirror.left(&place, &named(user).user)
                };
                let expected = if serial < overtaking {
                    Reflected::Lost
                } else if serial > taken {
                    Reflected::Changed
                } else {
                    Reflected::Known
                };
                prop_assert_eq!(reflected, expected);
            }
            if overtaking == truth.len() {
                mirror.replace(at(taken as u64), truth[taken].iter().map(|user| named(*user)).collect());
            }
            prop_assert!(mirror.is_whole());
            let last: BTreeSet<String> = truth.last().unwrap().iter().map(usize::to_string).collect();
            prop_assert_eq!(shown(&mirror), last);
        }
    }
}
