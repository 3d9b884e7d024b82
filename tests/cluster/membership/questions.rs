//! Questions have connections of their own, which are few, are lent again, and lead to the master.

use actix_rt::System;
use futures_util::future::join_all;
use micronotifier_actors::membership::MembershipEvent;

use super::node::{Node, key};
use super::server::{Server, until};

/// The most connections that questions have.
const LENT: u64 = 4;

/// Returns how many connections a server has taken so far, that of this question included.
fn taken(server: &Server) -> u64 {
    let mut redis = server.connection();
    let stats: String = redis::cmd("INFO").arg("stats").query(&mut redis).unwrap();
    let mut lines = stats.lines();
    let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().parse().unwrap()
}

#[test]
fn many_questions_at_once_take_few_connections_of_their_own() {
    let (system, server) = (System::new(), Server::start());
    let node = Node::start(&server);
    let news = key("news");
    node.handle.count(news.clone(), 1);
    node.wait_for(&MembershipEvent::Occupied { key: news.clone() });
    // the reaper opens its own by now or meanwhile
    let (before, reaper, own) = (taken(&server), 1, 1);
    for _ in 0..5 {
        let asked = join_all((0..300).map(|_| node.handle.describe(news.clone())));
        let told = system.block_on(asked);
        assert!(told.iter().all(|told| told.as_ref().unwrap().counts.subscriptions == 1));
    }
    let more = taken(&server) - before - own;
    assert!((1..=LENT + reaper).contains(&more), "{more}");
}

#[test]
fn a_master_that_has_moved_is_found() {
    let (system, first) = (System::new(), Server::start());
    let second = Server::start();
    let node = Node::start(&first);
    let news = key("news");
    node.handle.count(news.clone(), 3);
    let subscriptions = || {
        let told = system.block_on(node.handle.describe(news.clone()));
        told.map(|told| told.counts.subscriptions)
    };
    until("the first is asked", || subscriptions() == Ok(3));
    node.lead_to(Some(&second));
    drop(first);
    until("the second is asked", || subscriptions() == Ok(3));
}

#[test]
fn a_replica_is_not_asked() {
    let (system, master) = (System::new(), Server::start());
    let replica = Server::start();
    replica.follow(&master);
    let node = Node::start(&master);
    let news = key("news");
    node.handle.count(news.clone(), 3);
    node.wait_for(&MembershipEvent::Occupied { key: news.clone() });
    node.lead_to(Some(&replica));
    // the connections that there are lead to the master still
    assert!(system.block_on(node.handle.describe(news.clone())).is_err());
    node.lead_to(Some(&master));
    let told = system.block_on(node.handle.describe(news)).unwrap();
    assert_eq!(told.counts.subscriptions, 3);
}
