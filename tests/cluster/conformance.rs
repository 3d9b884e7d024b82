//! What every bridge owes its node, checked against each: the loopback, Redis, Redis Cluster. Others are added here.

use std::time::Duration;

use micronotifier_actors::bridge::loopback::Hub;
use micronotifier_actors::bridge::redis::Ready;
use micronotifier_actors::bridge::{
    BridgeEvent, BridgeHandle, BridgeSink, Relay, Relayed, Remembered,
};
use micronotifier_actors::protocol::{AppId, ChannelKey, ChannelName, EventName, SocketId, UserId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::support::{DEADLINE, unique};
use crate::surroundings::Redis;
use crate::surroundings::partitioned::RedisCluster;

/// What can connect one more node.
#[derive(Clone)]
enum Broker {
    Loopback(Hub),
    Redis(micronotifier_actors::redis::RedisOptions),
}

/// One node's side of a bridge.
struct Side {
    bridge: BridgeHandle,
    events: mpsc::UnboundedReceiver<BridgeEvent>,
}

impl Broker {
    async fn connect(&self) -> Side {
        let (sender, events) = mpsc::unbounded_channel();
        // a bridge may outlive its test's interest in it
        let sink: BridgeSink = std::sync::Arc::new(move |event| drop(sender.send(event)));
        let bridge = match self {
            Self::Loopback(hub) => hub.connect(sink),
            Self::Redis(options) => Ready::check(options.clone()).await.unwrap().start(sink),
        };
        Side { bridge, events }
    }
}

impl Side {
    async fn next(&mut self) -> BridgeEvent {
        timeout(DEADLINE, self.events.recv()).await.expect("in time").expect("a bridge")
    }

    /// Follows a channel; returns what it remembers.
    async fn follow(&mut self, key: &ChannelKey, wish: u64) -> Option<Remembered> {
        self.bridge.follow(key.clone(), wish);
        loop {
            if let BridgeEvent::Followed { key: followed, wish: answered, remembered } =
                self.next().await
                && answered == wish
            {
                assert_eq!(followed, *key);
                return remembered;
            }
        }
    }

    fn unfollow(&self, key: &ChannelKey) {
        self.bridge.unfollow(key.clone());
    }

    /// Relays and waits until the bridge has taken it.
    async fn relay(&self, mut relay: Relay) {
        let (done, taken) = oneshot::channel();
        relay.done = Some(done);
        self.bridge.relay(relay);
        timeout(DEADLINE, taken).await.expect("in time").expect("an answer").expect("taken");
    }

    /// Relays an event with this text.
    async fn publish(&self, key: &ChannelKey, text: &str) {
        self.relay(Relay::new(key.clone(), published(text))).await;
    }

    /// Expects a published event next; returns its data and whom it leaves out.
    async fn published(&mut self) -> (String, Option<SocketId>) {
        match self.next().await {
            BridgeEvent::RemotePublished {
                body: Relayed::Published { data, except, .. }, ..
            } => (data.to_string(), except),
            BridgeEvent::RemotePublished { body, .. } => panic!("{body:?}"),
            BridgeEvent::Followed { wish, .. } => panic!("followed {wish}"),
        }
    }
}

fn published(text: &str) -> Relayed {
    let event = EventName::parse("e", 200).unwrap();
    Relayed::Published { event, data: text.to_owned().into(), except: None }
}

fn key(name: &str) -> ChannelKey {
    let channel = ChannelName::parse(&unique(name), 164).unwrap();
    ChannelKey { app: AppId::new("app"), channel }
}

/// Runs a check against every broker.
fn with_each(check: impl AsyncFn(Broker)) {
    actix::System::new().block_on(check(Broker::Loopback(Hub::default())));
    let redis = Redis::start();
    actix::System::new().block_on(check(Broker::Redis(redis.options())));
    let cluster = RedisCluster::start();
    actix::System::new().block_on(check(Broker::Redis(cluster.options())));
}

#[test]
fn followers_see_one_order_and_the_sender_is_among_them() {
    with_each(async |broker| {
        let (mut here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("order");
        here.follow(&key, 1).await;
        there.follow(&key, 2).await;
        for index in 0..200 {
            for side in [&here, &there] {
                let relay = Relay::new(key.clone(), published(&index.to_string()));
                side.bridge.relay(relay);
            }
        }
        let mut seen = Vec::new();
        for _ in 0..400 {
            let (one, other) = (here.published().await.0, there.published().await.0);
            assert_eq!(one, other);
            seen.push(one.parse::<u32>().unwrap());
        }
        // each side's own came in the order in which it sent them, so no text is passed twice by its successor
        for index in 0..200 {
            assert_eq!(seen.iter().filter(|text| **text == index).count(), 2);
        }
    });
}

#[test]
fn the_order_of_a_sender_is_kept() {
    with_each(async |broker| {
        let (here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("sender");
        there.follow(&key, 1).await;
        for index in 0..1000 {
            here.bridge.relay(Relay::new(key.clone(), published(&index.to_string())));
        }
        for index in 0..1000 {
            assert_eq!(there.published().await.0, index.to_string());
        }
    });
}

#[test]
fn whom_an_event_leaves_out_is_told_along() {
    with_each(async |broker| {
        let (here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("except");
        there.follow(&key, 1).await;
        let (event, except) = (EventName::parse("e", 200).unwrap(), SocketId::new(7, 8));
        let body = Relayed::Published { event, data: "x".into(), except: Some(except) };
        here.relay(Relay::new(key, body)).await;
        assert_eq!(there.published().await, ("x".to_owned(), Some(except)));
    });
}

#[test]
fn after_the_confirmation_nothing_is_missed_and_nothing_older_comes() {
    with_each(async |broker| {
        let (here, mut there) = (broker.connect().await, broker.connect().await);
        for round in 0..50_u64 {
            let key = key("confirmed");
            here.publish(&key, "before").await;
            there.follow(&key, round).await;
            here.publish(&key, "after").await;
            assert_eq!(there.published().await.0, "after");
        }
    });
}

#[test]
fn nothing_comes_after_the_end_and_a_new_beginning_is_a_beginning() {
    with_each(async |broker| {
        let (mut here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("ended");
        here.follow(&key, 1).await;
        there.follow(&key, 2).await;
        there.unfollow(&key);
        // the same mailbox: once this is confirmed, the end is known
        there.follow(&self::key("fence"), 3).await;
        for index in 0..20 {
            here.publish(&key, &index.to_string()).await;
            assert_eq!(here.published().await.0, index.to_string());
        }
        there.follow(&key, 4).await;
        here.publish(&key, "again").await;
        assert_eq!(there.published().await.0, "again");
    });
}

#[test]
fn the_last_event_is_remembered_for_who_comes_later() {
    with_each(async |broker| {
        let (here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("cache");
        assert!(there.follow(&key, 1).await.is_none());
        let minute = Duration::from_mins(1);
        for text in ["1", "2"] {
            let mut relay = Relay::new(key.clone(), published(text));
            relay.remember = Some(minute);
            here.relay(relay).await;
            assert_eq!(there.published().await.0, text);
        }
        let mut late = broker.connect().await;
        let remembered = late.follow(&key, 1).await.expect("it is remembered");
        assert_eq!(remembered.data, "2");
        assert!(remembered.expires_in <= minute && remembered.expires_in > minute / 2);
        here.publish(&key, "3").await;
        assert_eq!(late.published().await.0, "3", "what is remembered is not told again");
    });
}

#[test]
fn what_is_forgotten_is_not_remembered() {
    with_each(async |broker| {
        let mut here = broker.connect().await;
        let key = key("cache-short");
        let mut relay = Relay::new(key.clone(), published("1"));
        relay.remember = Some(Duration::from_millis(20));
        here.relay(relay).await;
        let mut wish = 0;
        loop {
            wish += 1;
            let remembered = here.follow(&key, wish).await;
            here.unfollow(&key);
            if remembered.is_none() {
                return;
            }
        }
    });
}

#[test]
fn a_client_event_reaches_the_others_alone() {
    with_each(async |broker| {
        let (mut here, mut there) = (broker.connect().await, broker.connect().await);
        let key = key("private-whisper");
        here.follow(&key, 1).await;
        there.follow(&key, 2).await;
        let (user, socket) = (UserId::member("u").unwrap(), SocketId::new(1, 2));
        let body = Relayed::Whispered {
            event: "client-a".into(),
            data: "{}".into(),
            user: Some(user.clone()),
            socket,
        };
        let mut relay = Relay::new(key.clone(), body);
        relay.to_self = false;
        here.relay(relay).await;
        match there.next().await {
            BridgeEvent::RemotePublished {
                body: Relayed::Whispered { event, user: from, socket: by, .. },
                ..
            } => assert_eq!((&*event, from, by), ("client-a", Some(user), socket)),
            _ => panic!("something else"),
        }
        there.publish(&key, "fence").await;
        assert_eq!(here.published().await.0, "fence");
        assert_eq!(there.published().await.0, "fence");
    });
}

#[test]
fn a_node_that_panics_at_an_event_hears_the_next() {
    let redis = Redis::start();
    actix::System::new().block_on(async {
        let (sender, mut told) = mpsc::unbounded_channel();
        let sink: BridgeSink = std::sync::Arc::new(move |event| {
            let text = match event {
                BridgeEvent::RemotePublished { body: Relayed::Published { data, .. }, .. } => {
                    assert_ne!(data, "panic", "on purpose");
                    data.to_string()
                }
                BridgeEvent::RemotePublished { .. } => panic!("something else"),
                BridgeEvent::Followed { .. } => "followed".to_owned(),
            };
            sender.send(text).unwrap();
        });
        let bridge = Ready::check(redis.options()).await.unwrap().start(sink);
        let mut told = async || timeout(DEADLINE, told.recv()).await.expect("in time").unwrap();
        let here = Broker::Redis(redis.options()).connect().await;
        let key = key("panic");
        bridge.follow(key.clone(), 1);
        assert_eq!(told().await, "followed");
        for text in ["1", "panic", "2"] {
            here.publish(&key, text).await;
        }
        assert_eq!((told().await, told().await), ("1".to_owned(), "2".to_owned()));
    });
}

#[test]
fn a_termination_reaches_all() {
    with_each(async |broker| {
        let (mut here, mut there) = (broker.connect().await, broker.connect().await);
        let user = ChannelName::parse("#server-to-user-u1", 164).unwrap();
        let key = ChannelKey { app: AppId::new("app"), channel: user };
        here.follow(&key, 1).await;
        there.follow(&key, 2).await;
        here.relay(Relay::new(key, Relayed::Terminated)).await;
        for side in [&mut here, &mut there] {
            let event = side.next().await;
            assert!(matches!(
                event,
                BridgeEvent::RemotePublished { body: Relayed::Terminated, .. }
            ));
        }
    });
}
