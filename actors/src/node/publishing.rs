//! Events into the node: to this node's channels where it is alone, by way of the bridge where there are others.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::NodeHandle;
use crate::bridge::{BridgeError, BridgeHandle, Once, Relay, Relayed};
use crate::channel::{Answer, Command, Route};
use crate::config::{App, Delivery};
use crate::door::Place;
use crate::facts::{ChannelFacts, NodeError, Publication, Repeatable};
use crate::protocol::{ChannelKey, ChannelName, UserId};
use crate::tap::{Details, Kind};

impl NodeHandle {
    /// Publishes events in their order: all of them or, on any error but [`NodeError::TimedOut`] and
    /// [`NodeError::Different`], none. Where this node [finds repeats](Self::finds_repeats), what was published of
    /// a `repeatable` request within two minutes, by whichever node, is not published again.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when a queue is full, [`NodeError::Stopped`] while shutting down,
    /// [`NodeError::Unreachable`] when the bridge took none of them, [`NodeError::TimedOut`] when it may
    /// have taken some, [`NodeError::Different`] when another request had the key and a channel of this one.
    pub async fn publish(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
        repeatable: Option<Repeatable>,
    ) -> Result<(), NodeError> {
        self.check_answering()?;
        let keyed = self.reserve(app, events)?;
        match self.shared.crew.bridge() {
            None => {
                for (key, event, place) in keyed {
                    self.publish_here(app, key, event, place, Answer::nobody());
                }
                Ok(())
            }
            Some(bridge) => self.relay_all(bridge, app, keyed, repeatable).await,
        }
    }

    /// Tells whether [`Self::publish`] knows what it or another node has published of a repeatable request,
    /// so that one may come again whose outcome nobody knows.
    pub fn finds_repeats(&self, app: &App) -> bool {
        let knows = self.shared.crew.bridge().is_some_and(|bridge| bridge.knows_repeats);
        knows && app.delivery == Delivery::Ordered
    }

    /// As [`Self::publish`], and returns for each event what is known of its channel at that moment.
    ///
    /// # Errors
    /// As [`Self::publish`], and [`NodeError::TimedOut`].
    pub async fn publish_and_describe(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
        repeatable: Option<Repeatable>,
    ) -> Result<Vec<ChannelFacts>, NodeError> {
        if self.shared.crew.bridge().is_some() {
            let channels: Vec<_> = events.iter().map(|event| event.channel.clone()).collect();
            self.publish(app, events, repeatable).await?;
            let facts = join_all(channels.into_iter().map(|channel| self.describe(app, channel)));
            let facts: Result<_, _> = facts.await.into_iter().collect();
            // whatever went wrong, the events are out
            return facts.map_err(|_| NodeError::TimedOut);
        }
        self.check_answering()?;
        let mut waiting = Vec::with_capacity(events.len());
        for (key, event, place) in self.reserve(app, events)? {
            let (facts, answer) = Answer::expected();
            waiting.push(answer);
            self.publish_here(app, key, event, place, facts);
        }
        join_all(waiting.into_iter().map(|answer| self.wait(answer))).await.into_iter().collect()
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
        self.check_answering()?;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.registries.reserve_command(&key)?;
        self.relay(bridge, Relay::new(key, Relayed::Terminated), place).await
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
        repeatable: Option<Repeatable>,
    ) -> Result<(), NodeError> {
        let fast = app.delivery == Delivery::Fast;
        let repeatable = repeatable.filter(|_| self.finds_repeats(app));
        let mut taken = Vec::with_capacity(keyed.len());
        for (index, (key, event, place)) in keyed.into_iter().enumerate() {
            let caches = event.channel.kind().capabilities().caches;
            let remember = caches.then_some(app.limits.cache);
            let Publication { event: name, data, except, .. } = event.clone();
            let body = Relayed::Published { event: name, data, except };
            let mut relay = Relay::new(key.clone(), body);
            relay.remember = remember;
            relay.to_self = !fast;
            relay.once = repeatable.map(|request| Once { request, place: index });
            taken.push(self.relay(bridge, relay, place.clone()));
            if fast {
                self.publish_here(app, key, event, place, Answer::nobody());
            }
        }
        let taken = join_all(taken).await;
        let is_none = |answer: &Result<(), NodeError>| *answer == Err(NodeError::Unreachable);
        if taken.iter().all(Result::is_ok) {
            Ok(())
        } else if taken.contains(&Err(NodeError::Different)) {
            Err(NodeError::Different)
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
        relay: Relay,
        place: Place,
    ) -> impl Future<Output = Result<(), NodeError>> {
        let (done, taken) = oneshot::channel();
        bridge.relay(Relay { done: Some(done), place: Some(place), ..relay });
        async move {
            match self.wait(taken).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(BridgeError::Refused | BridgeError::Unreachable)) => {
                    Err(NodeError::Unreachable)
                }
                Ok(Err(BridgeError::Different)) => Err(NodeError::Different),
                // a bridge that ends without an answer may have sent it
                Ok(Err(BridgeError::TimedOut)) | Err(_) => Err(NodeError::TimedOut),
            }
        }
    }
}
