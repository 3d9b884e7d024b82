//! The node: the one value that owns everything, and the door through which the edge reaches it.
//!
//! The door keeps the bounds: an event or a command takes a [`Place`](crate::door::Place) here, or is
//! answered [`NodeError::Busy`], and is never refused afterwards.

use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use actix::{Actor as _, Addr};
use bytestring::ByteString;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::bridge::{BridgeEvent, BridgeHandle, BridgeSink, Relay, Relayed};
use crate::channel::{Answer, Command, Route};
use crate::clock::{Clock, Moment};
use crate::config::{App, Apps, Delivery, NodeConfig};
use crate::courier::{ChannelId, Courier, Errand};
use crate::desk::Desk;
use crate::door::{Bound, Place, Usage, post};
use crate::limits::NodeLimits;
use crate::metrics::Metrics;
use crate::protocol::{AppId, ChannelKey, ChannelName, EventName, SocketId, UserId};
use crate::registry::{DescribeAll, Registry};
use crate::session::effect::Close;
use crate::users::Users;
use crate::worker::Worker;

/// One event for one channel.
#[derive(Clone)]
pub struct Publication {
    /// Where it goes.
    pub channel: ChannelName,
    /// Its name.
    pub event: EventName,
    /// Its data, delivered byte for byte.
    pub data: ByteString,
    /// The connection that gets no copy.
    pub except: Option<SocketId>,
}

/// What is known of a channel at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelFacts {
    /// Subscriptions, one per connection. Occupied = more than none.
    pub subscriptions: u64,
    /// Distinct users; presence channels only, else 0.
    pub users: u64,
    /// The remembered event; cache channels only.
    pub cached: Option<CachedEvent>,
}

/// The event that a cache channel remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedEvent {
    /// Its data.
    pub data: ByteString,
    /// How long it is still remembered.
    pub expires_in: Duration,
}

/// Why the node did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A queue is at its bound; nothing was done. Try again in a second.
    #[error("the node is busy")]
    Busy,
    /// The node is starting or shutting down, or the part that was asked is gone; nothing was done.
    #[error("the node is stopping")]
    Stopped,
    /// No answer in time; the command may still be carried out.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The bridge to the other nodes did not take it; nothing was done.
    #[error("the other nodes cannot be reached")]
    Unreachable,
}

/// A running node. It lives as long as this value and its handles.
pub struct Node {
    handle: NodeHandle,
}

impl Node {
    /// Makes a node of one process alone. It serves once `config.workers` threads have called
    /// [`NodeHandle::attach_worker`].
    pub fn start(config: NodeConfig) -> Self {
        Self { handle: NodeHandle { shared: Arc::new(Shared::new(config)) } }
    }

    /// Makes a node that shares its channels with others: `connect` starts its bridge.
    pub fn start_with(
        config: NodeConfig,
        connect: impl FnOnce(BridgeSink) -> BridgeHandle,
    ) -> Self {
        let node = Self::start(config);
        let shared = Arc::downgrade(&node.handle.shared);
        let bridge = connect(Arc::new(move |event| {
            if let Some(shared) = Weak::upgrade(&shared) {
                shared.on_bridge_event(event);
            }
        }));
        // nobody else has seen this value: it is set once
        drop(node.handle.shared.bridge.set(bridge));
        node
    }

    /// Returns a door to the node.
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }
}

/// The typed door of a node. Cheap to clone; may travel between threads.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) shared: Arc<Shared>,
}

impl NodeHandle {
    /// Starts this thread's courier, registry shard and users. Call it once on each worker thread, inside
    /// its actix arbiter.
    ///
    /// # Errors
    /// [`NodeError::Stopped`] when as many threads are attached as the configuration says.
    pub fn attach_worker(&self) -> Result<Worker, NodeError> {
        let index = self.shared.attached.fetch_add(1, Ordering::AcqRel);
        let place = self.shared.shards.get(index).ok_or(NodeError::Stopped)?;
        let worker = u16::try_from(index).map_err(|_| NodeError::Stopped)?;
        let desk = Desk::new(
            worker,
            self.shared.clock,
            self.shared.limits.clone(),
            Arc::clone(&self.shared.metrics),
        );
        let addresses = Addresses {
            courier: Courier::start_beside(&desk),
            registry: Registry::new(Arc::clone(&self.shared)).start(),
            users: Users::new(Arc::clone(&self.shared)).start(),
        };
        place.addresses.set(addresses).map_err(|_| NodeError::Stopped)?;
        Ok(Worker::new(desk, Arc::clone(&self.shared)))
    }

    /// Tells whether every worker is attached and the node is not shutting down.
    pub fn is_serving(&self) -> bool {
        self.shared.check_serving().is_ok()
    }

    /// Tells whether [`Self::shut`] was called.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// Returns how long ago the node was made.
    pub fn uptime(&self) -> Duration {
        self.shared.now().elapsed()
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Returns the applications.
    pub fn apps(&self) -> &Apps {
        &self.shared.apps
    }

    /// Returns the limits.
    pub fn limits(&self) -> &NodeLimits {
        &self.shared.limits
    }

    /// Returns how full the event queues of the shards are.
    pub fn event_queues(&self) -> Vec<Usage> {
        self.shared.shards.iter().map(|shard| shard.events.usage()).collect()
    }

    /// Returns how full the command queues of the shards are: joins, sign-ins and questions.
    pub fn command_queues(&self) -> Vec<Usage> {
        self.shared.shards.iter().map(|shard| shard.commands.usage()).collect()
    }

    /// Publishes events in their order: all of them or, on an error, none.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when a queue is full, [`NodeError::Stopped`] while shutting down,
    /// [`NodeError::Unreachable`] when the bridge refuses.
    pub async fn publish(&self, app: &Arc<App>, events: Vec<Publication>) -> Result<(), NodeError> {
        self.shared.check_serving()?;
        let keyed = self.shared.reserve(app, events)?;
        match self.shared.bridge() {
            None => {
                for (key, event, place) in keyed {
                    self.publish_here(app, key, event, place, Answer::nobody());
                }
                Ok(())
            }
            Some(bridge) => self.relay(bridge, app, keyed).await,
        }
    }

    /// As [`Self::publish`], and returns for each event what is known of its channel at that moment.
    ///
    /// # Errors
    /// As [`Self::publish`], and [`NodeError::TimedOut`].
    pub async fn publish_and_describe(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
    ) -> Result<Vec<ChannelFacts>, NodeError> {
        if self.shared.bridge().is_some() {
            let channels: Vec<_> = events.iter().map(|event| event.channel.clone()).collect();
            self.publish(app, events).await?;
            let facts = join_all(channels.into_iter().map(|channel| self.describe(app, channel)));
            return facts.await.into_iter().collect();
        }
        self.shared.check_serving()?;
        let mut waiting = Vec::with_capacity(events.len());
        for (key, event, place) in self.shared.reserve(app, events)? {
            let (facts, answer) = Answer::expected();
            waiting.push(answer);
            self.publish_here(app, key, event, place, facts);
        }
        join_all(waiting.into_iter().map(|answer| self.wait(answer))).await.into_iter().collect()
    }

    /// Returns what is known of a channel; of an unknown one, the default.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn describe(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<ChannelFacts, NodeError> {
        let (facts, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::Describe(facts))?;
        self.wait(answer).await
    }

    /// Returns the occupied, listed channels whose names start with `prefix`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn channels(
        &self,
        app: &Arc<App>,
        prefix: &str,
    ) -> Result<Vec<(ChannelName, ChannelFacts)>, NodeError> {
        self.shared.check_serving()?;
        let mut shards = Vec::new();
        for shard in &self.shared.shards {
            let place = shard.commands.reserve().ok_or(NodeError::Busy)?;
            let (found, answer) = Answer::expected();
            let all = DescribeAll { app: app.id.clone(), prefix: prefix.to_owned(), answer: found };
            post(&shard.addresses()?.registry, all);
            shards.push((place, answer));
        }
        let mut channels = Vec::new();
        for (_place, answer) in shards {
            for (channel, facts) in self.wait(answer).await? {
                // a channel that ends meanwhile is not occupied
                let facts = self.wait(facts).await.unwrap_or_default();
                if facts.subscriptions > 0 {
                    channels.push((channel, facts));
                }
            }
        }
        Ok(channels)
    }

    /// Returns the users of a presence channel.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn members(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<Vec<UserId>, NodeError> {
        let (members, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::ListMembers(members))?;
        self.wait(answer).await
    }

    /// Closes every connection that is signed in as `user`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be told.
    pub async fn terminate(&self, app: &Arc<App>, user: UserId) -> Result<(), NodeError> {
        let channel = ChannelName::of_user(&user);
        let Some(bridge) = self.shared.bridge() else {
            self.ask(app, channel, Command::Terminate)?;
            return Ok(());
        };
        self.shared.check_serving()?;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.shard(&key).commands.reserve().ok_or(NodeError::Busy)?;
        self.relay_one(bridge, key, Relayed::Terminated, None, place).await
    }

    /// Shuts the node: nothing is accepted any more, and every connection is closed with `close`.
    pub fn shut(&self, close: Close) {
        self.shared.stopping.store(true, Ordering::Release);
        for shard in &self.shared.shards {
            if let Ok(addresses) = shard.addresses() {
                post(&addresses.courier, Errand::DismissAll { close });
            }
        }
    }

    fn publish_here(
        &self,
        app: &Arc<App>,
        key: ChannelKey,
        event: Publication,
        place: Place,
        facts: Answer<ChannelFacts>,
    ) {
        let command = Command::Publish { event, place: Some(place), facts };
        self.shared.route(Route { key, app: Arc::clone(app), command });
    }

    /// Hands events to the bridge and waits until it has taken them. In fast delivery this node's own
    /// subscribers do not wait for that.
    async fn relay(
        &self,
        bridge: &BridgeHandle,
        app: &Arc<App>,
        keyed: Vec<(ChannelKey, Publication, Place)>,
    ) -> Result<(), NodeError> {
        let fast = app.delivery == Delivery::Fast;
        let mut waiting = Vec::with_capacity(keyed.len());
        for (key, event, place) in keyed {
            let caches = event.channel.kind().capabilities().caches;
            let Publication { event: name, data, except, .. } = event.clone();
            let (done, taken) = oneshot::channel();
            bridge.relay(Relay {
                key: key.clone(),
                body: Relayed::Published { event: name, data, except },
                remember: caches.then_some(app.limits.cache),
                to_self: !fast,
                done: Some(done),
                place: Some(place.clone()),
            });
            waiting.push(taken);
            if fast {
                self.publish_here(app, key, event, place, Answer::nobody());
            }
        }
        for taken in waiting {
            self.wait(taken).await?.map_err(|_| NodeError::Unreachable)?;
        }
        Ok(())
    }

    async fn relay_one(
        &self,
        bridge: &BridgeHandle,
        key: ChannelKey,
        body: Relayed,
        remember: Option<Duration>,
        place: Place,
    ) -> Result<(), NodeError> {
        let (done, taken) = oneshot::channel();
        let (done, place) = (Some(done), Some(place));
        bridge.relay(Relay { key, body, remember, to_self: true, done, place });
        self.wait(taken).await?.map_err(|_| NodeError::Unreachable)
    }

    /// Sends a question to a channel. The place is to be kept until the answer is there.
    fn ask(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
        command: Command,
    ) -> Result<Place, NodeError> {
        self.shared.check_serving()?;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.shard(&key).commands.reserve().ok_or(NodeError::Busy)?;
        self.shared.route(Route { key, app: Arc::clone(app), command });
        Ok(place)
    }

    async fn wait<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, NodeError> {
        match tokio::time::timeout(self.shared.limits.ask, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NodeError::Stopped),
            Err(_) => Err(NodeError::TimedOut),
        }
    }
}

/// What the parts of a node share between threads.
pub(crate) struct Shared {
    apps: Apps,
    limits: NodeLimits,
    metrics: Arc<Metrics>,
    clock: Clock,
    shards: Vec<Shard>,
    attached: AtomicUsize,
    stopping: AtomicBool,
    channels: AtomicU64,
    placement: foldhash::quality::RandomState,
    bridge: OnceLock<BridgeHandle>,
}

/// One worker thread's part of the node.
pub(crate) struct Shard {
    addresses: OnceLock<Addresses>,
    /// Events that its channels have accepted and couriers have not yet queued.
    events: Arc<Bound>,
    /// Joins, sign-ins and questions under way.
    pub(crate) commands: Arc<Bound>,
}

pub(crate) struct Addresses {
    courier: Addr<Courier>,
    registry: Addr<Registry>,
    pub(crate) users: Addr<Users>,
}

impl Shared {
    fn new(config: NodeConfig) -> Self {
        let NodeConfig { apps, limits, workers } = config;
        let shard = |_| Shard {
            addresses: OnceLock::new(),
            events: Bound::new(limits.events_in_flight),
            commands: Bound::new(limits.commands_in_flight),
        };
        Self {
            shards: (0..workers.max(1)).map(shard).collect(),
            metrics: Arc::new(Metrics::new(&apps)),
            apps,
            limits,
            clock: Clock::start(),
            attached: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            channels: AtomicU64::new(0),
            placement: foldhash::quality::RandomState::default(),
            bridge: OnceLock::new(),
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn limits(&self) -> &NodeLimits {
        &self.limits
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn workers(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn bridge(&self) -> Option<&BridgeHandle> {
        self.bridge.get()
    }

    pub(crate) fn next_channel(&self) -> ChannelId {
        self.channels.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn check_serving(&self) -> Result<(), NodeError> {
        let complete = self.shards.last().is_some_and(|shard| shard.addresses.get().is_some());
        if complete && !self.stopping.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(NodeError::Stopped)
        }
    }

    /// Sends a command to the registry that has the channel's share of the names.
    pub(crate) fn route(&self, route: Route) {
        if let Ok(addresses) = self.shard(&route.key).addresses() {
            post(&addresses.registry, route);
        }
    }

    /// Sends an errand to a worker's courier.
    pub(crate) fn courier(&self, worker: usize, errand: Errand) {
        if let Some(Ok(addresses)) = self.shards.get(worker).map(Shard::addresses) {
            post(&addresses.courier, errand);
        }
    }

    pub(crate) fn shard(&self, key: &ChannelKey) -> &Shard {
        self.share_of(key)
    }

    pub(crate) fn users_of(&self, app: &AppId) -> &Shard {
        self.share_of(app)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is less than the length, which is never 0"
    )]
    fn share_of(&self, key: &impl Hash) -> &Shard {
        let shards = self.shards.len() as u64;
        let index = usize::try_from(self.placement.hash_one(key) % shards).unwrap_or_default();
        &self.shards[index]
    }

    /// Takes a place for each event, or for none.
    fn reserve(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
    ) -> Result<Vec<(ChannelKey, Publication, Place)>, NodeError> {
        let reserve = |event: Publication| {
            let key = ChannelKey { app: app.id.clone(), channel: event.channel.clone() };
            let place = self.shard(&key).events.reserve()?;
            Some((key, event, place))
        };
        events.into_iter().map(reserve).collect::<Option<_>>().ok_or(NodeError::Busy)
    }

    pub(crate) fn reserve_whisper(&self, key: &ChannelKey) -> Option<Place> {
        self.shard(key).events.reserve()
    }

    fn on_bridge_event(&self, event: BridgeEvent) {
        let (key, command) = match event {
            BridgeEvent::RemotePublished { key, body } => (key, Command::Relayed(body)),
            BridgeEvent::Followed { key, remembered } => (key, Command::Followed(remembered)),
        };
        if let Some(app) = self.apps.by_id(key.app.as_str()) {
            self.route(Route { app: Arc::clone(app), key, command });
        }
    }
}

impl Shard {
    pub(crate) fn addresses(&self) -> Result<&Addresses, NodeError> {
        self.addresses.get().ok_or(NodeError::Stopped)
    }
}
