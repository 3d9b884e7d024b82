//! Crashes, false deaths and rows that are not ours: nobody stays who is gone, nobody goes who is there.

use std::time::Duration;

use actix_rt::System;
use micronotifier_actors::membership::redis::Options;
use micronotifier_actors::membership::{MembershipEvent, Outcome};
use micronotifier_actors::protocol::AppId;
use redis::Commands as _;

use super::node::{Node, Topic, key, member, options, present};
use super::rows::{Rows, lasting_keys, living, rows};
use super::server::{Server, until};

#[test]
fn users_of_a_crashed_node_leave_once_and_those_elsewhere_stay() {
    let (_system, server) = (System::new(), Server::start());
    // two reapers look at once
    let nodes = [Node::start(&server), Node::start(&server), Node::start(&server)];
    let topic = Topic::listen(&server);
    let (room, news) = (key("presence-room"), key("news"));
    for user in ["both", "gone", "gone too"] {
        nodes[0].join(&room, user);
        nodes[0].join(&room, user);
    }
    nodes[1].join(&room, "both");
    nodes[0].handle.count(news.clone(), 4);
    nodes[0].wait_for(&MembershipEvent::Occupied { key: news.clone() });
    let [crashed, one, other] = nodes;
    drop(crashed);
    let mut redis = server.connection();
    until("the crashed node is forgotten", || {
        living(&mut redis).len() == 2 && !redis.exists::<_, bool>("mn:{0}:dead").unwrap()
    });
    let left = rows(&mut redis, &room);
    assert_eq!(
        (left.users.into_iter().collect::<Vec<_>>(), left.subscriptions),
        (vec![("both".to_owned(), 1)], 1)
    );
    assert_eq!(rows(&mut redis, &news).subscriptions, 0);
    let told = topic.rest();
    assert_eq!(present(&told, "presence-room").into_keys().collect::<Vec<_>>(), ["both"]);
    assert_eq!(told.iter().filter(|told| told.kind() == "left").count(), 2);
    assert_eq!(told.iter().filter(|told| told.kind() == "vacated").count(), 1);
    let expired: u64 =
        [&one, &other].iter().map(|node| node.membership.counters().users_expired.get()).sum();
    assert_eq!(expired, 2);
}

/// Enough channels and users that Redis keeps them in tables, which are read page by page while they shrink.
#[test]
fn a_large_death_is_cleared_to_the_end() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let (crashed, other) = (Node::start(&server), Node::start(&server));
    let room = key("presence-large");
    for user in 0..1500 {
        crashed.wish(&room, &format!("u{user}"), 5000);
    }
    // in whatever order: a node that was held up says all again as it comes
    for _ in 0..1500 {
        crashed.wait(|event| match event {
            MembershipEvent::Entered { outcome, .. } => {
                assert!(matches!(outcome, Outcome::Admitted(_)));
                Some(())
            }
            _ => None,
        });
    }
    for channel in 0..3000 {
        crashed.handle.count(key(&format!("news-{channel}")), 2);
    }
    until("all is told", || redis.hlen::<_, u64>("mn:{0}:l:app").unwrap() == 3001);
    let topic = Topic::listen(&server);
    drop(crashed);
    until("the dead is forgotten", || {
        lasting_keys(&mut redis) == ["mn:{0}:nodes"] && living(&mut redis).len() == 1
    });
    let told = topic.rest();
    let count = |kind: &str| told.iter().filter(|told| told.kind() == kind).count();
    assert_eq!((count("left"), count("vacated")), (1500, 3000));
    assert_eq!(other.membership.counters().users_expired.get(), 1500);
}

/// A reaper that dies half-way leaves a fenced node, some of its rows and a claim that ends.
#[test]
fn another_reaper_goes_on_where_one_stopped() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let rooms: Vec<_> = (0..30).map(|room| key(&format!("presence-{room}"))).collect();
    let crashed = Node::start(&server);
    for room in &rooms {
        crashed.join(room, "a");
        crashed.join(room, "b");
    }
    drop(crashed);
    let topic = Topic::listen(&server);
    // what a reaper has done when it died: fenced the node, claimed it, let go one user in full
    let dead = living(&mut redis).pop_first().unwrap();
    let _: () = redis.hdel("mn:{0}:nodes", &dead).unwrap();
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut redis).unwrap();
    let _: () = redis.hset("mn:{0}:dead", &dead, seconds * 1000 + 300).unwrap();
    let row = |letter: char| format!("mn:{{0}}:{letter}:3:app:presence-0");
    let _: () = redis.hdel(row('w'), format!("{dead}|a")).unwrap();
    let _: () = redis.hdel(row('u'), "a").unwrap();
    let _: () = redis.hdel(row('i'), "a").unwrap();
    let _: () = redis.hset(row('n'), &dead, 1).unwrap();
    let _: () = redis.hset("mn:{0}:l:app", "presence-0", 1).unwrap();
    // and a line of the index whose rows are gone already, and one that no node wrote
    let _: () = redis.hset(format!("mn:{{0}}:node:{dead}"), "3:app:presence-nobody", 1).unwrap();
    let _: () = redis.hset(format!("mn:{{0}}:node:{dead}"), b"\xff", 1).unwrap();
    let (one, other) = (Node::start(&server), Node::start(&server));
    until("the dead is forgotten", || {
        lasting_keys(&mut redis) == ["mn:{0}:nodes"] && living(&mut redis).len() == 2
    });
    let told = topic.rest();
    let left = told.iter().filter(|told| told.kind() == "left").count();
    assert_eq!(left, 2 * rooms.len() - 1);
    let heard = [&one, &other].into_iter().flat_map(Node::heard);
    let vacated = heard.filter(|event| matches!(event, MembershipEvent::Vacated { .. }));
    assert_eq!(vacated.count(), rooms.len());
}

#[test]
fn a_node_that_was_declared_dead_registers_again_under_a_new_name() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let (here, there) = (Node::start(&server), Node::start(&server));
    let topic = Topic::listen(&server);
    let room = key("presence-room");
    let (ticket, _) = here.join(&room, "here");
    here.join(&room, "both");
    there.join(&room, "both");
    let before = living(&mut redis);
    // fence both: a false death
    for dead in &before {
        let _: () = redis.hdel("mn:{0}:nodes", dead).unwrap();
        let _: () = redis.hset("mn:{0}:dead", dead, 0).unwrap();
    }
    until("both have new names and nothing is left of the old", || {
        let now = living(&mut redis);
        now.len() == 2
            && now.is_disjoint(&before)
            && !redis.exists::<_, bool>("mn:{0}:dead").unwrap()
    });
    until("all is registered", || rows(&mut redis, &room).subscriptions == 3);
    here.leave(&room, ticket, "here");
    until("here has left", || rows(&mut redis, &room).subscriptions == 2);
    assert_eq!(
        rows(&mut redis, &room).users.into_iter().collect::<Vec<_>>(),
        [("both".to_owned(), 2)]
    );
    let told = topic.rest();
    assert_eq!(present(&told, "presence-room").into_keys().collect::<Vec<_>>(), ["both"]);
    let again = here.membership.counters().incarnations.get()
        + there.membership.counters().incarnations.get();
    assert_eq!(again, 2);
}

/// They are those of the new name at once, and not of both until the old one is cleared.
#[test]
fn connections_are_counted_once_under_a_new_name() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start(&server);
    let app = AppId::new("app");
    let all = || {
        let mut redis = server.connection();
        redis.hget::<_, _, Option<u64>>("mn:{0}:q", "app").unwrap()
    };
    node.handle.report_connections(vec![(app.clone(), 5)]);
    until("they are told", || all() == Some(5));
    // declared dead, and claimed by a reaper that does nothing for a long time
    let old = living(&mut redis).pop_first().unwrap();
    let _: () = redis.hdel("mn:{0}:nodes", &old).unwrap();
    let _: () = redis.hset("mn:{0}:dead", &old, i64::MAX / 1_000_000).unwrap();
    until("it has a new name", || living(&mut redis).len() == 1);
    node.handle.report_connections(vec![(app, 6)]);
    until("they are told under the new name alone", || all() == Some(6));
}

#[test]
fn keys_that_hold_something_else_cost_their_own_channel_and_no_other() {
    let (system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start(&server);
    let (bad, room) = (key("presence-bad"), key("presence-room"));
    let _: () = redis.set("mn:{0}:w:3:app:presence-bad", "x").unwrap();
    let wish = node.wish(&bad, "1", 100);
    node.join(&room, "1");
    // what no node wrote is left out of answers
    let _: () = redis.hset("mn:{0}:i:3:app:presence-room", b"\xff", "{}").unwrap();
    let _: () = redis.hset("mn:{0}:l:app", b"\xff", 1).unwrap();
    let _: () = redis.hset("mn:{0}:l:app", "news", "x").unwrap();
    let roster = system.block_on(node.handle.members(room.clone())).unwrap();
    assert_eq!(roster.members, [member("1")]);
    let listed = system.block_on(node.handle.occupied(AppId::new("app"), "", false)).unwrap();
    assert_eq!(listed.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [room.channel]);
    let _: () = redis.del("mn:{0}:w:3:app:presence-bad").unwrap();
    assert!(matches!(node.answer(wish), Outcome::Admitted(_)));
}

#[test]
fn keys_that_hold_something_else_keep_nothing_of_a_dead_node_but_their_own_channel() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let (crashed, other) = (Node::start(&server), Node::start(&server));
    let rooms: Vec<_> = (0..9).map(|room| key(&format!("presence-{room}"))).collect();
    for room in &rooms {
        crashed.join(room, "1");
    }
    let bad = "mn:{0}:w:3:app:presence-4";
    let _: () = redis.del(bad).unwrap();
    let _: () = redis.set(bad, "x").unwrap();
    crashed.handle.count(key("news"), 1);
    crashed.wait_for(&MembershipEvent::Occupied { key: key("news") });
    crashed.handle.report_connections(vec![(AppId::new("app"), 5)]);
    until("its connections are told", || redis.hexists("mn:{0}:q", "app").unwrap());
    drop(crashed);
    until("all else is cleared", || {
        redis.hkeys::<_, Vec<String>>("mn:{0}:l:app").unwrap() == ["presence-4"]
            && redis.hget::<_, _, Option<u64>>("mn:{0}:q", "app").unwrap().unwrap_or(0) == 0
    });
    let _: () = redis.del(bad).unwrap();
    until("the node is forgotten", || !redis.exists::<_, bool>("mn:{0}:dead").unwrap());
    assert!(other.membership.counters().failures.get() > 0);
}

#[test]
fn a_question_about_a_channel_that_nobody_is_in_leaves_no_trace() {
    let (system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start(&server);
    node.wait_for(&MembershipEvent::Reachable(true));
    for channel in ["presence-nobody", "nobody"] {
        let roster = system.block_on(node.handle.members(key(channel))).unwrap();
        assert_eq!((roster.members, roster.counts.subscriptions), (vec![], 0));
        system.block_on(node.handle.describe(key(channel))).unwrap();
    }
    let keys: Vec<String> = redis.keys("*").unwrap();
    assert_eq!(keys, ["mn:{0}:nodes"]);
}

/// Returns options of a node that hears of itself by its commands alone.
fn without_renewals() -> Options {
    Options { renew: Duration::from_hours(1), lease: Duration::from_hours(2), ..options() }
}

#[test]
fn what_an_older_connection_still_has_under_way_is_refused() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start_with(&server, without_renewals(), None);
    let room = key("presence-room");
    node.join(&room, "1");
    let name = living(&mut redis).pop_first().unwrap();
    let lease: String = redis.hget("mn:{0}:nodes", &name).unwrap();
    let (generation, ends) = lease.split_once(':').unwrap();
    let younger = generation.parse::<u64>().unwrap() + 1;
    // as if a younger connection of the node were there: its own commands are the late ones
    let _: () = redis.hset("mn:{0}:nodes", &name, format!("{younger}:{ends}")).unwrap();
    let wish = node.wish(&room, "2", 100);
    node.wait_for(&MembershipEvent::Reachable(false));
    assert!(matches!(node.answer(wish), Outcome::Admitted(_)));
    assert_eq!(rows(&mut redis, &room).users.len(), 2);
    assert_eq!(living(&mut redis).pop_first(), Some(name));
}

#[test]
fn a_node_that_was_declared_dead_writes_nothing_under_its_old_name() {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let node = Node::start_with(&server, without_renewals(), None);
    let (room, news) = (key("presence-room"), key("news"));
    let (ticket, _) = node.join(&room, "1");
    let old = living(&mut redis).pop_first().unwrap();
    // declared dead, and claimed by a reaper that does nothing for a long time
    let _: () = redis.hdel("mn:{0}:nodes", &old).unwrap();
    let _: () = redis.hset("mn:{0}:dead", &old, i64::MAX / 1_000_000).unwrap();
    node.leave(&room, ticket, "1");
    node.join(&room, "2");
    node.handle.count(news.clone(), 1);
    node.wait_for(&MembershipEvent::Occupied { key: news });
    let new = living(&mut redis).pop_first().unwrap();
    let mut written: Vec<String> = redis.hkeys("mn:{0}:w:3:app:presence-room").unwrap();
    written.sort();
    let mut expected = [format!("{old}|1"), format!("{new}|2")];
    expected.sort();
    assert_eq!(written, expected);
    let counted: Vec<String> = redis.hkeys("mn:{0}:n:3:app:news").unwrap();
    assert_eq!(counted, [new]);
}

#[test]
fn a_node_that_retires_is_cleared_at_once() {
    let (system, server) = (System::new(), Server::start());
    let long = Options { lease: Duration::from_hours(1), ..options() };
    let (here, there) = (Node::start_with(&server, long, None), Node::start(&server));
    let room = key("presence-room");
    here.join(&room, "1");
    system.block_on(here.membership.retire());
    let mut redis = server.connection();
    until("nothing is left of it", || {
        rows(&mut redis, &room) == Rows::default() && living(&mut redis).len() == 1
    });
    // a node that has left says nothing more
    here.handle.count(key("news"), 1);
    there.handle.count(key("other"), 1);
    there.wait_for(&MembershipEvent::Occupied { key: key("other") });
    assert_eq!(rows(&mut redis, &key("news")), Rows::default());
}
