//! What a node is told at its start: checked, immutable, shared by `Arc`.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::limits::{AppLimits, NodeLimits};
use crate::protocol::AppId;
use crate::protocol::sign::Credential;

/// One application (tenant).
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the configuration file")]
pub struct App {
    /// The id in API paths.
    pub id: AppId,
    /// Another id that API paths may use: `name` of the configuration, where `id` is given too.
    pub alias: Option<AppId>,
    /// Key and secret.
    pub credential: Credential,
    /// Further pairs that are still valid, for rotation.
    pub older: Vec<OlderCredential>,
    /// A disabled application refuses connections (4003) and API calls (403).
    pub enabled: bool,
    /// Plain sockets are refused (4000).
    pub tls_only: bool,
    /// Origins that a browser may come from; empty = any. Exact text, as the `Origin` header has it.
    pub allowed_origins: Vec<String>,
    /// Clients may send events to each other.
    pub client_events: bool,
    /// Subscribers are told how many they are.
    pub subscription_count: bool,
    /// Watchlists are kept.
    pub watchlist: bool,
    /// Onlookers of the tap see the data of events, not only its size.
    pub tap_payloads: bool,
    /// A connection must sign in or subscribe to a signed channel within [`NodeLimits::authorization_timeout`].
    pub authorized_connections: bool,
    /// What a second subscription to the same channel gets.
    pub duplicate_subscribe: DuplicateSubscribe,
    /// How events are ordered between nodes.
    pub delivery: Delivery,
    /// The limits of this application.
    pub limits: AppLimits,
}

/// A pair that stays valid beside the application's own until it is retired.
#[derive(Debug, Clone)]
pub struct OlderCredential {
    /// Key and secret.
    pub credential: Credential,
    /// Seconds since 1970 at which it ends; `None` = never.
    pub until_unix: Option<i64>,
}

/// What a second subscription of one connection to the same channel gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateSubscribe {
    /// `Existing subscription to channel …`, as hosted Pusher answers.
    #[default]
    Error,
    /// `subscription_succeeded` again, as soketi answers.
    Succeed,
}

/// How events of an application are ordered between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Every node delivers in the bridge's order.
    #[default]
    Ordered,
    /// This node delivers at once and then relays.
    Fast,
}

impl App {
    /// Builds an application with the defaults of hosted Pusher.
    pub fn new(id: &str, credential: Credential) -> Self {
        Self {
            id: AppId::new(id),
            alias: None,
            credential,
            older: Vec::new(),
            enabled: true,
            tls_only: false,
            allowed_origins: Vec::new(),
            client_events: false,
            subscription_count: false,
            watchlist: true,
            tap_payloads: false,
            authorized_connections: false,
            duplicate_subscribe: DuplicateSubscribe::default(),
            delivery: Delivery::default(),
            limits: AppLimits::default(),
        }
    }

    /// Returns the credential that a key names, if it is valid at `now_unix` (seconds since 1970).
    pub fn credential(&self, key: &str, now_unix: i64) -> Option<&Credential> {
        if self.credential.key() == key {
            return Some(&self.credential);
        }
        self.older
            .iter()
            .find(|older| {
                older.credential.key() == key && older.until_unix.is_none_or(|end| now_unix < end)
            })
            .map(|older| &older.credential)
    }
}

/// All applications of a node, found by id or by key.
#[derive(Debug, Clone, Default)]
pub struct Apps {
    ordered: Vec<Arc<App>>,
    by_id: HashMap<String, Arc<App>>,
    by_key: HashMap<String, Arc<App>>,
}

impl Apps {
    /// Indexes applications. Where ids or keys repeat, the first one is found, as MicroNotifier does.
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        let mut all = Self::default();
        for app in apps {
            let app = Arc::new(app);
            for id in std::iter::once(&app.id).chain(app.alias.as_ref()) {
                all.by_id.entry(id.as_str().to_owned()).or_insert_with(|| Arc::clone(&app));
            }
            let keys = std::iter::once(&app.credential)
                .chain(app.older.iter().map(|older| &older.credential));
            for credential in keys {
                all.by_key.entry(credential.key().to_owned()).or_insert_with(|| Arc::clone(&app));
            }
            all.ordered.push(app);
        }
        all
    }

    /// Returns the application with this id or alias.
    pub fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        self.by_id.get(id)
    }

    /// Returns the application with this key, an older one included.
    pub fn by_key(&self, key: &str) -> Option<&Arc<App>> {
        self.by_key.get(key)
    }

    /// Returns all applications in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.ordered.iter()
    }
}

/// What [`crate::Node::start`] needs.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The applications.
    pub apps: Apps,
    /// The limits of the node.
    pub limits: NodeLimits,
    /// Worker threads that will attach, each with a registry shard and a courier. At least 1.
    pub workers: usize,
    /// What waits in mailboxes is counted and timed.
    pub mailbox_metrics: bool,
}

impl NodeConfig {
    /// Builds a configuration for one worker with default limits.
    pub fn new(apps: Apps) -> Self {
        Self { apps, limits: NodeLimits::default(), workers: 1, mailbox_metrics: true }
    }
}
