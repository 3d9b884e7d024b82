//! Who is signed in, and who watches whom (protocol sections 5.1 and 5.3).
//!
//! One per worker thread, each with its share of the applications, so that all users of one application
//! have the same one. Started by [`crate::Node::attach_worker`]; told by sessions through the worker.
//! Bounded by the places of sign-ins and by live connections. Whatever it tells a connection goes
//! through that user's own channel, so that it keeps its order with the sign-in's success.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};

use crate::channel::{Command, Join, Route};
use crate::config::App;
use crate::crew::Crew;
use crate::door::Place;
use crate::lifeline::vital;
use crate::metrics::{Alive, Metrics};
use crate::protocol::{AppId, ChannelKey, ChannelName, Frame, SocketId, UserId};
use crate::registry::Registries;
use crate::seat::Seat;
use crate::session::effect::SignIn;

/// How often it says how full its tables are.
const TELL: Duration = Duration::from_secs(1);

// === Commands ===

/// Takes a connection's identity in, or its new watchlist if it has signed in before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Enter {
    pub(crate) app: Arc<App>,
    pub(crate) seat: Seat,
    pub(crate) sign_in: SignIn,
    pub(crate) place: Place,
}

/// Lets the identity of a connection go that has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Exit {
    pub(crate) app: Arc<App>,
    pub(crate) seat: Seat,
}

// === State ===

/// See the module.
pub(crate) struct Users {
    worker: usize,
    metrics: Arc<Metrics>,
    registries: Arc<Registries>,
    offline_delay: Duration,
    realms: HashMap<AppId, Realm>,
    _alive: Alive,
}

/// The users of one application. Pure.
#[derive(Default)]
struct Realm {
    /// Connections of each user; a user with none is about to go offline.
    connections: HashMap<UserId, usize>,
    signed_in: HashMap<SocketId, UserId>,
    watchers: HashMap<UserId, HashMap<SocketId, Watcher>>,
    watching: HashMap<SocketId, Vec<UserId>>,
}

/// A connection that watches, and the user whose channel reaches it.
#[derive(Clone)]
struct Watcher {
    seat: Seat,
    user: UserId,
}

impl Users {
    pub(crate) fn new(
        worker: usize,
        registries: Arc<Registries>,
        crew: &Crew,
        offline_delay: Duration,
    ) -> Self {
        let metrics = Arc::clone(crew.metrics());
        let alive = metrics.actors.users.enter();
        let realms = HashMap::new();
        Self { worker, metrics, registries, offline_delay, realms, _alive: alive }
    }

    /// Says how full its tables are.
    fn tell_tables(&self) {
        let Some(tables) = self.metrics.tables.get(self.worker) else {
            return;
        };
        let sum = |count: fn(&Realm) -> usize| self.realms.values().map(count).sum();
        tables.signed_in.set(sum(|realm| realm.signed_in.len()));
        tables.users.set(sum(|realm| realm.connections.len()));
        tables.watched_users.set(sum(|realm| realm.watchers.len()));
    }

    fn to_user(&self, app: &Arc<App>, user: &UserId, command: Command) {
        let key = ChannelKey { app: app.id.clone(), channel: ChannelName::of_user(user) };
        self.registries.route(Route { key, app: Arc::clone(app), command });
    }

    fn tell_watchers(&self, app: &Arc<App>, user: &UserId, frame: &Frame) {
        let watchers = self.realms.get(&app.id).and_then(|realm| realm.watchers.get(user));
        for Watcher { seat, user } in watchers.into_iter().flat_map(HashMap::values) {
            self.to_user(app, user, Command::Tell { seat: *seat, frame: frame.clone() });
        }
    }

    fn enter(&mut self, enter: Enter) {
        let Enter { app, seat, sign_in, place } = enter;
        let SignIn { user, watchlist, mut replies } = sign_in;
        let realm = self.realms.entry(app.id.clone()).or_default();
        let came_online = realm.enter(seat.socket, &user);
        if came_online {
            self.tell_watchers(
                &app,
                &user,
                &Frame::watchlist_events(std::slice::from_ref(&user), &[]),
            );
        }
        if app.watchlist {
            let realm = self.realms.entry(app.id.clone()).or_default();
            let watcher = Watcher { seat, user: user.clone() };
            let (online, offline) = realm.watch(&watcher, watchlist);
            if !(online.is_empty() && offline.is_empty()) {
                replies.push(Frame::watchlist_events(&online, &offline));
            }
        }
        let join = Join { seat, attempt: 0, member: None, replies: Some(replies), place };
        self.to_user(&app, &user, Command::Join(join));
    }

    fn exit(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        let Exit { app, seat } = exit;
        let Some(realm) = self.realms.get_mut(&app.id) else {
            return;
        };
        let signed_in_as = realm.signed_in.get(&seat.socket).cloned();
        let gone = realm.exit(seat.socket);
        if let Some(user) = signed_in_as {
            self.to_user(&app, &user, Command::Leave { seat, answer: false });
        }
        if let Some(user) = gone {
            ctx.run_later(self.offline_delay, move |users, _| {
                users.settle_departure(&app, &user);
            });
        }
    }

    /// Tells watchers that a user is gone, unless the user came back meanwhile.
    fn settle_departure(&mut self, app: &Arc<App>, user: &UserId) {
        let Some(realm) = self.realms.get_mut(&app.id) else {
            return;
        };
        if realm.connections.get(user) == Some(&0) {
            realm.connections.remove(user);
            self.tell_watchers(
                app,
                user,
                &Frame::watchlist_events(&[], std::slice::from_ref(user)),
            );
        }
        if self.realms.get(&app.id).is_some_and(Realm::is_empty) {
            self.realms.remove(&app.id);
        }
    }
}

impl Realm {
    /// Counts a connection of a user; `true` when the user was offline until now.
    fn enter(&mut self, socket: SocketId, user: &UserId) -> bool {
        if self.signed_in.insert(socket, user.clone()).is_some() {
            return false;
        }
        match self.connections.entry(user.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(1);
                true
            }
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                false
            }
        }
    }

    /// Lets a connection go, with its watchlist; returns its user if that was the last one.
    fn exit(&mut self, socket: SocketId) -> Option<UserId> {
        self.unwatch(socket);
        let user = self.signed_in.remove(&socket)?;
        let connections = self.connections.get_mut(&user)?;
        *connections = connections.saturating_sub(1);
        (*connections == 0).then_some(user)
    }

    /// Puts a watchlist in the place of the connection's earlier one, and returns who of it is online
    /// and who is not.
    fn watch(&mut self, watcher: &Watcher, watchlist: Vec<UserId>) -> (Vec<UserId>, Vec<UserId>) {
        let socket = watcher.seat.socket;
        self.unwatch(socket);
        let mut seen = HashSet::new();
        let watchlist: Vec<UserId> =
            watchlist.into_iter().filter(|user| seen.insert(user.clone())).collect();
        for user in &watchlist {
            self.watchers.entry(user.clone()).or_default().insert(socket, watcher.clone());
        }
        let lists = watchlist.iter().cloned().partition(|user| self.connections.contains_key(user));
        if !watchlist.is_empty() {
            self.watching.insert(socket, watchlist);
        }
        lists
    }

    fn unwatch(&mut self, socket: SocketId) {
        for user in self.watching.remove(&socket).into_iter().flatten() {
            if let Entry::Occupied(mut watchers) = self.watchers.entry(user) {
                watchers.get_mut().remove(&socket);
                if watchers.get().is_empty() {
                    watchers.remove();
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.signed_in.is_empty() && self.watchers.is_empty()
    }
}

// === Lifecycle ===

impl Actor for Users {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TELL, |users, _| users.tell_tables());
    }
}

// === Handlers ===

impl Handler<Enter> for Users {
    type Result = ();

    fn handle(&mut self, enter: Enter, _ctx: &mut Self::Context) {
        vital("users", || self.enter(enter));
    }
}

impl Handler<Exit> for Users {
    type Result = ();

    fn handle(&mut self, exit: Exit, ctx: &mut Self::Context) {
        vital("users", || self.exit(exit, ctx));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn socket(id: u64) -> SocketId {
        SocketId::new(1, id)
    }

    fn watcher(id: u64, name: &str) -> Watcher {
        Watcher { seat: Seat { worker: 0, slot: 0, socket: socket(id) }, user: user(name) }
    }

    #[test]
    fn a_user_is_online_from_the_first_connection_to_the_last() {
        let mut realm = Realm::default();
        assert!(realm.enter(socket(1), &user("a")));
        assert!(!realm.enter(socket(2), &user("a")));
        assert!(!realm.enter(socket(2), &user("a")), "the same connection again");
        assert_eq!(realm.exit(socket(1)), None);
        assert_eq!(realm.exit(socket(2)), Some(user("a")));
        assert_eq!(realm.exit(socket(2)), None);
    }

    #[test]
    fn a_watchlist_tells_online_from_offline_and_leaves_nothing_behind() {
        let mut realm = Realm::default();
        realm.enter(socket(1), &user("u1"));
        realm.enter(socket(9), &user("w"));
        let list = vec![user("u1"), user("u2"), user("u1")];
        let (online, offline) = realm.watch(&watcher(9, "w"), list);
        assert_eq!((online, offline), (vec![user("u1")], vec![user("u2")]));
        realm.watch(&watcher(9, "w"), vec![user("u2")]);
        assert!(!realm.watchers.contains_key(&user("u1")));
        for id in [1, 9] {
            let gone = realm.exit(socket(id)).unwrap();
            realm.connections.remove(&gone);
        }
        assert!(realm.is_empty());
    }
}
