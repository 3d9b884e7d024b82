//! Redis is away, has lost something, or another one took its place: nobody goes who is there.

use std::time::{Duration, Instant};

use actix_rt::System;
use micronotifier_actors::membership::redis::Options;
use micronotifier_actors::membership::{MembershipError, MembershipEvent, Outcome};
use micronotifier_actors::protocol::AppId;
use redis::Commands as _;

use super::node::{Node, Topic, key, options, present};
use super::rows::{living, rows, users};
use super::server::{Server, until};

#[test]
fn flushall_heals() {
    let (system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start(&server);
    let room = key("presence-room");
    let (_, before) = node.join(&room, "1");
    node.join(&room, "2");
    node.handle.count(key("news"), 3);
    node.wait_for(&MembershipEvent::Occupied { key: key("news") });
    redis::cmd("FLUSHALL").exec(&mut redis).unwrap();
    until("all is registered again", || {
        rows(&mut redis, &room).users.len() == 2
            && rows(&mut redis, &key("news")).subscriptions == 3
    });
    let roster = system.block_on(node.handle.members(room)).unwrap();
    assert_eq!(roster.members.len(), 2);
    assert_ne!(roster.position.epoch, before.position.epoch);
}

#[test]
fn redis_restarted_empty_heals_and_questions_meanwhile_say_that_it_is_away() {
    let (system, mut server) = (System::new(), Server::start());
    let node = Node::start(&server);
    let room = key("presence-room");
    node.join(&room, "1");
    node.handle.count(key("news"), 2);
    node.wait_for(&MembershipEvent::Occupied { key: key("news") });
    server.restart();
    node.wait_for(&MembershipEvent::Reachable(false));
    let wish = node.wish(&room, "2", 100);
    assert!(matches!(node.answer(wish), Outcome::Admitted(_)));
    let mut redis = server.connection();
    until("all is registered again", || {
        rows(&mut redis, &room).users.len() == 2
            && rows(&mut redis, &key("news")).subscriptions == 2
    });
    let listed = system.block_on(node.handle.occupied(AppId::new("app"), "", false)).unwrap();
    assert_eq!(listed.len(), 2);
}

#[test]
fn a_join_that_nobody_answers_is_given_up_and_leaves_nothing() {
    let (system, server) = (System::new(), Server::start());
    let quick = Options {
        patience: Duration::from_secs(2),
        response: Duration::from_secs(1),
        lease: Duration::from_secs(30),
        ..options()
    };
    let node = Node::start_with(&server, quick, None);
    let room = key("presence-room");
    node.join(&room, "1");
    server.signal("-STOP");
    let wish = node.wish(&room, "2", 100);
    assert_eq!(node.answer(wish), Outcome::Unavailable);
    // it may have left already when the answer comes
    node.leave(&room, wish, "2");
    let asked = system.block_on(node.handle.members(room.clone()));
    assert_eq!(asked, Err(MembershipError::Unreachable));
    server.signal("-CONT");
    node.wait_for(&MembershipEvent::Reachable(true));
    // what was under way ran perhaps, and is taken back
    node.join(&room, "3");
    let mut redis = server.connection();
    until("the wish that was given up left nothing", || {
        rows(&mut redis, &room).users.into_keys().collect::<Vec<_>>() == ["1", "3"]
    });
}

/// The leases of all have ended when Redis is back, and who looks for the dead may be there first.
#[test]
fn nobody_who_lives_is_declared_dead_after_an_outage() {
    let (_system, server) = (System::new(), Server::start());
    let slow = Options { reconnect: Duration::from_millis(500), ..options() };
    let start = || Node::start_with(&server, slow.clone(), None);
    let (here, there, crashed) = (start(), start(), start());
    let room = key("presence-room");
    for (node, user) in [(&here, "1"), (&there, "2"), (&crashed, "3")] {
        node.join(&room, user);
    }
    drop(crashed);
    let mut redis = server.connection();
    for node in [&here, &there] {
        node.lead_to(None);
    }
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut redis).unwrap();
    for node in [&here, &there] {
        node.wait_for(&MembershipEvent::Reachable(false));
    }
    let cut = Instant::now();
    until("the leases have ended", || cut.elapsed() > slow.lease);
    for node in [&here, &there] {
        node.lead_to(Some(&server));
    }
    until("the crashed node is cleared", || {
        rows(&mut redis, &room).users.into_keys().collect::<Vec<_>>() == ["1", "2"]
    });
    for node in [&here, &there] {
        assert_eq!(node.membership.counters().incarnations.get(), 0);
    }
}

/// Redis takes nothing that needs room, for longer than a lease; it is enough to stay, and to go.
#[test]
fn nobody_goes_because_redis_is_full_but_who_has_crashed() {
    let (_system, server) = (System::new(), Server::start());
    let (here, there, crashed) = (Node::start(&server), Node::start(&server), Node::start(&server));
    let room = key("presence-room");
    for (node, user) in [(&here, "1"), (&there, "2"), (&crashed, "3")] {
        node.join(&room, user);
    }
    let mut redis = server.connection();
    let full = refuse(&mut redis, "maxmemory", "1");
    drop(crashed);
    until("the crashed node is cleared", || users(&mut redis, &room) == ["1", "2"]);
    until("the leases would have ended twice", || full.elapsed() > options().lease * 2);
    assert_eq!(users(&mut redis, &room), ["1", "2"]);
    for node in [&here, &there] {
        assert_eq!(node.membership.counters().incarnations.get(), 0);
    }
}

/// No lease can be renewed while Redis takes no writes at all, and who looks for the dead looks in vain too.
#[test]
fn nobody_is_declared_dead_when_redis_takes_writes_again() {
    let (_system, server) = (System::new(), Server::start());
    // who looks for the dead is always there before those whose leases have ended
    let slow = Options { reconnect: Duration::from_millis(500), ..options() };
    let start = || Node::start_with(&server, slow.clone(), None);
    let (here, there) = (start(), start());
    let room = key("presence-room");
    here.join(&room, "1");
    there.join(&room, "2");
    let mut redis = server.connection();
    for round in 1..=3 {
        let refused = refuse(&mut redis, "min-replicas-to-write", "1");
        until("the leases have ended", || refused.elapsed() > slow.lease * 3 / 2);
        refuse(&mut redis, "min-replicas-to-write", "0");
        let renewed = |node: &Node| node.membership.counters().lease_age() < slow.renew * 2;
        until("both have renewed their leases", || renewed(&here) && renewed(&there));
        for node in [&here, &there] {
            let counters = node.membership.counters();
            assert_eq!(
                (counters.incarnations.get(), counters.declared_dead.get()),
                (0, 0),
                "{round}"
            );
        }
    }
    assert_eq!(rows(&mut redis, &room).users.len(), 2);
}

/// Has Redis refuse, or take again, what a setting says; returns when.
fn refuse(redis: &mut redis::Connection, setting: &str, value: &str) -> Instant {
    redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(redis).unwrap();
    Instant::now()
}

#[test]
fn forgotten_scripts_are_told_again() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start(&server);
    let room = key("presence-room");
    for user in 0..5 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut redis).unwrap();
        node.join(&room, &user.to_string());
    }
    assert_eq!(rows(&mut redis, &room).users.len(), 5);
    assert_eq!(node.membership.counters().failures.get(), 0);
}

#[test]
fn a_node_that_was_cut_off_goes_and_comes_back_once() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let (cut, other) = (Node::start(&server), Node::start(&server));
    let topic = Topic::listen(&server);
    let room = key("presence-room");
    for user in ["1", "2", "both"] {
        cut.join(&room, user);
    }
    other.join(&room, "both");
    cut.lead_to(None);
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut redis).unwrap();
    cut.wait_for(&MembershipEvent::Reachable(false));
    until("its users are gone", || {
        rows(&mut redis, &room).users.into_keys().collect::<Vec<_>>() == ["both"]
    });
    cut.lead_to(Some(&server));
    until("its users are back", || rows(&mut redis, &room).users.len() == 3);
    let told = topic.rest();
    assert_eq!(present(&told, "presence-room").len(), 3);
    let count = |kind: &str| told.iter().filter(|told| told.kind() == kind).count();
    assert_eq!((count("joined"), count("left")), (5, 2));
    drop(other);
}

/// The replica that takes over has not heard of the newest members.
#[test]
fn a_failover_to_a_replica_that_lags_loses_nobody_for_long_and_nobody_goes() {
    let (_system, master) = (System::new(), Server::start());
    let replica = Server::start();
    let (here, there) = (Node::start(&master), Node::start(&master));
    let room = key("presence-room");
    here.join(&room, "1");
    let (_, before) = there.join(&room, "2");
    replica.follow(&master);
    replica.lag();
    here.join(&room, "3");
    let topic = Topic::listen(&replica);
    for node in [&here, &there] {
        node.lead_to(Some(&replica));
    }
    replica.promote();
    drop(master);
    let mut redis = replica.connection();
    until("all are there and what stood under old names is cleared", || {
        living(&mut redis).len() == 2
            && !redis.exists::<_, bool>("mn:{0}:dead").unwrap()
            && rows(&mut redis, &room).users.values().copied().collect::<Vec<_>>() == [1, 1, 1]
    });
    let told = topic.rest();
    let users: Vec<_> = told.iter().map(|told| (told.kind(), told.user())).collect();
    assert_eq!(users, [("joined", "3")]);
    assert_ne!(told[0].position.0, *before.position.epoch);
}
