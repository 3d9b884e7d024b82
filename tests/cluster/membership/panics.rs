//! What a keeper cannot say for a panic: it is tried again with pauses, and told in the end.

use std::sync::atomic::Ordering;

use actix_rt::System;

use super::node::{Node, key};
use super::rows::{living, rows};
use super::server::{Server, until};

#[test]
fn what_panics_each_time_it_is_said_costs_a_connection_each_time_and_is_said_in_the_end() {
    let (_system, server) = (System::new(), Server::start());
    let node = Node::start(&server);
    let (room, news) = (key("presence-room"), key("news"));
    node.join(&room, "1");
    let counters = node.membership.counters();
    let before = node.connections.load(Ordering::Relaxed);
    node.trap.store(true, Ordering::Relaxed);
    node.handle.count(news.clone(), 3);
    until("it has panicked again and again", || counters.keeper_panics.get() >= 6);
    // the first was over a connection that was there; a new one is opened after a pause
    let panics = counters.keeper_panics.get();
    let opened = node.connections.load(Ordering::Relaxed) - before;
    assert!(opened >= panics - 1, "{panics} panics over {opened} connections");
    node.trap.store(false, Ordering::Relaxed);
    let mut redis = server.connection();
    until("all is told, and the earlier incarnations are gone", || {
        rows(&mut redis, &room).users.len() == 1
            && rows(&mut redis, &news).subscriptions == 3
            && living(&mut redis).len() == 1
    });
}
