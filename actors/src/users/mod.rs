//! Who is signed in, and who watches whom (protocol sections 5.1 and 5.3).
//!
//! One per worker thread, each with its share of the applications, so that all users of one application
//! have the same one. Started by [`crate::Node::attach_worker`]; told by sessions through the worker, and by
//! the channels of watched users where nodes share who is where: then these say who is online, else its own
//! sessions do. Bounded by the places of sign-ins and by live connections and their watchlists. Whatever it
//! tells a connection goes through that user's own channel, so that it keeps its order with the sign-in's
//! success. It stays with its worker; a dead one ends the process.

mod realm;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};

use self::realm::{Lists, News, Realm, Watched, Watcher};
use crate::channel::{Command, Join, Route, Seen};
use crate::clock::Clock;
use crate::config::App;
use crate::crew::Crew;
use crate::door::Place;
use crate::later::Later;
use crate::lifeline::vital;
use crate::mailbox::names::USERS;
use crate::mailbox::{Letter, Mail, Named, Postbox};
use crate::metrics::{Alive, Metrics};
use crate::protocol::{AppId, ChannelKey, ChannelName, Frame, UserId};
use crate::registry::Registries;
use crate::seat::Seat;
use crate::session::effect::SignIn;

/// How often it says how full its tables are.
const TELL: Duration = Duration::from_secs(1);
/// How long users are followed whom nobody watches any more: a page that is loaded again finds them known.
const LINGER: Duration = Duration::from_secs(5);

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

/// Has what is known of watched users looked at anew: it may have changed unheard.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LookAgain;

impl Named for Enter {
    fn index(&self) -> usize {
        const { USERS.index("enter") }
    }
}

impl Named for Exit {
    fn index(&self) -> usize {
        const { USERS.index("exit") }
    }
}

impl Named for LookAgain {
    fn index(&self) -> usize {
        const { USERS.index("look_again") }
    }
}

// === State ===

/// See the module.
pub(crate) struct Users {
    worker: usize,
    metrics: Arc<Metrics>,
    mail: Mail,
    registries: Arc<Registries>,
    clock: Clock,
    /// All users are on this node.
    is_alone: bool,
    realms: HashMap<AppId, (Arc<App>, Realm)>,
    /// Departures that watchers are told of unless the user comes back.
    leaving: Later<(Arc<App>, UserId, u64)>,
    /// Users who are followed no longer unless somebody watches them again.
    lingering: Later<(Arc<App>, Vec<UserId>)>,
    _alive: Alive,
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
        let (is_alone, realms) = (crew.membership().is_none(), HashMap::new());
        Self {
            worker,
            metrics,
            mail: crew.mail_of(worker).users,
            registries,
            clock: crew.clock(),
            is_alone,
            realms,
            leaving: Later::new(offline_delay),
            lingering: Later::new(LINGER),
            _alive: alive,
        }
    }

    /// Says how full its tables are.
    fn tell_tables(&self) {
        let Some(tables) = self.metrics.tables.get(self.worker) else {
            return;
        };
        let sum =
            |count: fn(&Realm) -> usize| self.realms.values().map(|(_, realm)| count(realm)).sum();
        tables.signed_in.set(sum(Realm::connections));
        tables.users.set(sum(Realm::users));
        tables.watched_users.set(sum(Realm::watched));
    }

    fn realm(&mut self, app: &Arc<App>) -> &mut Realm {
        let new = || (Arc::clone(app), Realm::new(self.is_alone));
        &mut self.realms.entry(app.id.clone()).or_insert_with(new).1
    }

    fn drop_if_empty(&mut self, app: &AppId) {
        if self.realms.get(app).is_some_and(|(_, realm)| realm.is_empty()) {
            self.realms.remove(app);
        }
    }

    fn to_user(&self, app: &Arc<App>, user: &UserId, command: Command) {
        let key = ChannelKey { app: app.id.clone(), channel: ChannelName::of_user(user) };
        self.registries.route(Route { key, app: Arc::clone(app), command });
    }

    // --- sign-ins ---

    fn enter(&mut self, enter: Enter, ctx: &mut Context<Self>) {
        let Enter { app, seat, sign_in, place } = enter;
        let SignIn { user, watchlist, mut replies } = sign_in;
        let came = self.realm(&app).enter(seat.socket, &user);
        if came && self.is_alone {
            self.see(&app, &user, true, ctx);
        }
        if app.watchlist {
            let watcher = Watcher { seat, user: user.clone() };
            let Watched { lists, begun, dropped } = self.realm(&app).watch(&watcher, watchlist);
            replies.extend(lists.as_ref().and_then(frame_of));
            for user in begun {
                self.follow(&app, user, ctx);
            }
            self.let_go_later(app.clone(), dropped, ctx);
        }
        let join = Join { seat, attempt: 0, member: None, replies: Some(replies), place };
        self.to_user(&app, &user, Command::Join(join));
    }

    fn exit(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        let Exit { app, seat } = exit;
        let Some((_, realm)) = self.realms.get_mut(&app.id) else {
            return;
        };
        let signed_in_as = realm.user_of(seat.socket).cloned();
        let dropped = realm.unwatch(seat.socket);
        let gone = realm.exit(seat.socket);
        if let Some(user) = signed_in_as {
            self.to_user(&app, &user, Command::Leave { seat, answer: false });
        }
        if let Some(user) = gone.filter(|_| self.is_alone) {
            self.see(&app, &user, false, ctx);
        }
        self.drop_if_empty(&app.id);
        self.let_go_later(app, dropped, ctx);
    }

    // --- who is online ---

    /// Takes that a user is online, or is not.
    fn see(&mut self, app: &Arc<App>, user: &UserId, online: bool, ctx: &mut Context<Self>) {
        match self.realm(app).see(user, online) {
            News::None => {}
            News::Known(complete) => {
                for (watcher, lists) in complete {
                    self.tell(app, &watcher, frame_of(&lists));
                }
            }
            News::Online => {
                let lists = Lists { online: vec![user.clone()], offline: Vec::new() };
                self.tell_watchers(app, user, &lists);
            }
            News::Leaving(departure) => {
                self.leaving.put((Arc::clone(app), user.clone(), departure), self.clock.now());
                self.await_leaving(ctx);
            }
        }
    }

    /// Sees to it that departures are settled when they are due.
    fn await_leaving(&mut self, ctx: &mut Context<Self>) {
        let Some(wait) = self.leaving.arm(self.clock.now()) else {
            return;
        };
        ctx.run_later(wait, |users, ctx| {
            vital("users", || {
                for (app, user, departure) in users.leaving.ring(users.clock.now()) {
                    users.settle(&app, &user, departure);
                }
                users.await_leaving(ctx);
            });
        });
    }

    /// Tells watchers that a user is gone, unless the user came back meanwhile.
    fn settle(&mut self, app: &Arc<App>, user: &UserId, departure: u64) {
        if self.realm(app).settle(user, departure) {
            let lists = Lists { online: Vec::new(), offline: vec![user.clone()] };
            self.tell_watchers(app, user, &lists);
        }
        self.drop_if_empty(&app.id);
    }

    fn tell_watchers(&self, app: &Arc<App>, user: &UserId, lists: &Lists) {
        let frame = frame_of(lists);
        let realm = self.realms.get(&app.id).into_iter();
        for watcher in realm.flat_map(|(_, realm)| realm.watchers_of(user)) {
            self.tell(app, watcher, frame.clone());
        }
    }

    fn tell(&self, app: &Arc<App>, watcher: &Watcher, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.to_user(app, &watcher.user, Command::Tell { seat: watcher.seat, frame });
        }
    }

    // --- users who are watched, on all nodes ---

    fn follow(&self, app: &Arc<App>, user: UserId, ctx: &Context<Self>) {
        let watcher = Postbox::new(ctx.address().recipient(), self.mail.clone());
        self.to_user(app, &user.clone(), Command::Watch { user, watcher });
    }

    /// Follows no longer whom nobody watches then.
    fn let_go_later(&mut self, app: Arc<App>, dropped: Vec<UserId>, ctx: &mut Context<Self>) {
        if dropped.is_empty() || self.is_alone {
            return;
        }
        self.lingering.put((app, dropped), self.clock.now());
        self.await_lingering(ctx);
    }

    /// Sees to it that users whom nobody watches are let go when they are due.
    fn await_lingering(&mut self, ctx: &mut Context<Self>) {
        let Some(wait) = self.lingering.arm(self.clock.now()) else {
            return;
        };
        ctx.run_later(wait, |users, ctx| {
            vital("users", || {
                for (app, dropped) in users.lingering.ring(users.clock.now()) {
                    users.let_go(&app, dropped);
                }
                users.await_lingering(ctx);
            });
        });
    }

    fn let_go(&mut self, app: &Arc<App>, dropped: Vec<UserId>) {
        for user in self.realm(app).let_go(dropped) {
            self.to_user(app, &user, Command::Unwatch);
        }
        self.drop_if_empty(&app.id);
    }

    fn look_again(&self, ctx: &Context<Self>) {
        for (app, realm) in self.realms.values() {
            for user in realm.followed() {
                self.follow(app, user.clone(), ctx);
            }
        }
    }

    fn seen(&mut self, seen: &Seen, ctx: &mut Context<Self>) {
        let Seen { app, user, online } = seen;
        let Some((_, realm)) = self.realms.get(&app.id) else {
            return;
        };
        match online {
            Some(online) => self.see(app, user, *online, ctx),
            None if realm.follows(user) => self.follow(app, user.clone(), ctx),
            None => {}
        }
    }
}

/// Returns what a watcher is told; `None` for nothing.
fn frame_of(Lists { online, offline }: &Lists) -> Option<Frame> {
    let has_any = !(online.is_empty() && offline.is_empty());
    has_any.then(|| Frame::watchlist_events(online, offline))
}

// === Lifecycle ===

impl Actor for Users {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TELL, |users, _| users.tell_tables());
    }
}

// === Handlers ===

impl Handler<Letter<Enter>> for Users {
    type Result = ();

    fn handle(&mut self, enter: Letter<Enter>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&enter);
        vital("users", || self.enter(enter.message, ctx));
        self.mail.done(taken);
    }
}

impl Handler<Letter<Exit>> for Users {
    type Result = ();

    fn handle(&mut self, exit: Letter<Exit>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&exit);
        vital("users", || self.exit(exit.message, ctx));
        self.mail.done(taken);
    }
}

impl Handler<Letter<Seen>> for Users {
    type Result = ();

    fn handle(&mut self, seen: Letter<Seen>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&seen);
        vital("users", || self.seen(&seen.message, ctx));
        self.mail.done(taken);
    }
}

impl Handler<Letter<LookAgain>> for Users {
    type Result = ();

    fn handle(&mut self, again: Letter<LookAgain>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&again);
        vital("users", || self.look_again(ctx));
        self.mail.done(taken);
    }
}
