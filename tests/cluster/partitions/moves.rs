//! Masters die, hand over and come back, and slots move: channels follow, and others are not disturbed.

use serde_json::json;

use super::{expect_event, get, status};
use crate::support::apps::MAIN;
use crate::surroundings::partitioned::RedisCluster;
use crate::surroundings::{is_whole, node, until, watch};

#[test]
fn a_killed_master_is_replaced_and_the_others_are_not_disturbed() {
    // uncovered slots do not stop the others
    let arguments = ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
    let mut cluster = RedisCluster::start_with(&arguments);
    let replica = cluster.add_replica(0, &arguments);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let dying = cluster.channel_on(0, MAIN, "presence-dying");
    let others = [1, 2].map(|master| cluster.channel_on(master, MAIN, "living"));
    let mut far = there.connect(MAIN);
    let mut quiet = here.connect(MAIN);
    far.join(&dying, "1");
    quiet.join(&dying, "2");
    far.expect_event("pusher_internal:member_added");
    for channel in &others {
        far.subscribe(channel);
    }
    here.fence(&dying, &mut [&mut far, &mut quiet]);

    cluster.masters[0].kill();
    until("the nodes are not ready", || !watch(&here).is_whole() && !watch(&there).is_whole());
    // what spans both is not taken whole, and is said to be so
    assert_eq!(status(&here, &[&others[0], &dying], "both"), 503);
    expect_event(&mut far, &others[0], "both");
    assert_eq!(get(&here, MAIN, "/channels", &[])["partial"], true);
    let mut told = 0;
    until("the nodes are whole", || {
        for channel in &others {
            told += 1;
            assert_eq!(status(&here, &[channel], &told.to_string()), 200);
            expect_event(&mut far, channel, &told.to_string());
        }
        is_whole(&here) && is_whole(&there)
    });
    let role: redis::Value = replica.command(&["ROLE"]);
    assert!(format!("{role:?}").contains("master"), "{role:?}");
    assert_eq!(status(&here, &[&dying], "after"), 200);
    expect_event(&mut far, &dying, "after");
    expect_event(&mut quiet, &dying, "after");
    assert_eq!((watch(&there).lost.get(), watch(&here).lost.get()), (0, 0));
    assert_eq!(watch(&there).epochs.get(), 1, "the order of one channel began anew");
    // nobody was seen to go
    let users = get(&there, MAIN, &format!("/channels/{dying}/users"), &[]);
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
    here.fence(&dying, &mut [&mut far, &mut quiet]);
}

/// As Redis is by default, the whole cluster refuses all until the replica is promoted.
#[test]
fn a_cluster_that_is_down_without_one_master_comes_back() {
    let arguments = ["--cluster-node-timeout", "2000"];
    let mut cluster = RedisCluster::start_with(&arguments);
    let _replica = cluster.add_replica(2, &arguments);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channels = [0, 1, 2].map(|master| cluster.channel_on(master, MAIN, "down"));
    let mut far = there.connect(MAIN);
    for channel in &channels {
        far.subscribe(channel);
        here.trigger(MAIN, channel, "e", "before");
        expect_event(&mut far, channel, "before");
    }
    cluster.masters[2].kill();
    until("the nodes know", || !is_whole(&here) && !is_whole(&there));
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    for channel in &channels {
        here.fence(channel, &mut [&mut far]);
    }
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    assert_eq!(watch(&there).epochs.get(), 1, "one master is another");
}

#[test]
fn a_moved_slot_is_followed_and_nothing_is_told_twice() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let moving = cluster.channel_on(0, MAIN, "moving");
    let room = cluster.channel_on(0, MAIN, "presence-moving");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    for socket in [&mut near, &mut far] {
        socket.subscribe(&moving);
    }
    far.join(&room, "1");
    here.fence(&moving, &mut [&mut near, &mut far]);
    for (from, to) in [(0, 1), (1, 2)] {
        let taken = std::thread::scope(|scope| {
            let (go_on, stop) = std::sync::mpsc::channel::<()>();
            let triggering = scope.spawn({
                let (here, moving) = (&here, &moving);
                move || {
                    let (mut taken, mut number) = (Vec::new(), 0);
                    while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                        number += 1;
                        let text = format!("to {to}: {number}");
                        taken.push((status(here, &[moving], &text) == 200, text));
                    }
                    taken
                }
            });
            cluster.move_channel(&moving, from, to);
            until("events are taken", || status(&here, &[&moving], "between") == 200);
            drop(go_on);
            triggering.join().unwrap()
        });
        assert!(!cluster.keys(&moving)[to].is_empty(), "it is with the new master");
        let end = format!("end {to}");
        until("events are taken", || status(&here, &[&moving], &end) == 200);
        for socket in [&mut near, &mut far] {
            let mut seen = Vec::new();
            while seen.last() != Some(&end) {
                let frame = socket.event();
                assert_eq!(frame["channel"], moving);
                seen.push(frame["data"].as_str().unwrap().to_owned());
            }
            seen.retain(|text| text != "between" && *text != end);
            let expected: Vec<&String> =
                taken.iter().filter(|(taken, _)| *taken).map(|(_, text)| text).collect();
            assert!(
                seen.iter().eq(expected),
                "what was taken, once and in order: {seen:?} {taken:?}"
            );
        }
    }
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    let mut other = here.connect(MAIN);
    other.join(&room, "2");
    far.expect(json!({
        "event": "pusher_internal:member_added", "channel": room,
        "data": {"user_id": "2", "user_info": {}}
    }));
    here.fence(&moving, &mut [&mut near, &mut far]);
}

/// A script finds some of its keys with the one master and some with the other: nothing goes out meanwhile.
#[test]
fn while_a_slot_is_being_moved_its_triggers_are_refused_and_others_are_not() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channel = cluster.channel_on(0, MAIN, "presence-half");
    let other = cluster.channel_on(1, MAIN, "other");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.join(&channel, "1");
    far.join(&channel, "2");
    near.expect_event("pusher_internal:member_added");
    far.subscribe(&other);
    here.trigger(MAIN, &channel, "e", "before");
    expect_event(&mut near, &channel, "before");
    expect_event(&mut far, &channel, "before");
    let beside = cluster.channel_beside(&channel, MAIN, "beside");
    let (mut newcomer, opened) = (there.connect(MAIN), watch(&there).connections.get());
    let half = cluster.begin_move(&channel, 0, 2);
    newcomer.ask_subscribe(&json!({ "channel": beside }));
    for _ in 0..20 {
        assert_eq!(status(&here, &[&channel], "meanwhile"), 503);
        here.trigger(MAIN, &other, "e", "undisturbed");
        expect_event(&mut far, &other, "undisturbed");
    }
    assert_eq!(watch(&there).connections.get(), opened, "who is there already hears on");
    half.finish();
    newcomer.expect_subscribed(&beside);
    until("events are taken", || status(&here, &[&channel], "after") == 200);
    expect_event(&mut near, &channel, "after");
    expect_event(&mut far, &channel, "after");
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    let users = get(&there, MAIN, &format!("/channels/{channel}/users"), &[]);
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
    here.fence(&channel, &mut [&mut near, &mut far]);
}

/// The old master says that it did not take the event, which is sent to the new one then.
#[test]
fn the_first_event_after_a_move_is_taken() {
    let cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channel = cluster.channel_on(0, MAIN, "moved");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "e", "before");
    expect_event(&mut far, &channel, "before");
    for (from, to) in [(0, 1), (1, 2)] {
        cluster.move_channel(&channel, from, to);
        here.trigger(MAIN, &channel, "e", "after");
        expect_event(&mut far, &channel, "after");
    }
    assert_eq!((watch(&here).refused.get(), watch(&there).lost.get()), (0, 0));
}

#[test]
fn a_master_that_hands_over_is_followed_and_nothing_is_lost() {
    let cluster = RedisCluster::start();
    let replica = cluster.add_replica(0, &[]);
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let channel = cluster.channel_on(0, MAIN, "presence-handed");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.join(&channel, "1");
    far.join(&channel, "2");
    near.expect_event("pusher_internal:member_added");
    let _: String = replica.command(&["CLUSTER", "FAILOVER"]);
    let (mut taken, mut number) = (Vec::new(), 0);
    let is_master = || {
        let role: redis::Value = replica.command(&["ROLE"]);
        format!("{role:?}").contains("master")
    };
    let mut trigger = || {
        number += 1;
        let text = format!("number {number}");
        if status(&here, &[&channel], &text) == 200 {
            taken.push(text);
        }
    };
    until("it has handed over", || {
        trigger();
        is_master()
    });
    until("the nodes are whole", || {
        trigger();
        is_whole(&here) && is_whole(&there) && watch(&there).epochs.get() > 0
    });
    assert_eq!(status(&here, &[&channel], "end"), 200);
    for socket in [&mut near, &mut far] {
        let mut seen = Vec::new();
        loop {
            let frame = socket.expect_event("e");
            match frame["data"].as_str().unwrap() {
                "end" => break,
                text => seen.push(text.to_owned()),
            }
        }
        // what got no answer may have been told all the same, but once
        let missing: Vec<_> = taken.iter().filter(|text| !seen.contains(text)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let numbers: Vec<u32> = seen.iter().map(|text| text[7..].parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
    here.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn all_masters_are_killed_and_come_back_empty() {
    let mut cluster = RedisCluster::start();
    let (here, there) = (node(cluster.options()), node(cluster.options()));
    let rooms = [0, 1, 2].map(|master| cluster.channel_on(master, MAIN, "presence-all"));
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    for room in &rooms {
        near.join(room, "1");
        far.join(room, "2");
        near.expect_event("pusher_internal:member_added");
    }
    for master in &mut cluster.masters {
        master.kill();
    }
    until("the nodes know", || !is_whole(&here) && !is_whole(&there));
    assert_eq!(status(&here, &[&rooms[0]], "meanwhile"), 503);
    for master in &mut cluster.masters {
        master.restart();
    }
    until("the nodes are whole", || is_whole(&here) && is_whole(&there));
    for room in &rooms {
        until("all are registered", || {
            let users = get(&there, MAIN, &format!("/channels/{room}/users"), &[]);
            users["users"].as_array().unwrap().len() == 2
        });
        // nobody was seen to go who was there all the time
        here.fence(room, &mut [&mut near, &mut far]);
    }
    assert_eq!((watch(&here).lost.get(), watch(&there).lost.get()), (0, 0));
}
