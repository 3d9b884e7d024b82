//! Questions have connections of their own, which are few, are lent again, and lead to the master.

use std::sync::atomic::Ordering;

use actix_rt::System;
use futures_util::future::join_all;
use micronotifier_actors::membership::redis::Options;
use micronotifier_actors::membership::{MembershipError, MembershipEvent};
use redis::Commands as _;

use super::node::{Node, key, options};
use super::rows::name;
use super::server::{DEADLINE, Server, until};

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

/// After an outage every presence channel asks at the same time.
#[test]
fn thousands_of_questions_at_once_are_all_answered() {
    let (system, server) = (System::new(), Server::start());
    // nothing is lost because the machine is busy
    let options = Options { response: DEADLINE, lease: DEADLINE * 3, ..options() };
    let node = Node::start_with(&server, options, None);
    let room = |number| key(&format!("presence-{number}"));
    node.join(&room(1), "1");
    let rosters = system.block_on(join_all((0..5000).map(|n| node.handle.members(room(n)))));
    let members: Vec<_> = rosters.into_iter().map(|roster| roster.map(|all| all.members)).collect();
    assert_eq!(members.iter().filter(|members| members.is_err()).count(), 0);
    let occupied = members.iter().position(|members| !members.as_ref().unwrap().is_empty());
    assert_eq!(occupied, Some(1));
}

#[test]
fn a_question_that_panics_has_no_answer_and_costs_nothing_else() {
    let (system, server) = (System::new(), Server::start());
    // a panic is slow to tell of: the lease outlasts all of them
    let options = Options { lease: DEADLINE * 3, ..options() };
    let node = Node::start_with(&server, options, None);
    let (news, counters) = (key("cache-news"), node.membership.counters());
    node.handle.count(news.clone(), 1);
    node.wait_for(&MembershipEvent::Occupied { key: news.clone() });
    let mut redis = server.connection();
    let remembered = [("p", r#"{"d":"1"}"#), ("x", "9999999999999")];
    redis.hset_multiple::<_, _, _, ()>(name('c', &news), &remembered).unwrap();
    let cached = || {
        let told = system.block_on(node.handle.describe(news.clone()));
        told.map(|told| told.cached.unwrap().data)
    };
    node.trap.store(true, Ordering::Relaxed);
    until("more have panicked than are admitted at a time", || {
        assert_eq!(cached(), Err(MembershipError::Unreachable));
        counters.keeper_panics.get() > 32
    });
    node.trap.store(false, Ordering::Relaxed);
    until("none of them has kept its turn", || cached().is_ok_and(|data| data == "1"));
    assert_eq!(counters.incarnations.get(), 0);
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
