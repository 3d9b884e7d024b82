//! What `/metrics` tells equals what is counted anew, after any churn.

use std::collections::HashMap;

use micronotifier::config::{AdminConfig, ServerConfig};
use serde_json::json;

use crate::support::apps::{MAIN, PLAIN};
use crate::support::http::Connection;
use crate::support::socket::target;
use crate::support::stream::Stream;
use crate::support::{Socket, TestNode, eventually};

/// Rounds of coming, talking and going.
const ROUNDS: u32 = 8;

fn node() -> TestNode {
    node_with(|_| {})
}

fn node_with(adjust: impl FnOnce(&mut ServerConfig)) -> TestNode {
    TestNode::start(|config| {
        adjust(config);
        config.admin =
            Some(AdminConfig { host: "127.0.0.1".to_owned(), port: 0, token: String::new() });
    })
}

/// All numbers of `/metrics`, by name and labels.
struct Figures(HashMap<String, f64>);

impl Figures {
    fn read(node: &TestNode) -> Self {
        let address = node.admin.expect("an admin listener");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let text = Connection::new(Stream::connect(address)).ask(request.as_bytes()).text();
        let numbers = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, number) = line.rsplit_once(' ').expect("a name and a number");
            (name.to_owned(), number.parse().expect("a number"))
        });
        Self(numbers.collect())
    }

    fn of(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Sums all numbers of a family whose labels hold a text.
    fn sum(&self, family: &str, label: &str) -> f64 {
        let begin = format!("{family}{{");
        let fits = |name: &&String| name.starts_with(&begin) && name.contains(label);
        self.0.iter().filter(|(name, _)| fits(name)).map(|(_, number)| number).sum()
    }
}

/// Waits until every number is as expected.
fn expect_figures(node: &TestNode, expected: &[(&str, &str, u32)]) {
    let mut told = Vec::new();
    let mut wrong = || {
        let figures = Figures::read(node);
        told.clear();
        for (family, label, count) in expected {
            let found = figures.sum(family, label);
            if (found - f64::from(*count)).abs() > 0.1 {
                told.push(format!("{family} {label}: {found}, not {count}"));
            }
        }
        told.clone()
    };
    let mut last = wrong();
    let begin = std::time::SystemTime::now();
    while !last.is_empty() {
        assert!(begin.elapsed().unwrap() < crate::support::DEADLINE, "{last:#?}");
        last = wrong();
    }
}

/// One round: three connections come, talk, and two of them go, one without a word.
fn churn(node: &TestNode, round: u32) -> Socket {
    let mut stays = node.connect(MAIN);
    stays.subscribe("hall");
    stays.join("presence-hall", &format!("user-{round}"));
    let mut talks = node.connect(MAIN);
    talks.subscribe("hall");
    talks.subscribe(&format!("private-room-{round}"));
    talks.whisper(&format!("private-room-{round}"), "client-hello", &json!({"round": round}));
    talks.sign_in(&format!("signed-{round}"));
    let mut other = node.connect(PLAIN);
    other.subscribe(&format!("cache-{round}"));
    other.expect_event("pusher:cache_miss");
    other.unsubscribe(&format!("cache-{round}"));
    other.subscribe("hall");
    node.trigger(MAIN, "hall", "e", "x");
    talks.cut();
    other.close();
    stays
}

#[test]
fn gauges_equal_a_recount_after_churn() {
    let node = node();
    let mut stay: Vec<_> = (0..ROUNDS).map(|round| churn(&node, round)).collect();
    let (main, plain) = (format!("app_id=\"{}\"", MAIN.id), format!("app_id=\"{}\"", PLAIN.id));
    let public = format!("{main},channel_kind=\"public\"");
    let presence = format!("{main},channel_kind=\"presence\"");
    let rest = [
        ("micronotifier_connections", plain.as_str(), 0),
        ("micronotifier_subscriptions", plain.as_str(), 0),
        ("micronotifier_mailbox_depth", "", 0),
        ("micronotifier_mailbox_messages_undeliverable_total", "", 0),
        ("micronotifier_queue_places_taken", "", 0),
        ("micronotifier_queue_refusals_total", "", 0),
        ("micronotifier_connections_refused_total", "", 0),
        ("micronotifier_actor_panics_total", "", 0),
        ("micronotifier_actors_ended_total", "panicked", 0),
        ("micronotifier_actors_ended_total", "evicted", 0),
        ("micronotifier_client_events_total", "", ROUNDS),
        ("micronotifier_mailbox_messages_total", "kind=\"channel\",message=\"whisper\"", ROUNDS),
    ];
    let gone = 2 * ROUNDS;
    let ended = ("micronotifier_actors_ended_total", "kind=\"session\"");
    let closed = ("micronotifier_connections_closed_total", "");
    let sockets = ("micronotifier_actors", "kind=\"session\"");
    let channels = ("micronotifier_actors", "kind=\"channel\"");
    let mut now = rest.to_vec();
    now.extend([
        (ended.0, ended.1, gone),
        (closed.0, closed.1, gone),
        (sockets.0, sockets.1, ROUNDS),
        (channels.0, channels.1, 2),
        ("micronotifier_connections", main.as_str(), ROUNDS),
        ("micronotifier_subscriptions", public.as_str(), ROUNDS),
        ("micronotifier_subscriptions", presence.as_str(), ROUNDS),
        ("micronotifier_subscriptions", main.as_str(), 2 * ROUNDS),
    ]);
    expect_figures(&node, &now);

    stay.clear();
    let mut empty = rest.to_vec();
    empty.extend([
        (ended.0, ended.1, 3 * ROUNDS),
        (closed.0, closed.1, 3 * ROUNDS),
        (sockets.0, sockets.1, 0),
        (channels.0, channels.1, 0),
        ("micronotifier_connections", "", 0),
        ("micronotifier_subscriptions", "", 0),
    ]);
    // ticks may go unread with a session; nobody else ends before all is read
    for kind in ["channel", "courier", "registry", "users"] {
        empty.push(("micronotifier_mailbox_messages_dropped_total", kind, 0));
    }
    // but for the moments at which those who have gone wanted to be woken
    for table in [
        "seats",
        "sockets",
        "audiences",
        "subscriptions\"",
        "watched_sockets",
        "channels",
        "signed_in",
        "table=\"users",
        "watched_users",
        "idempotency_keys",
    ] {
        empty.push(("micronotifier_table_entries", table, 0));
    }
    expect_figures(&node, &empty);
    let figures = Figures::read(&node);
    let retired = figures.sum("micronotifier_actors_ended_total", "kind=\"channel\"");
    let messages = figures.sum("micronotifier_mailbox_messages_total", "message=\"retire\"");
    assert!((retired - messages).abs() < 0.1, "{retired} ended, {messages} were told to");
    for kind in ["session", "channel", "courier", "registry", "users"] {
        let label = format!("{{kind=\"{kind}\"}}");
        let waited = figures.of(&format!("micronotifier_mailbox_wait_seconds_count{label}"));
        let handled = figures.of(&format!("micronotifier_mailbox_handling_seconds_count{label}"));
        assert!((waited - handled).abs() < 0.1, "{kind}: {waited} waited, {handled} were handled");
        assert!(kind == "session" || handled > 0.0, "{kind}: none was timed");
        let highest =
            figures.sum("micronotifier_mailbox_depth_highest", &label[1..label.len() - 1]);
        assert!(kind == "session" || highest > 0.0, "{kind}: nothing ever waited");
    }
}

#[test]
fn a_client_that_does_not_read_ends_as_evicted() {
    let node = node();
    let stream = Stream::connect_narrow(node.address(), 4096);
    let mut slow = Socket::upgrade(stream, &target(MAIN), &[]);
    slow.app = MAIN;
    slow.established();
    slow.subscribe("flood");
    let mut api = node.api(MAIN);
    let data = "x".repeat(10_000);
    eventually("the client is closed", || {
        api.trigger("flood", "e", &data);
        Figures::read(&node)
            .of("micronotifier_actors_ended_total{kind=\"session\",cause=\"evicted\"}")
            > 0.0
    });
    expect_figures(
        &node,
        &[
            ("micronotifier_actors_ended_total", "kind=\"session\"", 1),
            ("micronotifier_connections_evicted_total", "", 1),
            ("micronotifier_mailbox_depth", "", 0),
        ],
    );
}

#[test]
fn mailboxes_that_are_not_measured_are_left_out_and_all_else_is_told() {
    let node = node_with(|config| config.node.mailbox_metrics = false);
    let mut stay: Vec<_> = (0..2).map(|round| churn(&node, round)).collect();
    for socket in &mut stay {
        socket.expect_event("e");
    }
    expect_figures(
        &node,
        &[
            ("micronotifier_connections", "", 2),
            ("micronotifier_actors", "kind=\"session\"", 2),
            ("micronotifier_actors", "kind=\"channel\"", 2),
            ("micronotifier_actors_ended_total", "kind=\"session\"", 4),
            ("micronotifier_actor_panics_total", "", 0),
            ("micronotifier_queue_places_taken", "", 0),
        ],
    );
    let figures = Figures::read(&node);
    let told: Vec<_> = figures.0.keys().filter(|name| name.contains("_mailbox_")).collect();
    assert!(told.is_empty(), "{told:?}");
    for worker in 0..2 {
        let lag = format!("micronotifier_worker_loop_lag_seconds_count{{worker=\"{worker}\"}}");
        figures.of(&lag);
    }
}

#[test]
fn clients_that_are_sent_away_are_counted_by_cause() {
    let node = node_with(|config| config.node.limits.max_connections = Some(1));
    let first = node.connect(MAIN);
    let refused = Socket::try_upgrade(node.stream(), &target(MAIN), &[]);
    assert_eq!(refused.expect_err("503").status, 503);
    first.close();
    eventually("a place is free", || {
        Socket::try_upgrade(node.stream(), "/app/guess?protocol=7", &[]).is_ok()
    });
    let figures = Figures::read(&node);
    let of = |cause| {
        figures.of(&format!("micronotifier_connections_refused_total{{cause=\"{cause}\"}}"))
    };
    assert!(of("node_full") >= 1.0);
    assert!((of("unknown_app") - 1.0).abs() < 0.1);
    assert!(of("address_full") + of("too_fast") + of("app_full") + of("not_serving") < 0.1);
}
