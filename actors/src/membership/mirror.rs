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
mod tests;
