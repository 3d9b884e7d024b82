//! Random joins, leaves, counts and crashes on three nodes against a simple oracle.

use std::collections::BTreeMap;

use actix_rt::System;
use micronotifier_actors::membership::{MembershipEvent, Ticket};

use super::node::{Node, Told, Topic, key, present};
use super::rows::{Rows, lasting_keys, rows};
use super::server::{Server, until};

const CHANNELS: [&str; 2] = ["presence-a", "presence-b"];
const USERS: [&str; 3] = ["1", "2", "3"];

/// A small generator of its own: the seed is all that a failure needs.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// What one node holds, as its clients know it.
#[derive(Default)]
struct Held {
    members: Vec<(usize, usize, Ticket)>,
    news: u64,
}

fn run(seed: u64, steps: usize) {
    let (_system, server) = (System::new(), Server::start());
    let mut redis = server.connection();
    let topic = Topic::listen(&server);
    let mut random = Random(seed);
    let mut nodes: Vec<(Node, Held)> =
        (0..3).map(|_| (Node::start(&server), Held::default())).collect();
    for _ in 0..steps {
        let index = random.below(nodes.len());
        let (node, held) = &mut nodes[index];
        match random.below(20) {
            0 => nodes[index] = (Node::start(&server), Held::default()),
            1..=9 => {
                let (channel, user) = (random.below(2), random.below(3));
                let (ticket, _) = node.join(&key(CHANNELS[channel]), USERS[user]);
                held.members.push((channel, user, ticket));
            }
            10..=16 if !held.members.is_empty() => {
                let (channel, user, ticket) =
                    held.members.swap_remove(random.below(held.members.len()));
                node.leave(&key(CHANNELS[channel]), ticket, USERS[user]);
            }
            _ => {
                held.news = random.below(4) as u64;
                node.handle.count(key("news"), held.news);
            }
        }
    }
    for (index, channel) in CHANNELS.iter().enumerate() {
        let mut users: BTreeMap<String, i64> = BTreeMap::new();
        let held = nodes.iter().flat_map(|(_, held)| &held.members);
        for (_, user, _) in held.filter(|(channel, ..)| *channel == index) {
            *users.entry(USERS[*user].to_owned()).or_default() += 1;
        }
        let expected = Rows { subscriptions: users.values().sum(), users };
        until(&format!("seed {seed}: {channel} is {expected:?}"), || {
            rows(&mut redis, &key(channel)) == expected
        });
    }
    let news: u64 = nodes.iter().map(|(_, held)| held.news).sum();
    until(&format!("seed {seed}: news has {news}"), || {
        rows(&mut redis, &key("news")).subscriptions.cast_unsigned() == news
    });
    // then everybody goes, and one is left to clear
    let last = Node::start(&server);
    last.join(&key("presence-last"), "1");
    drop(nodes);
    until(&format!("seed {seed}: only one is left"), || {
        let keys = lasting_keys(&mut redis);
        keys.iter().filter(|key| key.contains("node:")).count() == 1
            && rows(&mut redis, &key("news")).subscriptions == 0
    });
    last.handle.vacate(key("presence-last"));
    last.wait_for(&MembershipEvent::Vacated { key: key("presence-last") });
    let told = topic.rest();
    for channel in CHANNELS {
        assert!(present(&told, channel).is_empty(), "seed {seed}");
    }
    let turns = told.iter().filter(|told| told.channel() == "news").map(Told::kind);
    let turns: Vec<_> = turns.collect();
    for (index, turn) in turns.iter().enumerate() {
        assert_eq!(*turn, ["occupied", "vacated"][index % 2], "seed {seed}");
    }
    assert_eq!(turns.len() % 2, 0);
}

#[test]
fn rows_equal_the_oracle_and_events_take_turns() {
    for seed in 1..=6 {
        run(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed), 120);
    }
}
