//! What the parts of a node share between threads: who is where, and what bounds the way to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Addr;

use crate::bridge::{BridgeEvent, Held, Relay, Relayed};
use crate::channel::{Command, Route};
use crate::config::{Apps, NodeConfig};
use crate::crew::Crew;
use crate::facts::NodeError;
use crate::limits::NodeLimits;
use crate::mailbox::Postbox;
use crate::membership::{Counts, MembershipEvent};
use crate::protocol::{AppId, ChannelKey};
use crate::registry::Registries;
use crate::users::{LookAgain, Users};

/// One for each node.
pub(crate) struct Shared {
    pub(crate) apps: Apps,
    pub(crate) limits: NodeLimits,
    pub(crate) crew: Arc<Crew>,
    pub(crate) registries: Arc<Registries>,
    users: Vec<OnceLock<Postbox<Addr<Users>>>>,
    attached: AtomicUsize,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: NodeConfig) -> Arc<Self> {
        let crew = Crew::new(&config);
        let NodeConfig { apps, limits, .. } = config;
        Arc::new(Self {
            registries: Registries::new(crew.workers(), &limits),
            users: (0..crew.workers()).map(|_| OnceLock::new()).collect(),
            apps,
            limits,
            crew,
            attached: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// Returns the number of the thread that attaches itself now.
    pub(crate) fn next_worker(&self) -> usize {
        self.attached.fetch_add(1, Ordering::AcqRel)
    }

    /// Returns how many threads have attached themselves.
    pub(crate) fn attached(&self) -> usize {
        self.users.iter().filter(|users| users.get().is_some()).count()
    }

    /// Sets the place of a worker's users; `false` if it is taken.
    pub(crate) fn set_users(&self, worker: usize, users: Addr<Users>) -> bool {
        let users = Postbox::new(users, self.crew.mail_of(worker).users);
        self.users.get(worker).is_some_and(|place| place.set(users).is_ok())
    }

    /// Returns who has the users of an application.
    pub(crate) fn users_of(&self, app: &AppId) -> Result<&Postbox<Addr<Users>>, NodeError> {
        let users = self.users.get(self.registries.index_of(app)).and_then(OnceLock::get);
        users.ok_or(NodeError::Stopped)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells whether every worker is attached and nobody has stopped the node.
    pub(crate) fn check_serving(&self) -> Result<(), NodeError> {
        let complete = self.users.iter().all(|users| users.get().is_some());
        if complete && !self.is_stopping() { Ok(()) } else { Err(NodeError::Stopped) }
    }

    /// Hands what the bridge tells to the channel that it concerns.
    pub(crate) fn on_bridge_event(&self, event: BridgeEvent) {
        let (key, command) = match event {
            BridgeEvent::RemotePublished { key, body, position, held: Held(place) } => {
                (key, Command::Relayed { body, position, place })
            }
            BridgeEvent::Followed { key, wish: channel, remembered } => {
                (key, Command::Followed { channel, remembered })
            }
        };
        self.route(key, command);
    }

    /// Takes what the membership tells, and hands it to the channel that it concerns.
    pub(crate) fn on_membership_event(&self, event: MembershipEvent) {
        match event {
            MembershipEvent::Entered { key, ticket, outcome } => {
                self.route(key, Command::Entered { ticket, outcome });
            }
            MembershipEvent::Counted { key, counts } => self.tell_counts(key, counts),
            MembershipEvent::Reachable(is_there) => {
                self.crew.reach().set(is_there, self.crew.now());
                if is_there {
                    self.look_again();
                }
            }
            MembershipEvent::Connections(told) => self.crew.elsewhere().hear(&told),
            MembershipEvent::Occupied { .. } | MembershipEvent::Vacated { .. } => {}
        }
    }

    /// Tells the followers of a channel on all nodes how many they are, where they want to know.
    fn tell_counts(&self, key: ChannelKey, counts: Counts) {
        let app = self.apps.by_id(key.app.as_str());
        let is_wanted = app.is_some_and(|app| app.subscription_count);
        if !(is_wanted && key.channel.kind().capabilities().counted) {
            return;
        }
        if let Some(bridge) = self.crew.bridge() {
            let body = Relayed::Counted(counts);
            bridge.relay(Relay { to_self: false, ..Relay::new(key.clone(), body) });
        }
        self.route(key, Command::Counted(counts));
    }

    /// Has all who are watched looked at: nobody is told of what the broker has lost.
    fn look_again(&self) {
        for users in self.users.iter().filter_map(OnceLock::get) {
            users.post(LookAgain);
        }
    }

    fn route(&self, key: ChannelKey, command: Command) {
        if let Some(app) = self.apps.by_id(key.app.as_str()) {
            self.registries.route(Route { app: Arc::clone(app), key, command });
        }
    }
}
