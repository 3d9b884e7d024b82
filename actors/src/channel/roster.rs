//! Who is present in a channel: users, and how many connections make each of them present.
//!
//! Pure: the channel tells it of connections, it tells which users came and went
//! (protocol section 3.7).

use std::sync::Arc;

use indexmap::IndexMap;

use crate::protocol::UserId;

/// One member of a presence channel, as a subscription announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// What the others are told of the user: the text of a JSON object, `{}` if nothing was given.
    pub info: Arc<str>,
}

impl Member {
    /// Takes what another node has told; `None` for a name that is none, or information that is no JSON object.
    pub(crate) fn parse(user: &str, info: &str) -> Option<Self> {
        let user = UserId::member(user).ok()?;
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(info).ok()?;
        Some(Self { user, info: info.into() })
    }
}

/// What a connection's arrival meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The user was not there before.
    First,
    /// The user has another connection here; what the others know of the user is replaced in silence.
    Further,
    /// There are as many users as may be.
    Full,
}

/// The users of one presence channel.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    users: IndexMap<UserId, Present, foldhash::quality::RandomState>,
}

#[derive(Debug)]
struct Present {
    info: Arc<str>,
    connections: usize,
}

impl Roster {
    /// Takes a connection of a user in, unless that would be more than `limit` distinct users.
    pub(crate) fn join(&mut self, member: &Member, limit: usize) -> Arrival {
        if let Some(present) = self.users.get_mut(&member.user) {
            present.connections += 1;
            present.info = Arc::clone(&member.info);
            return Arrival::Further;
        }
        if self.users.len() >= limit {
            return Arrival::Full;
        }
        let present = Present { info: Arc::clone(&member.info), connections: 1 };
        self.users.insert(member.user.clone(), present);
        Arrival::First
    }

    /// Lets a connection of a user go; `true` when it was the last.
    pub(crate) fn leave(&mut self, user: &UserId) -> bool {
        let Some(present) = self.users.get_mut(user) else {
            return false;
        };
        present.connections -= 1;
        if present.connections > 0 {
            return false;
        }
        self.users.swap_remove(user);
        true
    }

    /// Returns the users with what is told of them.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&UserId, &str)> + Clone {
        self.users.iter().map(|(user, present)| (user, &*present.info))
    }

    /// Returns how many distinct users there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;

    fn member(user: &str, info: &str) -> Member {
        Member { user: UserId::member(user).unwrap(), info: info.into() }
    }

    #[test]
    fn a_user_is_there_from_the_first_connection_to_the_last() {
        let mut roster = Roster::default();
        assert_eq!(roster.join(&member("1", "{}"), 100), Arrival::First);
        assert_eq!(roster.join(&member("1", r#"{"n":2}"#), 100), Arrival::Further);
        let user = UserId::member("1").unwrap();
        assert_eq!(roster.members().collect::<Vec<_>>(), [(&user, r#"{"n":2}"#)]);
        assert!(!roster.leave(&user));
        assert!(roster.leave(&user));
        assert!(!roster.leave(&user));
        assert_eq!(roster.len(), 0);
    }

    #[test]
    fn the_limit_counts_users_not_connections() {
        let mut roster = Roster::default();
        assert_eq!(roster.join(&member("1", "{}"), 1), Arrival::First);
        assert_eq!(roster.join(&member("2", "{}"), 1), Arrival::Full);
        assert_eq!(roster.join(&member("1", "{}"), 1), Arrival::Further);
    }

    proptest! {
        /// Arrivals and departures alternate for each user, whatever connections do.
        #[test]
        fn arrivals_and_departures_alternate(steps in prop::collection::vec((0_u8..4, any::<bool>()), 0..200)) {
            let mut roster = Roster::default();
            let mut connections = [0_usize; 4];
            for (user, join) in steps {
                let held = &mut connections[usize::from(user)];
                let member = member(&user.to_string(), "{}");
                if join {
                    let expected = if *held == 0 { Arrival::First } else { Arrival::Further };
                    prop_assert_eq!(roster.join(&member, 100), expected);
                    *held += 1;
                } else {
                    prop_assert_eq!(roster.leave(&member.user), *held == 1);
                    *held = held.saturating_sub(1);
                }
                prop_assert_eq!(roster.len(), connections.iter().filter(|held| **held > 0).count());
            }
        }
    }
}
