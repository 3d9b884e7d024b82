//! Starting a node: what a wrong configuration is told, and that an absent Redis is waited for.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use micronotifier_actors::redis::RedisOptions;

use crate::support::TestNode;
use crate::support::apps::MAIN;
use crate::support::process::free_port;
use crate::surroundings::redis::{command, local};
use crate::surroundings::{Redis, refusal, until, watch};

/// Attack S36: a wrong password is an error, and so is none.
#[test]
fn attack_s36_a_wrong_password_is_named() {
    let redis = Redis::start_with(&["--requirepass", "right"]);
    let mut options = redis.options();
    options.password = "wrong".to_owned();
    let text = refusal(options.clone());
    assert!(text.contains(&format!("127.0.0.1:{}", redis.port())), "{text}");
    assert!(!text.contains("wrong"), "{text}");
    assert!(text.ends_with("check redis.username and redis.password"), "{text}");
    options.password = String::new();
    let text = refusal(options);
    assert!(text.ends_with("asks for a password: set redis.password-file"), "{text}");
}

#[test]
fn a_wrong_database_is_named() {
    let redis = Redis::start();
    let mut options = redis.options();
    options.database = 99;
    let text = refusal(options);
    let expected = "redis.database: 99 is not there (DB index is out of range)";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn what_is_not_redis_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 16];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let text = refusal(RedisOptions::single(local(port)));
    assert!(text.contains("not Redis"), "{text}");
}

#[test]
fn an_absent_redis_is_waited_for() {
    let port = free_port();
    let options = RedisOptions::single(local(port));
    let node = TestNode::start(|config| config.redis = Some(options));
    assert!(!watch(&node).is_whole());
    let body = serde_json::json!({"name": "e", "channels": ["absent"], "data": "1"});
    assert_eq!(node.api(MAIN).post("/events", &body).status, 503);
    let _redis = Redis::start_on(port, &[]);
    until("the bridge is whole", || watch(&node).is_whole());
    node.trigger(MAIN, "absent", "e", "1");
}

/// Whatever a server says that passes by itself is no mistake of the configuration.
#[test]
fn a_redis_that_has_no_room_or_time_is_waited_for() {
    let redis = Redis::start_with(&["--busy-reply-threshold", "10"]);
    let mut operator = redis.connection();
    let start = || {
        let options = redis.options();
        let node = TestNode::start(|config| config.redis = Some(options));
        assert!(!watch(&node).is_whole());
        node
    };
    let _: String = command(&mut operator, &["CONFIG", "SET", "maxclients", "1"]);
    let node = start();
    let _: String = command(&mut operator, &["CONFIG", "SET", "maxclients", "100"]);
    until("there is room", || watch(&node).is_whole());
    drop(node);
    let mut busy = redis.connection();
    let spinning = std::thread::spawn(move || {
        let mut forever = redis::cmd("EVAL");
        forever.arg("while true do end").arg(0).query::<redis::Value>(&mut busy).unwrap_err()
    });
    until("it is busy", || redis::cmd("ROLE").query::<redis::Value>(&mut operator).is_err());
    let node = start();
    let _: String = command(&mut operator, &["SCRIPT", "KILL"]);
    assert!(spinning.join().unwrap().to_string().contains("killed"));
    until("there is time", || watch(&node).is_whole());
    node.trigger(MAIN, "room", "e", "1");
}

#[test]
fn a_node_that_ends_leaves_no_connection_behind() {
    let redis = Redis::start();
    let node = crate::surroundings::node(redis.options());
    let connected = || redis.command::<String>(&["CLIENT", "LIST"]).lines().count();
    until("two are the bridge's, two the membership's, one is the test's", || connected() == 5);
    drop(node);
    until("the node's are closed", || connected() == 1);
}
