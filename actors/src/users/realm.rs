//! The users of one application as one node knows them: who is signed in here, who watches whom, and what the
//! watchers have been told. Pure.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::protocol::{SocketId, UserId};
use crate::seat::Seat;

/// A connection that watches, and the user whose channel reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watcher {
    pub(super) seat: Seat,
    pub(super) user: UserId,
}

/// Who of a watchlist is online, and who is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lists {
    pub(super) online: Vec<UserId>,
    pub(super) offline: Vec<UserId>,
}

/// What a new watchlist leaves to do.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Watched {
    /// What the watcher is told; `None` while it is not known of all.
    pub(super) lists: Option<Lists>,
    /// Users whom nobody has watched before.
    pub(super) begun: Vec<UserId>,
    /// Users whom nobody watches any more.
    pub(super) dropped: Vec<UserId>,
}

/// What it means that a user was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing new.
    None,
    /// Now it is known, and with it the whole list of these watchers.
    Known(Vec<(Watcher, Lists)>),
    /// The user came online.
    Online,
    /// The user is offline, unless that is not so any more when this departure is settled.
    Leaving(u64),
}

/// See the module.
pub(super) struct Realm {
    /// Users come and go on this node only; else, what is known of those who are watched is told from outside.
    is_alone: bool,
    /// Connections of each user on this node.
    connections: HashMap<UserId, usize>,
    signed_in: HashMap<SocketId, UserId>,
    /// Alone: of users who are not offline. Else: of those whom somebody watches, or has until a while ago.
    standings: HashMap<UserId, Standing>,
    watchers: HashMap<UserId, HashMap<SocketId, Watcher>>,
    watching: HashMap<SocketId, Watching>,
    departures: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Online,
    /// Gone, and not yet told so.
    Leaving(u64),
    Offline,
}

struct Watching {
    list: Vec<UserId>,
    /// How many of them nothing is known of: nothing is told until there is none.
    unknown: usize,
}

impl Realm {
    pub(super) fn new(is_alone: bool) -> Self {
        Self {
            is_alone,
            connections: HashMap::new(),
            signed_in: HashMap::new(),
            standings: HashMap::new(),
            watchers: HashMap::new(),
            watching: HashMap::new(),
            departures: 0,
        }
    }

    // --- who is signed in here ---

    /// Counts a connection of a user; `true` when it is the user's first on this node.
    pub(super) fn enter(&mut self, socket: SocketId, user: &UserId) -> bool {
        if self.signed_in.insert(socket, user.clone()).is_some() {
            return false;
        }
        let connections = self.connections.entry(user.clone()).or_default();
        *connections += 1;
        *connections == 1
    }

    /// Returns whose connection it is.
    pub(super) fn user_of(&self, socket: SocketId) -> Option<&UserId> {
        self.signed_in.get(&socket)
    }

    /// Lets a connection go; returns its user if that was the last one on this node.
    pub(super) fn exit(&mut self, socket: SocketId) -> Option<UserId> {
        let user = self.signed_in.remove(&socket)?;
        let connections = self.connections.get_mut(&user)?;
        *connections = connections.saturating_sub(1);
        if *connections > 0 {
            return None;
        }
        self.connections.remove(&user);
        Some(user)
    }

    // --- who watches whom ---

    /// Puts a watchlist in the place of the connection's earlier one.
    pub(super) fn watch(&mut self, watcher: &Watcher, list: Vec<UserId>) -> Watched {
        let socket = watcher.seat.socket;
        let before = self.unwatch(socket);
        let mut seen = HashSet::new();
        let list: Vec<UserId> = list.into_iter().filter(|user| seen.insert(user.clone())).collect();
        let mut begun = Vec::new();
        for user in &list {
            self.watchers.entry(user.clone()).or_default().insert(socket, watcher.clone());
            if !self.is_alone
                && let Entry::Vacant(standing) = self.standings.entry(user.clone())
            {
                standing.insert(Standing::Unknown);
                begun.push(user.clone());
            }
        }
        let unknown = list.iter().filter(|user| self.is_online(user).is_none()).count();
        let lists = (unknown == 0).then(|| self.lists(&list));
        if !list.is_empty() {
            self.watching.insert(socket, Watching { list, unknown });
        }
        let dropped = before.into_iter().filter(|user| !self.watchers.contains_key(user)).collect();
        Watched { lists, begun, dropped }
    }

    /// Takes a connection's watchlist away; returns those whom nobody watches any more.
    pub(super) fn unwatch(&mut self, socket: SocketId) -> Vec<UserId> {
        let mut dropped = Vec::new();
        for user in self.watching.remove(&socket).into_iter().flat_map(|watching| watching.list) {
            if let Entry::Occupied(mut watchers) = self.watchers.entry(user) {
                watchers.get_mut().remove(&socket);
                if watchers.get().is_empty() {
                    dropped.push(watchers.remove_entry().0);
                }
            }
        }
        dropped
    }

    /// Forgets what was told from outside of those whom still nobody watches; returns them.
    pub(super) fn let_go(&mut self, users: Vec<UserId>) -> Vec<UserId> {
        let is_over = |user: &UserId| {
            !self.is_alone
                && !self.watchers.contains_key(user)
                && self.standings.remove(user).is_some()
        };
        users.into_iter().filter(is_over).collect()
    }

    /// Returns those of whom is to be told from outside.
    pub(super) fn followed(&self) -> impl Iterator<Item = &UserId> {
        self.standings.keys().filter(|_| !self.is_alone)
    }

    /// Tells whether of this user is told from outside.
    pub(super) fn follows(&self, user: &UserId) -> bool {
        !self.is_alone && self.standings.contains_key(user)
    }

    /// Returns who is to be told what becomes of a user: all watchers who have had their lists.
    pub(super) fn watchers_of(&self, user: &UserId) -> impl Iterator<Item = &Watcher> {
        let has_lists = |socket| self.watching.get(socket).is_some_and(|own| own.unknown == 0);
        let watchers = self.watchers.get(user).into_iter().flatten();
        watchers.filter(move |(socket, _)| has_lists(*socket)).map(|(_, watcher)| watcher)
    }

    // --- who is online ---

    /// Takes that a user is online, or is not.
    pub(super) fn see(&mut self, user: &UserId, online: bool) -> News {
        let before = match self.standings.get(user) {
            Some(standing) => *standing,
            None if self.is_alone => Standing::Offline,
            None => return News::None,
        };
        let (now, news) = match (before, online) {
            (Standing::Online, true) | (Standing::Offline | Standing::Leaving(_), false) => {
                return News::None;
            }
            (Standing::Unknown, true) => (Standing::Online, News::Known(Vec::new())),
            (Standing::Unknown, false) => (Standing::Offline, News::Known(Vec::new())),
            (Standing::Leaving(_), true) => (Standing::Online, News::None),
            (Standing::Offline, true) => (Standing::Online, News::Online),
            (Standing::Online, false) => {
                self.departures += 1;
                (Standing::Leaving(self.departures), News::Leaving(self.departures))
            }
        };
        self.standings.insert(user.clone(), now);
        if let News::Known(_) = news { News::Known(self.known(user)) } else { news }
    }

    /// Tells whether a user who was about to be offline is so: `false` for one who came back meanwhile.
    pub(super) fn settle(&mut self, user: &UserId, departure: u64) -> bool {
        if self.standings.get(user) != Some(&Standing::Leaving(departure)) {
            return false;
        }
        if self.is_alone {
            self.standings.remove(user);
        } else {
            self.standings.insert(user.clone(), Standing::Offline);
        }
        true
    }

    /// Takes that something is known of a user; returns whose lists are known with it.
    fn known(&mut self, user: &UserId) -> Vec<(Watcher, Lists)> {
        let mut complete = Vec::new();
        for (socket, watcher) in self.watchers.get(user).into_iter().flatten() {
            if let Some(watching) = self.watching.get_mut(socket) {
                watching.unknown = watching.unknown.saturating_sub(1);
                if watching.unknown == 0 {
                    complete.push((watcher.clone(), watching.list.clone()));
                }
            }
        }
        complete.into_iter().map(|(watcher, list)| (watcher, self.lists(&list))).collect()
    }

    fn lists(&self, list: &[UserId]) -> Lists {
        let is_online = |user: &UserId| self.is_online(user) == Some(true);
        let (online, offline) = list.iter().cloned().partition(is_online);
        Lists { online, offline }
    }

    /// Tells whether a user is online as far as watchers are told; `None` when nothing is known.
    fn is_online(&self, user: &UserId) -> Option<bool> {
        match self.standings.get(user) {
            Some(Standing::Online | Standing::Leaving(_)) => Some(true),
            Some(Standing::Offline) => Some(false),
            Some(Standing::Unknown) => None,
            None => self.is_alone.then_some(false),
        }
    }

    // --- how full it is ---

    /// Returns how many connections are signed in.
    pub(super) fn connections(&self) -> usize {
        self.signed_in.len()
    }

    /// Returns how many users are signed in here; alone, with those who are not yet told to have gone.
    pub(super) fn users(&self) -> usize {
        if self.is_alone { self.standings.len() } else { self.connections.len() }
    }

    /// Returns how many users are watched, or were until a while ago.
    pub(super) fn watched(&self) -> usize {
        if self.is_alone { self.watchers.len() } else { self.standings.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.signed_in.is_empty() && self.standings.is_empty() && self.watchers.is_empty()
    }
}

#[cfg(test)]
mod tests;
