//! A node without a network: one channel, and sockets that take everything at once. Shared by benchmarks
//! and the test of allocations.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use micronotifier_actors::config::{App, Apps, NodeConfig};
use micronotifier_actors::mailbox::Letter;
use micronotifier_actors::protocol::sign::Credential;
use micronotifier_actors::protocol::{ChannelName, EventName, Frame, SocketId};
use micronotifier_actors::session::effect::{Close, Subscription};
use micronotifier_actors::{Node, NodeHandle, Notice, Outbox, Publication, Wire, Worker};

const DATA: &str = r#"{"id":12345,"text":"some words"}"#;

/// A socket that takes everything, and counts it.
struct Sink(Rc<Cell<u64>>);

impl Wire for Sink {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = slices.iter().map(|slice| slice.len()).sum();
        self.0.set(self.0.get() + count as u64);
        Ok(count)
    }

    fn flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn close_frame(&self, _close: &Close) -> Bytes {
        Bytes::new()
    }
}

/// Stands behind every outbox; nothing is told it, for nothing goes wrong.
struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

impl Handler<Letter<Notice>> for Quiet {
    type Result = ();

    fn handle(&mut self, _notice: Letter<Notice>, _ctx: &mut Self::Context) {}
}

/// A node that serves once its workers are attached, and who publishes what on it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) node: NodeHandle,
    app: Arc<App>,
    channel: ChannelName,
    event: EventName,
}

impl Stage {
    /// Makes a node of so many worker threads.
    #[allow(
        dead_code,
        reason = "not every user of this file has mailboxes that are always measured"
    )]
    pub(crate) fn build(workers: usize) -> Self {
        Self::build_with(workers, true)
    }

    /// As [`Self::build`], with mailboxes that are measured or not.
    pub(crate) fn build_with(workers: usize, mailbox_metrics: bool) -> Self {
        let app = App::new("testapp", Credential::new("1234567890", "abcdefghij"));
        let mut config = NodeConfig::new(Apps::new([app]));
        config.workers = workers;
        config.mailbox_metrics = mailbox_metrics;
        let node = Node::start(config).handle();
        Self {
            app: Arc::clone(node.apps().by_id("testapp").unwrap()),
            channel: ChannelName::parse("room", 164).unwrap(),
            event: EventName::parse("my-event", 200).unwrap(),
            node,
        }
    }

    /// The same node, and another channel.
    #[allow(dead_code, reason = "not every user of this file has two channels")]
    pub(crate) fn with_channel(&self, name: &str) -> Self {
        Self { channel: ChannelName::parse(name, 164).unwrap(), ..self.clone() }
    }

    pub(crate) async fn publish(&self) {
        let publication = Publication {
            channel: self.channel.clone(),
            event: self.event.clone(),
            data: DATA.into(),
            except: None,
        };
        self.node.publish(&self.app, vec![publication], None).await.unwrap();
    }

    /// Returns the bytes of an event on the wire.
    fn event_bytes(&self) -> u64 {
        Frame::channel_event(&self.channel, &self.event, DATA).len() as u64
    }
}

/// Sockets on the thread of one worker that all listen to one channel.
pub(crate) struct Audience {
    sockets: u32,
    event_bytes: u64,
    written: Rc<Cell<u64>>,
}

impl Audience {
    /// Subscribes so many sockets, and waits until all of them are told so.
    pub(crate) async fn seat(stage: &Stage, worker: &Worker, sockets: u32) -> Self {
        let written = Rc::new(Cell::new(0));
        let session = Quiet.start().recipient::<Letter<Notice>>();
        let Stage { app, channel, .. } = stage;
        for number in 1..=sockets {
            let wire = Sink(Rc::clone(&written));
            let socket = SocketId::new(number, 1);
            let outbox = Outbox::new(socket, wire, session.clone(), worker.metrics().of(&app.id));
            let seat = worker.desk().open(Rc::new(outbox));
            let subscription = Subscription { channel: channel.clone(), attempt: 1, member: None };
            worker.subscribe(app, seat, subscription).unwrap();
        }
        let audience = Self { sockets, event_bytes: stage.event_bytes(), written };
        let answer = Frame::subscription_succeeded(channel).len() as u64;
        audience.wait_until(answer * u64::from(sockets)).await;
        audience.written.set(0);
        audience
    }

    /// Waits until every socket has taken so many events more.
    pub(crate) async fn take(&self, events: u32) {
        let bytes = self.event_bytes * u64::from(self.sockets) * u64::from(events);
        self.wait_until(bytes).await;
        self.written.set(self.written.get() - bytes);
    }

    async fn wait_until(&self, written: u64) {
        while self.written.get() < written {
            tokio::task::yield_now().await;
        }
    }
}

/// A node of one worker with a channel that everybody listens to.
pub(crate) struct Hall {
    stage: Stage,
    audience: Audience,
    _worker: Worker,
}

impl Hall {
    #[allow(
        dead_code,
        reason = "not every user of this file has mailboxes that are always measured"
    )]
    pub(crate) async fn open(sockets: u32) -> Self {
        Self::open_with(sockets, true).await
    }

    /// As [`Self::open`], with mailboxes that are measured or not.
    pub(crate) async fn open_with(sockets: u32, mailbox_metrics: bool) -> Self {
        let stage = Stage::build_with(1, mailbox_metrics);
        let worker = stage.node.attach_worker().unwrap();
        let audience = Audience::seat(&stage, &worker, sockets).await;
        Self { stage, audience, _worker: worker }
    }

    /// Publishes events and waits until every socket has them all.
    pub(crate) async fn publish(&self, events: u32) {
        for _ in 0..events {
            self.stage.publish().await;
        }
        self.audience.take(events).await;
    }
}
