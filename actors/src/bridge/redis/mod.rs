//! The bridge by way of Redis: topics carry events, a script gives them their order, a stream repairs holes.
//!
//! `RedisBridge` is the mailbox; behind it work two tasks on the same thread for each partition, publisher and
//! subscriber, each with a connection of its own, which it makes anew when it is lost. A Redis Cluster has
//! several partitions, which know nothing of each other; any other Redis is one. Started by [`Ready::start`] on
//! an arbiter of its own; it ends when nobody holds its handle any more. What it is told is bounded by the
//! places of events and by live channels. A panic costs the event that it came from, or at most a task's
//! connection.

mod backoff;
mod channels;
mod command;
mod inbox;
mod office;
mod position;
mod probe;
mod publisher;
mod query;
mod subscriber;
mod topic;

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Arbiter, Context, Handler};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use self::office::Office;
use self::publisher::{Event, Outgoing, Publisher};
use self::subscriber::{Subscriber, Wish};
use self::topic::Epoch;
use super::watch::{BridgeWatch, PartWatch};
use super::wire::Wire;
use super::{BridgeError, BridgeHandle, BridgeSink, Follow, Relay, Unfollow};
use crate::mailbox::Letter;
use crate::metrics::Alive;
use crate::redis::{ByPartition, Keys, Link, LinkError, Partition, RedisOptions};

/// A bridge that has looked whether Redis can be used, and can start.
pub struct Ready {
    options: RedisOptions,
    mailbox_metrics: bool,
}

impl Ready {
    /// Looks whether Redis can be used as configured. A server that is away is no obstacle: the bridge
    /// starts, is not whole, and keeps trying.
    ///
    /// # Errors
    /// [`LinkError::Refused`]: a wrong password, database or address, which time does not heal.
    pub async fn check(options: RedisOptions) -> Result<Self, LinkError> {
        // the other partitions are asked the same way
        let partition = *Partition::all(&options.topology).first();
        let link = Link::new(options.clone(), partition);
        match link.open(|_| Ok::<(), ()>(())).await {
            Ok(_) => {}
            Err(error @ LinkError::Refused { .. }) => return Err(error),
            Err(error) => log::warn!("{error}; starting all the same, not ready until it answers"),
        }
        Ok(Self { options, mailbox_metrics: true })
    }

    /// Sets whether its mailbox is measured, which it is otherwise.
    #[must_use]
    pub fn with_mailbox_metrics(self, mailbox_metrics: bool) -> Self {
        Self { mailbox_metrics, ..self }
    }

    /// Starts the bridge of one node. Call it inside an actix system.
    pub fn start(self, sink: BridgeSink) -> BridgeHandle {
        let partitions = Partition::all(&self.options.topology)
            .map(|partition| (*partition, Arc::<PartWatch>::default()));
        let parts = partitions.iter().map(|(_, state)| Arc::clone(state)).collect();
        let watch = Arc::new(BridgeWatch::over(parts, self.mailbox_metrics));
        let seen = Arc::clone(&watch);
        let bridge = RedisBridge::start_in_arbiter(&Arbiter::new().handle(), move |_| {
            RedisBridge::new(&self.options, &partitions, &sink, watch)
        });
        BridgeHandle { knows_repeats: true, ..BridgeHandle::new(&bridge, seen) }
    }
}

/// See the module.
struct RedisBridge {
    wire: Wire,
    intakes: ByPartition<Intake>,
    watch: Arc<BridgeWatch>,
    tasks: Vec<(Publisher, Subscriber)>,
    _alive: Alive,
}

/// Where what concerns one partition is handed in.
struct Intake {
    publisher: mpsc::UnboundedSender<Outgoing>,
    subscriber: mpsc::UnboundedSender<Wish>,
}

impl RedisBridge {
    fn new(
        options: &RedisOptions,
        partitions: &ByPartition<(Partition, Arc<PartWatch>)>,
        sink: &BridgeSink,
        watch: Arc<BridgeWatch>,
    ) -> Self {
        // a name that no earlier run of this node had: what that one sent is not ours
        let node = Epoch::fresh();
        let wire = Wire::new(node.as_str(), &options.cluster_secret);
        let mut tasks = Vec::new();
        let intakes = partitions.map(|(partition, state)| {
            let keys = Keys::new(&options.prefix, *partition);
            let office = Rc::new(Office {
                partition: *partition,
                partitions: partitions.count(),
                probe: keys.probe(node.as_str()),
                keys,
                wire: wire.clone(),
                watch: Arc::clone(&watch),
                state: Arc::clone(state),
                sink: Arc::clone(sink),
                repair_events: options.repair_events,
                repair_wait: options.repair_wait,
                link: Link::new(options.clone(), *partition),
            });
            let (publisher, outgoing) = mpsc::unbounded_channel();
            let (subscriber, wishes) = mpsc::unbounded_channel();
            tasks.push((
                Publisher::new(Rc::clone(&office), outgoing),
                Subscriber::new(office, wishes, publisher.downgrade()),
            ));
            Intake { publisher, subscriber }
        });
        Self { wire, intakes, _alive: watch.living.enter(), watch, tasks }
    }

    fn relay(&self, relay: Relay) {
        let Relay { key, body, remember, to_self, once, done, place } = relay;
        let envelope = match self.wire.write(&key, &body, !to_self) {
            Ok(envelope) => envelope,
            Err(error) => {
                log::warn!("an event cannot be told to other nodes: {error}");
                self.watch.refused.add(1);
                if let Some(done) = done {
                    // who has given up waiting was told so by the deadline
                    done.send(Err(BridgeError::Refused)).unwrap_or_default();
                }
                return;
            }
        };
        let is_sequenced = to_self || remember.is_some();
        let publisher = &self.intakes.of(&key).publisher;
        let event =
            Event { key, envelope, is_sequenced, remember, once, done, tries: 0, _place: place };
        // it fails when the bridge is at its end, which `done` tells by being dropped
        publisher.send(Outgoing::Event(event)).unwrap_or_default();
    }

    fn wish(&self, wish: Wish) {
        let (Wish::Follow { key, .. } | Wish::Unfollow { key }) = &wish;
        // it fails when the bridge is at its end
        self.intakes.of(key).subscriber.send(wish).unwrap_or_default();
    }
}

// === Lifecycle ===

impl Actor for RedisBridge {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Self::Context) {
        for (mut publisher, mut subscriber) in std::mem::take(&mut self.tasks) {
            let (of_publisher, of_subscriber) = (Arc::clone(&self.watch), Arc::clone(&self.watch));
            actix_rt::spawn(async move {
                while AssertUnwindSafe(publisher.run()).catch_unwind().await.is_err() {
                    of_publisher.panics.add(1);
                    log::error!(actor = "bridge"; "the publisher panicked");
                    publisher.recover();
                }
            });
            actix_rt::spawn(async move {
                while AssertUnwindSafe(subscriber.run()).catch_unwind().await.is_err() {
                    of_subscriber.panics.add(1);
                    log::error!(actor = "bridge"; "the subscriber panicked");
                    subscriber.recover().await;
                }
            });
        }
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        Arbiter::current().stop();
    }
}

// === Handlers ===

impl Handler<Letter<Relay>> for RedisBridge {
    type Result = ();

    fn handle(&mut self, relay: Letter<Relay>, _ctx: &mut Self::Context) {
        let taken = self.watch.mail.open(&relay);
        self.watch.contain(|| self.relay(relay.message));
        self.watch.mail.done(taken);
    }
}

impl Handler<Letter<Follow>> for RedisBridge {
    type Result = ();

    fn handle(&mut self, follow: Letter<Follow>, _ctx: &mut Self::Context) {
        let taken = self.watch.mail.open(&follow);
        let Follow { key, wish } = follow.message;
        self.watch.contain(|| self.wish(Wish::Follow { key, wish }));
        self.watch.mail.done(taken);
    }
}

impl Handler<Letter<Unfollow>> for RedisBridge {
    type Result = ();

    fn handle(&mut self, unfollow: Letter<Unfollow>, _ctx: &mut Self::Context) {
        let taken = self.watch.mail.open(&unfollow);
        let Unfollow { key } = unfollow.message;
        self.watch.contain(|| self.wish(Wish::Unfollow { key }));
        self.watch.mail.done(taken);
    }
}
