//! The operator's listener (checks 121, 122 and 124 as design settles them; S30).

use micronotifier::config::{AdminConfig, Compatibility, ServerConfig};
use micronotifier_actors::bridge::loopback::Hub;
use micronotifier_actors::session::effect::Close;
use serde_json::json;

use crate::support::apps::{COUNTED, MAIN};
use crate::support::http::{Answer, Connection};
use crate::support::stream::Stream;
use crate::support::{Call, DEADLINE, TestNode};

fn node(token: &str) -> TestNode {
    start(token, |_| {})
}

fn start(token: &str, adjust: impl FnOnce(&mut ServerConfig)) -> TestNode {
    TestNode::start(|config| {
        adjust(config);
        config.admin =
            Some(AdminConfig { host: "127.0.0.1".to_owned(), port: 0, token: token.to_owned() });
    })
}

fn get(node: &TestNode, path: &str, headers: &str) -> Answer {
    let address = node.admin.expect("an admin listener");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    Connection::new(Stream::connect(address)).ask(request.as_bytes())
}

/// Reads `/metrics` until it holds a line; fails with the last answer when that takes too long.
fn wait_for(node: &TestNode, line: &str) -> String {
    wait_until(node, line, |told| told == line)
}

fn wait_until(node: &TestNode, what: &str, is_it: impl Fn(&str) -> bool) -> String {
    let begin = std::time::SystemTime::now();
    loop {
        let text = get(node, "/metrics", "").text();
        if text.lines().any(&is_it) {
            return text;
        }
        assert!(begin.elapsed().unwrap() < DEADLINE, "{what}\n{text}");
    }
}

#[test]
fn check_121_health_and_readiness_are_told_to_the_operator() {
    let node = node("");
    for path in ["/health", "/ready"] {
        assert_eq!(get(&node, path, "").status, 200, "{path}");
    }
}

#[test]
fn check_122_metrics_count_what_an_application_does() {
    let node = node("");
    let id = MAIN.id;
    let mut socket = node.connect(MAIN);
    socket.subscribe("c");
    let count = |name: &str, count: u64| format!("micronotifier_{name}{{app_id=\"{id}\"}} {count}");
    let text = wait_for(&node, &count("connections", 1));
    assert!(text.contains("micronotifier_actors{kind=\"channel\"} 1\n"), "{text}");
    assert!(text.contains(&count("messages_received_total", 1)), "{text}");
    // the greeting and the answer to the subscription
    assert!(text.contains(&count("messages_sent_total", 2)), "{text}");

    node.trigger(MAIN, "c", "e", "x");
    socket.expect(json!({"event": "e", "channel": "c", "data": "x"}));
    let text = wait_for(&node, &count("messages_sent_total", 3));
    assert!(text.contains(&count("events_published_total", 1)), "{text}");
    let triggers = format!("micronotifier_triggers_total{{app_id=\"{id}\",status=\"200\"}} 1\n");
    assert!(text.contains(&triggers), "{text}");

    let mut forged = Call::get(MAIN, "/channels");
    forged.app.secret = "guess";
    node.api(MAIN).call(&forged).error(401);
    let text = wait_for(&node, &count("signature_failures_total", 1));
    let refused = format!("micronotifier_queries_total{{app_id=\"{id}\",status=\"401\"}} 1\n");
    assert!(text.contains(&refused), "{text}");

    drop(socket);
    let text = wait_for(&node, &count("connections", 0));
    assert!(text.contains(&count("connections_closed_total", 1)), "{text}");
    wait_for(&node, "micronotifier_actors{kind=\"channel\"} 0");
}

#[test]
fn check_122_how_late_the_event_loops_were_is_told() {
    wait_until(&node(""), "a tick of a worker", |told| {
        told.strip_prefix("micronotifier_worker_loop_lag_seconds_count ")
            .is_some_and(|count| count != "0")
    });
}

#[test]
fn tables_tell_what_they_hold_and_are_empty_when_everybody_has_gone() {
    let node = node("");
    let entries = |table: &str, count: u64| {
        format!("micronotifier_table_entries{{table=\"{table}\"}} {count}")
    };
    let mut sockets = [node.connect(MAIN), node.connect(MAIN)];
    for socket in &mut sockets {
        socket.subscribe("shared");
    }
    sockets[0].subscribe("own");
    for (table, count) in [("subscriptions", 3), ("channels", 2), ("seats", 2), ("sockets", 2)] {
        wait_for(&node, &entries(table, count));
    }
    let text = get(&node, "/metrics", "").text();
    assert!(!text.lines().any(|line| line == entries("deadlines", 0)), "{text}");

    drop(sockets);
    let tables = ["seats", "sockets", "audiences", "subscriptions", "watched_sockets", "channels"];
    for table in tables {
        wait_for(&node, &entries(table, 0));
    }
    wait_for(&node, "micronotifier_outbox_bytes 0");
}

#[test]
fn check_122_soketi_names_are_told_on_both_ports_in_its_mode() {
    let node = start("", |config| {
        config.edge.compatibility = Compatibility::Soketi;
    });
    let _socket = node.connect(MAIN);
    wait_for(&node, &format!("micronotifier_connections{{app_id=\"{}\"}} 1", MAIN.id));
    let request = b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n";
    let public = Connection::new(node.stream()).ask(request);
    let labels = format!("{{app_id=\"{}\",port=\"{}\"}}", MAIN.id, node.address().port());
    for text in [public.text(), get(&node, "/metrics", "").text()] {
        for (name, count) in [
            ("connected", 1),
            ("new_connections_total", 1),
            ("new_disconnections_total", 0),
            ("ws_messages_sent_total", 1),
            ("ws_messages_received_total", 0),
            ("socket_received_bytes", 0),
            ("http_calls_received_total", 0),
        ] {
            let line = format!("soketi_{name}{labels} {count}");
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        assert!(text.contains("soketi_process_resident_memory_bytes "), "{text}");
    }
    assert!(!public.text().contains("micronotifier_"), "{}", public.text());
}

#[test]
fn check_124_applications_are_listed_to_the_operator() {
    let node = node("");
    let body = get(&node, "/apps", "").json();
    let listed = body["applications"].as_array().expect("a list");
    let ids: Vec<_> = listed[..2].iter().map(|app| app["id"].clone()).collect();
    assert_eq!(ids, [json!(MAIN.id), json!(COUNTED.id)]);
    let secret = listed.iter().any(|app| app.to_string().contains(MAIN.secret));
    assert!(!secret, "{body}");
}

#[test]
fn the_cluster_is_told_by_a_node_that_is_one_of_several() {
    let node = TestNode::start_on(&Hub::default(), |config| {
        let host = "127.0.0.1".to_owned();
        config.admin = Some(AdminConfig { host, port: 0, token: String::new() });
    });
    let expected = json!({
        "bridge_whole": true, "probe_seconds": 0.0, "followed_channels": 0, "holes": 0, "lost": 0,
        "membership_reachable": null, "lease_age_seconds": null,
    });
    assert_eq!(get(&node, "/apps", "").json()["cluster"], expected);
    node.handle().shut(Close { code: 1001, reason: "" });
    let told = get(&node, "/apps", "").json();
    assert_eq!(told["node"]["reasons"], json!(["shutting down"]));
    assert_eq!(told["node"]["ready"], false);
}

#[test]
fn a_name_led_to_this_address_is_not_answered() {
    let node = node("");
    let address = node.admin.expect("an admin listener");
    let request = b"GET /apps HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let answer = Connection::new(Stream::connect(address)).ask(request);
    answer.error(403);
    get(&node, "/apps", "Origin: http://evil.example\r\n").error(403);
}

#[test]
fn a_token_is_asked_for_where_one_is_configured() {
    let node = node("token-of-the-operator");
    for headers in ["", "Authorization: Bearer wrong\r\n", "Authorization: Bearer \r\n"] {
        assert_eq!(get(&node, "/metrics", headers).status, 401, "{headers}");
    }
    let right = "Authorization: Bearer token-of-the-operator\r\n";
    assert_eq!(get(&node, "/metrics", right).status, 200);
}

#[test]
fn attack_s30_clients_are_not_served_on_the_admin_port() {
    let node = node("");
    assert_eq!(get(&node, "/app/k?protocol=7", "").status, 404);
    assert_eq!(get(&node, "/apps/3/channels", "").status, 404);
}
