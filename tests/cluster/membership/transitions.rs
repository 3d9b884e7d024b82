//! Joins, leaves and counts of nodes that are well: one event for each transition, exact limits.

use std::collections::BTreeMap;

use actix_rt::System;
use micronotifier_actors::membership::{MembershipEvent, Outcome};
use micronotifier_actors::protocol::AppId;

use super::node::{Node, Topic, key, key_of, member, options, present};
use super::rows::{lasting_keys, living, rows};
use super::server::{Server, until};

#[test]
fn each_transition_of_a_user_is_told_once_whichever_nodes_the_connections_are_on() {
    let (system, server) = (System::new(), Server::start());
    let (here, there) = (Node::start(&server), Node::start(&server));
    let topic = Topic::listen(&server);
    let key = key("presence-room");
    let (first, admission) = here.join(&key, "7");
    assert_eq!((admission.position.serial, admission.counts.users), (1, 1));
    assert_eq!(admission.roster, Some(vec![member("7")]));
    let (second, admission) = there.join(&key, "7");
    assert_eq!((admission.position.serial, admission.counts.subscriptions), (1, 2));
    let (third, admission) = there.join(&key, "8");
    assert_eq!((admission.position.serial, admission.counts.users), (2, 2));
    assert_eq!(admission.roster.unwrap().len(), 2);
    let roster = system.block_on(here.handle.members(key.clone())).unwrap();
    assert_eq!((roster.position, roster.members.len()), (admission.position, 2));
    here.leave(&key, first, "7");
    here.wait(|event| match event {
        MembershipEvent::Counted { counts, .. } if counts.subscriptions == 2 => Some(()),
        _ => None,
    });
    there.leave(&key, second, "7");
    there.leave(&key, third, "8");
    there.wait_for(&MembershipEvent::Vacated { key: key.clone() });
    let told = topic.rest();
    let kinds: Vec<_> = told.iter().map(|told| (told.kind(), told.user())).collect();
    assert_eq!(kinds, [("joined", "7"), ("joined", "8"), ("left", "7"), ("left", "8")]);
    let serials: Vec<_> = told.iter().map(|told| told.position.1.as_str()).collect();
    assert_eq!(serials, ["1", "2", "3", "4"]);
    assert!(told.iter().all(|told| told.topic == "mn:{0}:t:3:app:presence-room"));
    let mut redis = server.connection();
    assert_eq!(lasting_keys(&mut redis), ["mn:{0}:nodes"]);
}

#[test]
fn the_limit_of_users_is_exact_whoever_comes_at_once() {
    let (_system, server) = (System::new(), Server::start());
    let nodes = [Node::start(&server), Node::start(&server), Node::start(&server)];
    let key = key("presence-full");
    let mut redis = server.connection();
    let wishes: Vec<_> = (0..40)
        .flat_map(|user| nodes.iter().map(move |node| (user, node)))
        .map(|(user, node)| (user, node, node.wish(&key, &format!("u{user}"), 10)))
        .collect();
    let mut admitted: BTreeMap<String, i64> = BTreeMap::new();
    for (user, node, ticket) in wishes {
        match node.answer(ticket) {
            Outcome::Admitted(_) => *admitted.entry(format!("u{user}")).or_default() += 1,
            Outcome::Full => {}
            Outcome::Unavailable => panic!("redis is there"),
        }
    }
    assert_eq!(admitted.len(), 10);
    assert_eq!(rows(&mut redis, &key).users, admitted);
    assert!(nodes[0].answer(nodes[0].wish(&key, "one more", 10)) == Outcome::Full);
    let known = admitted.keys().next().unwrap();
    assert!(matches!(nodes[0].answer(nodes[0].wish(&key, known, 10)), Outcome::Admitted(_)));
}

#[test]
fn counts_of_all_nodes_add_up_and_occupied_and_vacated_are_one_node_s() {
    let (system, server) = (System::new(), Server::start());
    let (here, there) = (Node::start(&server), Node::start(&server));
    let topic = Topic::listen(&server);
    let (news, other) = (key("news"), key_of("other", "news"));
    here.handle.count(news.clone(), 3);
    here.wait_for(&MembershipEvent::Occupied { key: news.clone() });
    there.handle.count(news.clone(), 2);
    let sum = there.wait(|event| match event {
        MembershipEvent::Counted { counts, .. } => Some(counts.subscriptions),
        _ => None,
    });
    assert_eq!(sum, 5);
    there.handle.count(other.clone(), 1);
    there.handle.count(news.clone(), 4);
    until("the refinement was told", || {
        system.block_on(here.handle.describe(news.clone())).unwrap().counts.subscriptions == 7
    });
    let listed = system.block_on(here.handle.occupied(AppId::new("app"), "n", true)).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].0.as_str(), listed[0].1.subscriptions), ("news", 7));
    assert!(
        system.block_on(here.handle.occupied(AppId::new("app"), "*", false)).unwrap().is_empty()
    );
    here.handle.count(news.clone(), 0);
    there.handle.vacate(other.clone());
    there.wait_for(&MembershipEvent::Vacated { key: other.clone() });
    there.handle.vacate(news.clone());
    there.wait_for(&MembershipEvent::Vacated { key: news });
    let told: Vec<_> = topic
        .rest()
        .iter()
        .map(|told| (told.kind().to_owned(), told.envelope["a"].clone()))
        .collect();
    let count =
        |kind: &str, app: &str| told.iter().filter(|(told, of)| told == kind && of == app).count();
    for app in ["app", "other"] {
        assert_eq!((count("occupied", app), count("vacated", app)), (1, 1));
    }
}

#[test]
fn odd_names_stay_apart() {
    let (system, server) = (System::new(), Server::start());
    let node = Node::start(&server);
    let topic = Topic::listen(&server);
    let mut redis = server.connection();
    let users = ["*", "a|b", "|", "{0}", "node.x|y", "\r\n\0", "[a-z]?", "é\u{1F980}", "\\", "'\""];
    let keys = [
        key_of("a", "presence-b"),
        key_of("a:10:presence", "presence-b"),
        key_of("1:a", "presence-b"),
        key_of("*", "presence-;=@,."),
        key_of("{1}", "presence-b"),
    ];
    let mut held = Vec::new();
    for key in &keys {
        for user in users {
            held.push((key, user, node.join(key, user).0));
        }
    }
    for key in &keys {
        assert_eq!(rows(&mut redis, key).users.len(), users.len());
        let listed = system.block_on(node.handle.occupied(key.app.clone(), "presence-", true));
        let listed = listed.unwrap();
        assert_eq!((listed.len(), listed[0].1.users), (1, users.len() as u64));
    }
    // what one node says of odd names, the reaper of another can clear
    let other = Node::start(&server);
    drop(node);
    for _ in &keys {
        other.wait(|event| matches!(event, MembershipEvent::Vacated { .. }).then_some(()));
    }
    until("the dead is forgotten", || lasting_keys(&mut redis) == ["mn:{0}:nodes"]);
    let told = topic.rest();
    assert_eq!(told.iter().filter(|told| told.kind() == "left").count(), held.len());
    for key in &keys {
        let of_app: Vec<_> = told.iter().filter(|told| told.app() == key.app.as_str()).collect();
        assert_eq!(of_app.len(), 2 * users.len());
        assert!(present(of_app, key.channel.as_str()).is_empty());
    }
}

/// The commands that a node needs are those of the documented ACL, which forbids everything else.
#[test]
fn the_documented_acl_suffices() {
    let (system, server) = (System::new(), Server::start());
    let acl = "~mn:* &mn:* -@all +ping +hello +auth +select +client|setname +client|id +subscribe \
               +unsubscribe +unwatch +publish +ssubscribe +sunsubscribe +spublish +@hash +@stream +del +pexpire \
               +eval +evalsha +script|load +info +role +time";
    let mut admin = server.connection();
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("node").arg("on").arg(">a-password");
    command.arg(acl.split_whitespace().collect::<Vec<_>>()).exec(&mut admin).unwrap();
    let user = Some(("node", "a-password"));
    for forbidden in ["FLUSHALL", "CONFIG GET *", "KEYS *", "HGETALL other", "SCRIPT FLUSH"] {
        let mut words = forbidden.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        let mut redis = server.client(user).get_connection().unwrap();
        assert!(command.exec(&mut redis).is_err(), "{forbidden}");
    }
    let (here, there) =
        (Node::start_with(&server, options(), user), Node::start_with(&server, options(), user));
    let room = key("presence-room");
    let (ticket, _) = here.join(&room, "1");
    there.join(&room, "2");
    there.handle.count(key("news"), 1);
    there.wait_for(&MembershipEvent::Occupied { key: key("news") });
    here.leave(&room, ticket, "1");
    assert_eq!(
        system.block_on(here.handle.occupied(AppId::new("app"), "", true)).unwrap().len(),
        2
    );
    until("the other one is left", || {
        system.block_on(here.handle.members(room.clone())).unwrap().members == [member("2")]
    });
    assert_eq!(system.block_on(here.handle.describe(room.clone())).unwrap().counts.users, 1);
    drop(there);
    here.wait_for(&MembershipEvent::Vacated { key: room });
    until("one node is left", || living(&mut admin).len() == 1);
    assert_eq!(here.membership.counters().failures.get(), 0);
}

#[test]
fn each_node_hears_the_connections_of_all_others_under_the_lease() {
    let (_system, server) = (System::new(), Server::start());
    let (here, there) = (Node::start(&server), Node::start(&server));
    let report = |node: &Node, app: &str, count| {
        node.handle.report_connections(vec![(AppId::new(app), count)]);
    };
    let others_are = |node: &Node, app: &str, sum: u64| {
        node.wait(|event| match event {
            MembershipEvent::Connections(all) => {
                let count = all.iter().find(|(named, _)| named.as_str() == app);
                (count.map_or(0, |(_, count)| *count) == sum).then_some(())
            }
            _ => None,
        });
    };
    report(&here, "a", 5);
    report(&there, "a", 7);
    report(&there, "b", 1);
    others_are(&here, "a", 7);
    others_are(&here, "b", 1);
    others_are(&there, "a", 5);
    report(&here, "a", 2);
    others_are(&there, "a", 2);
    drop(there);
    others_are(&here, "a", 0);
    others_are(&here, "b", 0);
}
