//! What stands in Redis, read past the scripts.

use std::collections::{BTreeMap, BTreeSet};

use micronotifier_actors::protocol::ChannelKey;
use redis::{Commands as _, Connection};

/// Everything that membership keeps of a channel.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    /// Connections by user.
    pub(crate) users: Hash<i64>,
    /// Subscriptions in all; 0 = not occupied.
    pub(crate) subscriptions: i64,
}

type Hash<T> = BTreeMap<String, T>;
/// Users, infos, rows, nodes, and what the list says.
type Read = (Hash<i64>, Hash<String>, Hash<i64>, Hash<i64>, Option<i64>);

/// Returns the name of what is kept of a channel under that letter.
pub(crate) fn name(letter: char, key: &ChannelKey) -> String {
    let app = key.app.as_str();
    format!("mn:{{0}}:{letter}:{}:{app}:{}", app.len(), key.channel)
}

/// Reads the rows of a channel, and checks that all of them say the same.
pub(crate) fn rows(redis: &mut Connection, key: &ChannelKey) -> Rows {
    let mut read = redis::pipe();
    read.atomic();
    for letter in ['u', 'i', 'w', 'n'] {
        read.hgetall(name(letter, key));
    }
    read.hget(format!("mn:{{0}}:l:{}", key.app), key.channel.as_str());
    let (users, infos, by_node, nodes, listed): Read = read.query(redis).unwrap();
    let told: BTreeSet<_> = infos.into_keys().collect();
    assert_eq!(users.keys().cloned().collect::<BTreeSet<_>>(), told);
    let mut summed: Hash<i64> = BTreeMap::new();
    for (row, connections) in &by_node {
        let (_, user) = row.split_once('|').unwrap();
        *summed.entry(user.to_owned()).or_default() += connections;
    }
    assert_eq!(users, summed);
    let subscriptions = listed.unwrap_or_default();
    assert_eq!(nodes.values().sum::<i64>(), subscriptions);
    assert!(users.is_empty() || users.values().sum::<i64>() == subscriptions);
    Rows { users, subscriptions }
}

/// Returns the users of a channel by their names, also where Redis has no room for a transaction.
pub(crate) fn users(redis: &mut Connection, key: &ChannelKey) -> Vec<String> {
    let mut users: Vec<String> = redis.hkeys(name('u', key)).unwrap();
    users.sort_unstable();
    users
}

/// Returns the incarnations that live.
pub(crate) fn living(redis: &mut Connection) -> BTreeSet<String> {
    redis.hkeys::<_, Vec<String>>("mn:{0}:nodes").unwrap().into_iter().collect()
}

/// Returns the names of all keys but those of positions and histories, which end by themselves.
pub(crate) fn lasting_keys(redis: &mut Connection) -> Vec<String> {
    let all: Vec<String> = redis.keys("*").unwrap();
    let passing = |key: &String| key.starts_with("mn:{0}:m:") || key.starts_with("mn:{0}:h:");
    all.into_iter().filter(|key| !passing(key)).collect()
}
