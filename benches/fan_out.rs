//! What a node does for an event beside system calls: from [`NodeHandle::publish`] by registry, channel,
//! courier and desk into 1,000 outboxes, and out to sockets that take everything at once.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use micronotifier_actors::config::{App, Apps, NodeConfig};
use micronotifier_actors::protocol::sign::Credential;
use micronotifier_actors::protocol::{ChannelName, EventName, Frame, SocketId};
use micronotifier_actors::session::effect::{Close, Subscription};
use micronotifier_actors::{Node, NodeHandle, Notice, Outbox, Publication, Wire, Worker};

const SOCKETS: u32 = 1000;
/// Events that wait together when the sockets are slower than the publishers.
const BURST: u32 = 8;

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

impl Handler<Notice> for Quiet {
    type Result = ();

    fn handle(&mut self, _notice: Notice, _ctx: &mut Self::Context) {}
}

/// A node of one worker with a channel that everybody listens to.
struct Hall {
    node: NodeHandle,
    _worker: Worker,
    app: Arc<App>,
    channel: ChannelName,
    event: EventName,
    written: Rc<Cell<u64>>,
}

impl Hall {
    async fn open() -> Self {
        let app = App::new("testapp", Credential::new("1234567890", "abcdefghij"));
        let node = Node::start(NodeConfig::new(Apps::new([app]))).handle();
        let worker = node.attach_worker().unwrap();
        let app = Arc::clone(node.apps().by_id("testapp").unwrap());
        let channel = ChannelName::parse("room", 164).unwrap();
        let written = Rc::new(Cell::new(0));
        let session = Quiet.start().recipient::<Notice>();
        for number in 1..=SOCKETS {
            let wire = Sink(Rc::clone(&written));
            let socket = SocketId::new(number, 1);
            let seat = worker
                .desk()
                .open(Rc::new(Outbox::new(socket, wire, session.clone())));
            let subscription = Subscription {
                channel: channel.clone(),
                attempt: 1,
                member: None,
            };
            worker.subscribe(&app, seat, subscription).unwrap();
        }
        let answer = Frame::subscription_succeeded(&channel).len() as u64;
        let hall = Self {
            node,
            _worker: worker,
            app,
            channel,
            event: EventName::parse("my-event", 200).unwrap(),
            written,
        };
        hall.wait_for(answer * u64::from(SOCKETS)).await;
        hall
    }

    /// Publishes events and waits until every socket has them all.
    async fn publish(&self, events: u32) {
        const DATA: &str = r#"{"id":12345,"text":"some words"}"#;
        let frame = Frame::channel_event(&self.channel, &self.event, DATA).len() as u64;
        let target = self.written.get() + frame * u64::from(SOCKETS * events);
        for _ in 0..events {
            let publication = Publication {
                channel: self.channel.clone(),
                event: self.event.clone(),
                data: DATA.into(),
                except: None,
            };
            self.node
                .publish(&self.app, vec![publication])
                .await
                .unwrap();
        }
        self.wait_for(target).await;
    }

    async fn wait_for(&self, written: u64) {
        while self.written.get() < written {
            tokio::task::yield_now().await;
        }
    }
}

fn fan_out(criterion: &mut Criterion) {
    let system = actix_rt::System::new();
    let hall = system.block_on(Hall::open());
    let mut group = criterion.benchmark_group("fan-out to 1,000 outboxes");
    for (name, events) in [("one event", 1), ("8 events that wait together", BURST)] {
        group.throughput(Throughput::Elements(u64::from(SOCKETS * events)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| system.block_on(hall.publish(events)));
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
