//! What a session was told and has not read goes with it, and a courier outlives a socket that panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::io::{self, IoSlice};
use std::time::Duration;

use actix::{Actor, Context, Handler};

use super::*;
use crate::config::{App, Apps, NodeConfig};
use crate::mailbox::Mailbox;
use crate::node::{Node, NodeHandle};
use crate::outbox::Wire;
use crate::protocol::ChannelName;
use crate::protocol::sign::Credential;
use crate::session::effect::Subscription;
use crate::worker::Worker;

/// Takes everything and counts its bytes, or panics.
struct Socket {
    written: Rc<Cell<usize>>,
    is_trap: bool,
}

impl Wire for Socket {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.is_trap, "sprung");
        let count = slices.iter().map(|slice| slice.len()).sum();
        self.written.set(self.written.get() + count);
        Ok(count)
    }

    fn flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn close_frame(&self, _close: &Close) -> Bytes {
        Bytes::new()
    }
}

/// A session that lays aside what it is told.
struct Aside(Rc<RefCell<Vec<Letter<Notice>>>>);

impl Actor for Aside {
    type Context = Context<Self>;
}

impl Handler<Letter<Notice>> for Aside {
    type Result = ();

    fn handle(&mut self, notice: Letter<Notice>, _ctx: &mut Self::Context) {
        self.0.borrow_mut().push(notice);
    }
}

struct Stage {
    node: NodeHandle,
    worker: Worker,
    letters: Rc<RefCell<Vec<Letter<Notice>>>>,
    session: actix::Addr<Aside>,
}

impl Stage {
    fn set() -> Self {
        let app = App::new("1", Credential::new("k", "s"));
        let node = Node::start(NodeConfig::new(Apps::new([app]))).handle();
        let worker = node.attach_worker().unwrap();
        let letters = Rc::default();
        let session = Aside(Rc::clone(&letters)).start();
        Self { node, worker, letters, session }
    }

    fn connect(&self, number: u32, is_trap: bool) -> (Rc<Outbox>, Seat, Rc<Cell<usize>>) {
        let written = Rc::new(Cell::new(0));
        let wire = Socket { written: Rc::clone(&written), is_trap };
        let app = &self.node.apps().by_id("1").unwrap().id;
        let outbox: Rc<Outbox> = Rc::new(Outbox::new(
            SocketId::new(number, 1),
            wire,
            self.session.clone().recipient(),
            self.node.metrics().of(app),
        ));
        let seat = self.worker.desk().open(Rc::clone(&outbox));
        (outbox, seat, written)
    }

    fn subscribe(&self, seat: Seat) {
        let channel = ChannelName::parse("c", 164).unwrap();
        let subscription = Subscription { channel, attempt: 1, member: None };
        self.worker.subscribe(self.node.apps().by_id("1").unwrap(), seat, subscription).unwrap();
    }

    fn sessions(&self) -> &Mailbox {
        self.node.mailboxes().first().and_then(|mail| mail.sessions.figures()).unwrap()
    }
}

async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
}

#[actix_rt::test]
async fn what_a_session_has_not_read_is_dropped_with_it() {
    let stage = Stage::set();
    let desk = stage.worker.desk();
    let (outbox, seat, _) = stage.connect(1, false);
    let sessions = stage.sessions();
    for _ in 0..3 {
        outbox.notify(Notice::Tick, &desk.mail.sessions);
    }
    assert_eq!((outbox.unread(), sessions.depth()), (3, 3));
    until(|| stage.letters.borrow().len() == 3).await;
    let (notice, taken) = desk.open_notice(&outbox, stage.letters.borrow_mut().remove(0));
    assert!(matches!(notice, Notice::Tick));
    desk.done(taken);
    assert_eq!((outbox.unread(), sessions.depth(), sessions.dropped()), (2, 2, 0));

    desk.close(seat);
    assert_eq!((sessions.depth(), sessions.dropped(), sessions.highest()), (0, 2, 3));
    outbox.notify(Notice::Tick, &desk.mail.sessions);
    desk.close(seat);
    assert_eq!((sessions.depth(), sessions.dropped()), (0, 2), "it has gone once");
    assert_eq!(stage.node.metrics().actors.sessions.get(), 0);
}

#[actix_rt::test]
async fn a_socket_that_panics_is_counted_and_the_courier_goes_on() {
    let stage = Stage::set();
    let (_, trap, _) = stage.connect(1, true);
    let (_, good, written) = stage.connect(2, false);
    stage.subscribe(trap);
    let panics = &stage.node.metrics().panics.couriers;
    until(|| panics.get() > 0).await;
    stage.subscribe(good);
    until(|| written.get() > 0).await;
    assert_eq!(panics.get(), 1);
    let mail = stage.node.mailboxes().first().unwrap();
    let courier = mail.courier.figures().unwrap();
    assert_eq!((courier.depth(), courier.undeliverable()), (0, 0));
}
