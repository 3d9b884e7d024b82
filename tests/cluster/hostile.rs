//! Others write to the same Redis: what is not a node's is dropped and counted; what a node may do there is little.

use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::unique;
use crate::surroundings::redis::command;
use crate::surroundings::{Redis, node, until, watch};

/// What the operator gives the nodes' user: docker/redis.acl, which the documentation shows.
const ACL: &str = include_str!("../../docker/redis.acl");

/// Attack S34: garbage, giants, other versions, lies, forgeries.
#[test]
fn attack_s34_what_is_not_a_nodes_is_dropped_and_counted() {
    let redis = Redis::start();
    let mut options = redis.options();
    options.cluster_secret = "the-secret-of-this-cluster".to_owned();
    let (here, there) = (node(options.clone()), node(options));
    let channel = unique("private-hostile");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "e", "1");
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));

    let topic = format!("mn:{{0}}:t:1:{}:{channel}", MAIN.id);
    let forged = |kind: &str| {
        format!(
            r#"{{"v":1,"n":"x","k":"{kind}","a":"{}","c":"{channel}","e":"e","d":"forged"}}"#,
            MAIN.id
        )
    };
    let signed =
        format!("{},\"mac\":\"{}\"}}", forged("published").trim_end_matches('}'), "0".repeat(64));
    let giant = format!("::{}", "x".repeat((1 << 20) + 1));
    let texts = [
        "garbage".to_owned(),
        "\u{0}\u{1}".to_owned(),
        "::".to_owned(),
        "k3f9:2:{}".to_owned(),
        giant,
        format!("::{}", forged("published")),
        format!("zzzz:1:{}", forged("published")),
        format!("::{}", forged("terminated")),
        format!("::{signed}"),
        format!("::{}", forged("published").replace("\"v\":1", "\"v\":2")),
    ];
    let mut connection = redis.connection();
    for text in &texts {
        let heard: i64 = command(&mut connection, &["PUBLISH", &topic, text]);
        assert_eq!(heard, 1);
    }
    let _: i64 = redis::cmd("PUBLISH").arg(&topic).arg(b"\xff\xfe").query(&mut connection).unwrap();
    let dropped =
        || -> u64 { watch(&there).dropped.by_cause().iter().map(|(_, count)| count).sum() };
    until("all are counted", || dropped() == texts.len() as u64 + 1);
    assert_eq!(watch(&there).dropped.too_large.get(), 1);
    assert!(watch(&there).dropped.forged.get() >= 5);
    here.fence(&channel, &mut [&mut far]);
}

/// Attack S34 where nothing is signed: what is well formed is believed, what is not is dropped.
#[test]
fn attack_s34_without_a_secret_versions_names_and_positions_are_still_checked() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("private-open");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "e", "1");
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    let topic = format!("mn:{{0}}:t:1:{}:{channel}", MAIN.id);
    let envelope = |version: u32, kind: &str, of: &str, event: &str| {
        let app = MAIN.id;
        format!(
            r#"{{"v":{version},"n":"x","k":"{kind}","a":"{app}","c":"{of}","e":"{event}","d":"0"}}"#
        )
    };
    let mut connection = redis.connection();
    for text in [
        format!("::{}", envelope(2, "published", &channel, "e")),
        format!("::{}", envelope(1, "promoted", &channel, "e")),
        format!("::{}", envelope(1, "published", "private-other", "e")),
        format!("::{}", envelope(1, "published", &channel, "pusher:error")),
        format!("liar:1:{}", envelope(1, "published", &channel, "e")),
        format!("liar:18446744073709551615:{}", envelope(1, "published", &channel, "e")),
    ] {
        let _: i64 = command(&mut connection, &["PUBLISH", &topic, &text]);
    }
    let dropped = &watch(&there).dropped;
    until("all are counted", || {
        let counters = [&dropped.version, &dropped.unknown, &dropped.misplaced, &dropped.malformed];
        counters.iter().all(|counter| counter.get() == 1) && dropped.bogus.get() == 2
    });
    here.fence(&channel, &mut [&mut far]);
}

/// Keys that hold what no node writes: who triggers is told so, nothing goes out, and the others are unharmed.
#[test]
fn attack_s34_poisoned_keys_refuse_their_channel_alone() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let (mut far, healthy) = (there.connect(MAIN), unique("healthy"));
    far.subscribe(&healthy);
    for letter in ["m", "h", "c"] {
        let channel = unique("cache-poisoned");
        let key = format!("mn:{{0}}:{letter}:1:{}:{channel}", MAIN.id);
        far.subscribe(&channel);
        far.expect_event("pusher:cache_miss");
        let _: String = redis.command(&["SET", &key, "poison"]);
        let mut api = here.api(MAIN);
        let event =
            |channel: &str, data: &str| json!({"name": "e", "channel": channel, "data": data});
        let refused = api.post("/batch_events", &json!({"batch": [event(&channel, "refused")]}));
        assert_eq!(refused.status, 503);
        assert!(refused.text().contains("the other nodes cannot be reached"), "{}", refused.text());
        // what is taken in part is said to be so
        let batch = [event(&healthy, "alone"), event(&channel, "refused")];
        let partly = api.post("/batch_events", &json!({ "batch": batch }));
        assert_eq!(partly.status, 503);
        assert!(partly.text().contains("did not answer in time"), "{}", partly.text());
        far.expect(json!({"event": "e", "channel": healthy, "data": "alone"}));
        let _: i64 = redis.command(&["DEL", &key]);
        api.trigger(&channel, "e", "1");
        far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
        here.fence(&channel, &mut [&mut far]);
    }
    assert_eq!(watch(&there).lost.get(), 0);
}

/// Nodes of two clusters that share a Redis do not hear each other.
#[test]
fn another_prefix_is_another_cluster() {
    let redis = Redis::start();
    let mut other = redis.options();
    other.prefix = "other:".to_owned();
    let (here, there) = (node(redis.options()), node(other));
    let channel = unique("prefix");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    here.fence(&channel, &mut [&mut near]);
    there.fence(&channel, &mut [&mut far]);
    let keys: Vec<String> = redis.command(&["KEYS", "*"]);
    let is_known = |key: &String| key.starts_with("mn:") || key.starts_with("other:");
    assert!(keys.iter().all(is_known), "{keys:?}");
    let of = |prefix| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!(of("mn:"), of("other:"), "{keys:?}");
}

/// A node with another secret is no node of this cluster, whatever prefix it has.
#[test]
fn another_secret_is_another_cluster() {
    let redis = Redis::start();
    let with = |secret: &str| {
        let mut options = redis.options();
        options.cluster_secret = secret.to_owned();
        node(options)
    };
    let (here, there) = (with("the-secret-of-one-cluster"), with("the-secret-of-the-other"));
    let channel = unique("secret");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    here.fence(&channel, &mut [&mut near]);
    there.fence(&channel, &mut [&mut far]);
    until("they are counted", || {
        watch(&here).dropped.forged.get() > 0 && watch(&there).dropped.forged.get() > 0
    });
}

/// Attack S35: the nodes' user may do what nodes do and nothing else.
#[test]
fn attack_s35_the_nodes_user_can_do_little() {
    let redis = Redis::start();
    let mut admin = redis.connection();
    for line in ACL.lines().filter(|line| line.starts_with("user ")) {
        let line = line.replace("CHANGE-ME", "the-password");
        let rule: Vec<&str> =
            ["ACL", "SETUSER"].into_iter().chain(line.split_whitespace().skip(1)).collect();
        if !line.starts_with("user default") {
            let _: String = command(&mut admin, &rule);
        }
    }
    let mut options = redis.options();
    options.username = "micronotifier".to_owned();
    options.password = "the-password".to_owned();
    let (here, there) = (node(options.clone()), node(options));
    for channel in [unique("acl"), unique("cache-acl")] {
        here.trigger(MAIN, &channel, "e", "1");
        let mut far = there.connect(MAIN);
        far.subscribe(&channel);
        if channel.starts_with("cache") {
            far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
        }
        here.fence(&channel, &mut [&mut far]);
    }
    let mut nodes_own = redis.connection();
    let _: String = command(&mut nodes_own, &["AUTH", "micronotifier", "the-password"]);
    for refused in [
        vec!["FLUSHALL"],
        vec!["CONFIG", "GET", "*"],
        vec!["KEYS", "*"],
        vec!["MODULE", "LIST"],
        vec!["SCRIPT", "FLUSH"],
        vec!["FUNCTION", "FLUSH"],
        vec!["CLIENT", "KILL", "TYPE", "normal"],
        vec!["SWAPDB", "0", "1"],
        vec!["HGETALL", "other"],
        vec!["PUBLISH", "other", "x"],
        vec!["PSUBSCRIBE", "*"],
        vec!["EVAL", "return redis.call('FLUSHALL')", "0"],
        vec!["ACL", "LIST"],
    ] {
        let mut command = redis::cmd(refused[0]);
        command.arg(&refused[1..]);
        let error = command.query::<redis::Value>(&mut nodes_own).unwrap_err();
        let text = error.to_string();
        let is_refused =
            ["permissions", "can't run this command"].iter().any(|no| text.contains(no));
        assert!(is_refused, "{refused:?}: {text}");
    }
}
