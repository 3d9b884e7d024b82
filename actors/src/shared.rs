//! What the parts of a node share between threads: who is where, and what bounds the way to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Addr;

use crate::bridge::{BridgeEvent, Held};
use crate::channel::{Command, Route};
use crate::config::{Apps, NodeConfig};
use crate::crew::Crew;
use crate::facts::NodeError;
use crate::limits::NodeLimits;
use crate::protocol::AppId;
use crate::registry::Registries;
use crate::users::Users;

/// One for each node.
pub(crate) struct Shared {
    pub(crate) apps: Apps,
    pub(crate) limits: NodeLimits,
    pub(crate) crew: Arc<Crew>,
    pub(crate) registries: Arc<Registries>,
    users: Vec<OnceLock<Addr<Users>>>,
    attached: AtomicUsize,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: NodeConfig) -> Arc<Self> {
        let NodeConfig { apps, limits, workers } = config;
        let crew = Crew::new(workers, &apps, limits.join);
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

    /// Sets the place of a worker's users; `false` if it is taken.
    pub(crate) fn set_users(&self, worker: usize, users: Addr<Users>) -> bool {
        self.users.get(worker).is_some_and(|place| place.set(users).is_ok())
    }

    /// Returns who has the users of an application.
    pub(crate) fn users_of(&self, app: &AppId) -> Result<&Addr<Users>, NodeError> {
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
            BridgeEvent::RemotePublished { key, body, held: Held(place) } => {
                (key, Command::Relayed { body, place })
            }
            BridgeEvent::Followed { key, wish: channel, remembered } => {
                (key, Command::Followed { channel, remembered })
            }
        };
        if let Some(app) = self.apps.by_id(key.app.as_str()) {
            self.registries.route(Route { app: Arc::clone(app), key, command });
        }
    }
}
