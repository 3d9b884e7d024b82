//! The node: the one value that owns everything, and the door through which the edge reaches it.
//!
//! The door keeps the bounds: an event or a command takes a [`Place`](crate::door::Place) here, or is
//! answered [`NodeError::Busy`], and is never refused afterwards.

use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Actor as _;
use futures_util::future::{join, join_all};
use tokio::sync::oneshot;

use crate::bridge::watch::BridgeWatch;
use crate::bridge::{BridgeError, BridgeHandle, BridgeSink, Relay, Relayed};
use crate::channel::{Answer, Command, Route};
use crate::config::{App, Apps, Delivery, NodeConfig};
use crate::courier::Courier;
use crate::desk::Desk;
use crate::door::{Place, Usage};
use crate::errand::Errand;
use crate::facts::{ChannelFacts, Listed, NodeError, Publication};
use crate::limits::NodeLimits;
use crate::membership::counters::Counters;
use crate::membership::reach::Reach;
use crate::membership::{Counts, Described, MembershipError, MembershipHandle, MembershipSink};
use crate::metrics::Metrics;
use crate::protocol::{AppId, ChannelKey, ChannelName, UserId};
use crate::registry::{DescribeAll, Registry};
use crate::session::effect::Close;
use crate::shared::Shared;
use crate::tap::{Details, Kind, Tap};
use crate::users::Users;
use crate::worker::Worker;

/// A running node. It lives as long as this value and its handles.
pub struct Node {
    handle: NodeHandle,
}

impl Node {
    /// Makes a node of one process alone. It serves once `config.workers` threads have called
    /// [`NodeHandle::attach_worker`].
    pub fn start(config: NodeConfig) -> Self {
        Self { handle: NodeHandle { shared: Shared::new(config) } }
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
        node.handle.shared.crew.set_bridge(bridge);
        node
    }

    /// As [`Self::start_with`], for nodes that also share who is where: `share` starts its membership.
    pub fn start_sharing(
        config: NodeConfig,
        connect: impl FnOnce(BridgeSink) -> BridgeHandle,
        share: impl FnOnce(MembershipSink) -> MembershipHandle,
    ) -> Self {
        let node = Self::start_with(config, connect);
        let shared = Arc::downgrade(&node.handle.shared);
        let membership = share(Arc::new(move |event| {
            if let Some(shared) = Weak::upgrade(&shared) {
                shared.on_membership_event(event);
            }
        }));
        node.handle.shared.crew.set_membership(membership);
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
    shared: Arc<Shared>,
}

impl NodeHandle {
    /// Starts this thread's courier, registry shard and users. Call it once on each worker thread, inside
    /// its actix arbiter.
    ///
    /// # Errors
    /// [`NodeError::Stopped`] when as many threads are attached as the configuration says.
    pub fn attach_worker(&self) -> Result<Worker, NodeError> {
        let Shared { crew, registries, limits, .. } = &*self.shared;
        let index = self.shared.next_worker();
        let worker = u16::try_from(index).map_err(|_| NodeError::Stopped)?;
        let desk = Desk::new(worker, crew.clock(), limits.clone(), Arc::clone(crew.metrics()));
        let users = Users::new(index, Arc::clone(registries), crew, limits.offline_delay);
        let attached = crew.set_courier(index, Courier::start_beside(&desk))
            && registries.set(index, Registry::new(index, Arc::clone(crew)).start())
            && self.shared.set_users(index, users.start());
        if attached {
            Ok(Worker::new(desk, Arc::clone(&self.shared)))
        } else {
            Err(NodeError::Stopped)
        }
    }

    /// Tells whether every worker is attached and the node is not shutting down.
    pub fn is_serving(&self) -> bool {
        self.shared.check_serving().is_ok()
    }

    /// Tells whether [`Self::shut`] was called.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Returns how long ago the node was made.
    pub fn uptime(&self) -> Duration {
        self.shared.crew.now().elapsed()
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &Metrics {
        self.shared.crew.metrics()
    }

    /// Returns where onlookers stand.
    pub fn tap(&self) -> &Arc<Tap> {
        self.shared.crew.tap()
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
        self.shared.registries.event_queues()
    }

    /// Returns how full the command queues of the shards are: joins, sign-ins and questions.
    pub fn command_queues(&self) -> Vec<Usage> {
        self.shared.registries.command_queues()
    }

    /// Returns what is known of the bridge to the other nodes; `None` for a node alone.
    pub fn bridge(&self) -> Option<&BridgeWatch> {
        self.shared.crew.bridge().map(|bridge| &*bridge.watch)
    }

    /// Returns whether who is where can be told to and asked of the other nodes; `None` where that is not shared.
    pub fn membership(&self) -> Option<&Reach> {
        self.shared.crew.membership().map(|_| self.shared.crew.reach())
    }

    /// Returns what the membership has done; `None` where that is not shared.
    pub fn membership_counters(&self) -> Option<&Counters> {
        self.shared.crew.membership().map(|membership| &*membership.counters)
    }

    /// Tells the other nodes how many connections each application has here. To be called by a clock.
    pub fn report_connections(&self, connections: Vec<(AppId, u64)>) {
        if let Some(membership) = self.shared.crew.membership() {
            membership.report_connections(connections);
        }
    }

    /// Returns how many connections an application has on the other nodes, as they last told.
    pub fn connections_elsewhere(&self, app: &AppId) -> u64 {
        self.shared.crew.elsewhere().of(app)
    }

    /// Publishes events in their order: all of them or, on any error but [`NodeError::TimedOut`], none.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when a queue is full, [`NodeError::Stopped`] while shutting down,
    /// [`NodeError::Unreachable`] when the bridge took none of them, [`NodeError::TimedOut`] when it may
    /// have taken some.
    pub async fn publish(&self, app: &Arc<App>, events: Vec<Publication>) -> Result<(), NodeError> {
        let bridge = self.shared.crew.bridge();
        // a node that ends goes on handing events to those that stay
        if bridge.is_none() || !self.is_stopping() {
            self.shared.check_serving()?;
        }
        let keyed = self.reserve(app, events)?;
        match bridge {
            None => {
                for (key, event, place) in keyed {
                    self.publish_here(app, key, event, place, Answer::nobody());
                }
                Ok(())
            }
            Some(bridge) => self.relay_all(bridge, app, keyed).await,
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
        if self.shared.crew.bridge().is_some() {
            let channels: Vec<_> = events.iter().map(|event| event.channel.clone()).collect();
            self.publish(app, events).await?;
            let facts = join_all(channels.into_iter().map(|channel| self.describe(app, channel)));
            let facts: Result<_, _> = facts.await.into_iter().collect();
            // whatever went wrong, the events are out
            return facts.map_err(|_| NodeError::TimedOut);
        }
        self.shared.check_serving()?;
        let mut waiting = Vec::with_capacity(events.len());
        for (key, event, place) in self.reserve(app, events)? {
            let (facts, answer) = Answer::expected();
            waiting.push(answer);
            self.publish_here(app, key, event, place, facts);
        }
        join_all(waiting.into_iter().map(|answer| self.wait(answer))).await.into_iter().collect()
    }

    /// Returns what is known of a channel over all nodes; of an unknown one, the default.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn describe(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<ChannelFacts, NodeError> {
        let key = ChannelKey { app: app.id.clone(), channel: channel.clone() };
        let (facts, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::Describe(facts))?;
        let (facts, all) = join(self.wait(answer), self.everywhere(|all| all.describe(key))).await;
        let facts = facts?;
        Ok(match all {
            None => facts,
            Some(Err(_)) => ChannelFacts { partial: true, ..facts },
            Some(Ok(Described { counts, cached })) => {
                // the newest subscriptions of this node may still be on their way
                let subscriptions = counts.subscriptions.max(facts.subscriptions);
                ChannelFacts { subscriptions, users: counts.users, cached, partial: false }
            }
        })
    }

    /// Returns the occupied, listed channels of all nodes whose names start with `prefix`; how many
    /// users they have, too, if `users`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn channels(
        &self,
        app: &Arc<App>,
        prefix: &str,
        users: bool,
    ) -> Result<Listed<(ChannelName, ChannelFacts)>, NodeError> {
        self.shared.check_serving()?;
        let _place = self.shared.registries.reserve_command(&app.id)?;
        let listed = self.everywhere(|all| all.occupied(app.id.clone(), prefix, users)).await;
        let Some(Ok(channels)) = listed else {
            let items = self.channels_here(app, prefix).await?;
            return Ok(Listed { items, partial: listed.is_some() });
        };
        let is_listed = |channel: &ChannelName| channel.kind().capabilities().listed;
        let channels = channels.into_iter().filter(|(channel, _)| is_listed(channel));
        let facts = |(channel, counts): (ChannelName, Counts)| {
            let Counts { subscriptions, users, .. } = counts;
            (channel, ChannelFacts { subscriptions, users, ..ChannelFacts::default() })
        };
        Ok(Listed { items: channels.map(facts).collect(), partial: false })
    }

    async fn channels_here(
        &self,
        app: &Arc<App>,
        prefix: &str,
    ) -> Result<Vec<(ChannelName, ChannelFacts)>, NodeError> {
        let shards = self.shared.registries.ask_all(|| {
            let (answer, waiting) = Answer::expected();
            (DescribeAll { app: app.id.clone(), prefix: prefix.to_owned(), answer }, waiting)
        })?;
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

    /// Returns the users of a presence channel on all nodes.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn members(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<Listed<UserId>, NodeError> {
        let key = ChannelKey { app: app.id.clone(), channel: channel.clone() };
        self.shared.check_serving()?;
        let place = self.shared.registries.reserve_command(&key)?;
        let roster = self.everywhere(|all| all.members(key)).await;
        drop(place);
        if let Some(Ok(roster)) = roster {
            let items = roster.members.into_iter().map(|member| member.user).collect();
            return Ok(Listed { items, partial: false });
        }
        let (members, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::ListMembers(members))?;
        let items = self.wait(answer).await?;
        Ok(Listed { items, partial: roster.is_some() })
    }

    /// Asks the membership; `None` for a node alone. Who asks holds a place.
    async fn everywhere<'s, T, F>(
        &'s self,
        question: impl FnOnce(&'s MembershipHandle) -> F,
    ) -> Option<Result<T, MembershipError>>
    where
        F: Future<Output = Result<T, MembershipError>>,
    {
        let membership = self.shared.crew.membership()?;
        let answer = tokio::time::timeout(self.shared.limits.ask, question(membership)).await;
        Some(answer.unwrap_or(Err(MembershipError::Unreachable)))
    }

    /// Closes every connection that is signed in as `user`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be told.
    pub async fn terminate(&self, app: &Arc<App>, user: UserId) -> Result<(), NodeError> {
        let channel = ChannelName::of_user(&user);
        let Some(bridge) = self.shared.crew.bridge() else {
            self.ask(app, channel, Command::Terminate)?;
            return Ok(());
        };
        self.shared.check_serving()?;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.registries.reserve_command(&key)?;
        self.relay(bridge, key, Relayed::Terminated, None, true, place).await
    }

    /// Shuts the node: every connection is closed with `close`, and nothing is accepted any more but events
    /// for other nodes, where there are any.
    pub fn shut(&self, close: Close) {
        self.shared.stop();
        let crew = &self.shared.crew;
        for worker in 0..crew.workers() {
            crew.send(worker, Errand::DismissAll { close });
        }
    }

    /// Takes a place for each event, or for none. Those that have one are shown.
    fn reserve(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
    ) -> Result<Vec<(ChannelKey, Publication, Place)>, NodeError> {
        let reserve = |event: Publication| {
            let key = ChannelKey { app: app.id.clone(), channel: event.channel.clone() };
            let place = self.shared.registries.reserve_event(&key)?;
            Ok((key, event, place))
        };
        let reserved: Vec<_> = events.into_iter().map(reserve).collect::<Result<_, _>>()?;
        let tap = self.tap();
        if tap.is_watched() {
            for (_, Publication { channel, event, data, .. }, _) in &reserved {
                tap.show(Kind::Event, Some(&app.id), Some(channel.as_str()), || {
                    Details::of_event(app, event.as_str(), data)
                });
            }
        }
        Ok(reserved)
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
        self.shared.registries.route(Route { key, app: Arc::clone(app), command });
    }

    /// Hands events to the bridge and waits until it has taken them. In fast delivery this node's own
    /// subscribers do not wait for that.
    async fn relay_all(
        &self,
        bridge: &BridgeHandle,
        app: &Arc<App>,
        keyed: Vec<(ChannelKey, Publication, Place)>,
    ) -> Result<(), NodeError> {
        let fast = app.delivery == Delivery::Fast;
        let mut taken = Vec::with_capacity(keyed.len());
        for (key, event, place) in keyed {
            let caches = event.channel.kind().capabilities().caches;
            let remember = caches.then_some(app.limits.cache);
            let Publication { event: name, data, except, .. } = event.clone();
            let body = Relayed::Published { event: name, data, except };
            taken.push(self.relay(bridge, key.clone(), body, remember, !fast, place.clone()));
            if fast {
                self.publish_here(app, key, event, place, Answer::nobody());
            }
        }
        let taken = join_all(taken).await;
        let is_none = |answer: &Result<(), NodeError>| *answer == Err(NodeError::Unreachable);
        if taken.iter().all(Result::is_ok) {
            Ok(())
        } else if !fast && taken.iter().all(is_none) {
            Err(NodeError::Unreachable)
        } else {
            Err(NodeError::TimedOut)
        }
    }

    /// Hands something to the bridge at once; the answer says whether it was taken.
    fn relay(
        &self,
        bridge: &BridgeHandle,
        key: ChannelKey,
        body: Relayed,
        remember: Option<Duration>,
        to_self: bool,
        place: Place,
    ) -> impl Future<Output = Result<(), NodeError>> {
        let (done, taken) = oneshot::channel();
        let (done, place) = (Some(done), Some(place));
        bridge.relay(Relay { key, body, remember, to_self, done, place });
        async move {
            match self.wait(taken).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(BridgeError::Refused | BridgeError::Unreachable)) => {
                    Err(NodeError::Unreachable)
                }
                // a bridge that ends without an answer may have sent it
                Ok(Err(BridgeError::TimedOut)) | Err(_) => Err(NodeError::TimedOut),
            }
        }
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
        let place = self.shared.registries.reserve_command(&key)?;
        self.shared.registries.route(Route { key, app: Arc::clone(app), command });
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
