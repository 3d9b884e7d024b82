//! A bridge between nodes of one process: what embedders and tests use where no broker is.
//!
//! Each node has its own `LoopbackBridge` actor; all of them share a [`Hub`], which gives every
//! channel one order. The hub's lock is held only while events are put into mailboxes. Started on an
//! arbiter of its own; what it is told is bounded by the places of events and by live channels.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, Arbiter, Context, Handler};
use hashbrown::HashMap;
use tokio::time::Instant;

use super::watch::BridgeWatch;
use super::{
    BridgeEvent, BridgeHandle, BridgeSink, Follow, Held, Relay, Relayed, Remembered, Unfollow,
};
use crate::mailbox::{Letter, Mail};
use crate::metrics::Alive;
use crate::protocol::ChannelKey;

/// What the nodes of one process share.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nodes: Vec<BridgeSink>,
    followers: HashMap<ChannelKey, Vec<usize>>,
    remembered: HashMap<ChannelKey, (Remembered, Instant)>,
}

impl Hub {
    /// Starts the bridge of one more node. Call it inside an actix system.
    pub fn connect(&self, sink: BridgeSink) -> BridgeHandle {
        let node = self.with(|state| {
            state.nodes.push(sink);
            state.nodes.len() - 1
        });
        let watch = Arc::new(BridgeWatch::unbreakable());
        let bridge = LoopbackBridge {
            hub: self.clone(),
            node,
            mail: watch.mail.clone(),
            _alive: watch.living.enter(),
        };
        let bridge = LoopbackBridge::start_in_arbiter(&Arbiter::new().handle(), move |_| bridge);
        BridgeHandle::new(&bridge, watch)
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bridge of one node. See the module.
struct LoopbackBridge {
    hub: Hub,
    node: usize,
    mail: Mail,
    _alive: Alive,
}

impl Actor for LoopbackBridge {
    type Context = Context<Self>;
}

impl Handler<Letter<Relay>> for LoopbackBridge {
    type Result = ();

    fn handle(&mut self, relay: Letter<Relay>, _ctx: &mut Self::Context) {
        let taken = self.mail.open(&relay);
        let relay = relay.message;
        self.hub.with(|state| {
            state.remember(&relay);
            let followers = state.followers.get(&relay.key).into_iter().flatten();
            for node in followers.filter(|node| relay.to_self || **node != self.node) {
                if let Some(sink) = state.nodes.get(*node) {
                    let (key, body) = (relay.key.clone(), relay.body.clone());
                    let held = Held(relay.place.clone());
                    sink(BridgeEvent::RemotePublished { key, body, position: None, held });
                }
            }
        });
        if let Some(done) = relay.done {
            // who has given up waiting was told so by the deadline
            done.send(Ok(())).unwrap_or_default();
        }
        self.mail.done(taken);
    }
}

impl Handler<Letter<Follow>> for LoopbackBridge {
    type Result = ();

    fn handle(&mut self, follow: Letter<Follow>, _ctx: &mut Self::Context) {
        let taken = self.mail.open(&follow);
        let Follow { key, wish } = follow.message;
        self.hub.with(|state| {
            let followers = state.followers.entry(key.clone()).or_default();
            if !followers.contains(&self.node) {
                followers.push(self.node);
            }
            let remembered = state.recall(&key);
            if let Some(sink) = state.nodes.get(self.node) {
                sink(BridgeEvent::Followed { key, wish, remembered });
            }
        });
        self.mail.done(taken);
    }
}

impl Handler<Letter<Unfollow>> for LoopbackBridge {
    type Result = ();

    fn handle(&mut self, unfollow: Letter<Unfollow>, _ctx: &mut Self::Context) {
        let taken = self.mail.open(&unfollow);
        let Unfollow { key } = unfollow.message;
        self.hub.with(|state| {
            if let Some(followers) = state.followers.get_mut(&key) {
                followers.retain(|node| *node != self.node);
                if followers.is_empty() {
                    state.followers.remove(&key);
                }
            }
        });
        self.mail.done(taken);
    }
}

impl State {
    fn remember(&mut self, relay: &Relay) {
        let (Some(time), Relayed::Published { event, data, .. }) = (relay.remember, &relay.body)
        else {
            return;
        };
        let (event, data) = (event.clone(), data.clone());
        let remembered = Remembered { event, data, expires_in: Duration::ZERO };
        self.remembered.insert(relay.key.clone(), (remembered, Instant::now() + time));
    }

    fn recall(&mut self, key: &ChannelKey) -> Option<Remembered> {
        let (remembered, until) = self.remembered.get(key)?;
        let expires_in = until.saturating_duration_since(Instant::now());
        if expires_in.is_zero() {
            self.remembered.remove(key);
            return None;
        }
        Some(Remembered { expires_in, ..remembered.clone() })
    }
}
