//! `GET /tap` and `micronotifier tap`: what passes through a node, seen by those who look on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use micronotifier::config::{AdminConfig, ServerConfig};
use micronotifier_actors::bridge::loopback::Hub;
use micronotifier_actors::tap::{Details, Kind};
use serde_json::{Value, json};

use crate::support::apps::{COUNTED, DISABLED, MAIN, ORIGINS, QUOTA, TLS_ONLY, TestApp};
use crate::support::http::{Answer, Connection};
use crate::support::socket::target;
use crate::support::stream::Stream;
use crate::support::{Call, Socket, TestNode, eventually};

const TOKEN: &str = "token-of-the-operator";

fn with_admin(token: &str) -> impl FnOnce(&mut ServerConfig) {
    let token = token.to_owned();
    move |config| {
        config.admin = Some(AdminConfig { host: "127.0.0.1".to_owned(), port: 0, token });
    }
}

/// Somebody who looks on.
struct Onlooker(BufReader<Stream>);

impl Onlooker {
    fn new(node: &TestNode, query: &str) -> Self {
        let address = node.admin.expect("an admin listener");
        let mut stream = Stream::connect(address);
        let request = format!("GET /tap?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut onlooker = Self(BufReader::new(stream));
        assert_eq!(onlooker.line(), "HTTP/1.1 200 OK");
        while !onlooker.line().starts_with(": looking on") {}
        onlooker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the tap has ended");
        line.trim_end().to_owned()
    }

    /// Returns what passes next, without its time.
    fn next(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                let mut seen: Value = serde_json::from_str(data).unwrap();
                assert!(seen["at"].as_u64().unwrap() > 1_700_000_000_000, "{seen}");
                seen.as_object_mut().unwrap().remove("at");
                return seen;
            }
        }
    }
}

fn get(node: &TestNode, path: &str, headers: &str) -> Answer {
    let address = node.admin.expect("an admin listener");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    Connection::new(Stream::connect(address)).ask(request.as_bytes())
}

#[test]
fn everything_that_passes_is_seen_in_its_order() {
    let node = TestNode::start(with_admin(""));
    let mut onlooker = Onlooker::new(&node, "");
    let app = MAIN.id;

    let mut ann = node.connect(MAIN);
    let seen = onlooker.next();
    let socket = seen["socket"].as_str().unwrap().to_owned();
    assert_eq!(seen, json!({"type": "connection", "app": app, "socket": socket}));
    let (ann_id, channel) = (socket, "private-c");
    ann.subscribe(channel);
    let joined = |kind: &str, socket: &str, count: u64| json!({"type": kind, "app": app, "channel": channel, "socket": socket, "subscribers": count});
    assert_eq!(onlooker.next(), joined("subscription", &ann_id, 1));

    let mut bob = node.connect(MAIN);
    let bob_id = onlooker.next()["socket"].as_str().unwrap().to_owned();
    bob.subscribe(channel);
    assert_eq!(onlooker.next(), joined("subscription", &bob_id, 2));

    node.trigger(MAIN, channel, "e", "secret data");
    let event = json!({"type": "event", "app": app, "channel": channel, "event": "e", "bytes": 11});
    assert_eq!(onlooker.next(), event);
    let mut delivery = event;
    delivery["type"] = json!("delivery");
    delivery["subscribers"] = json!(2);
    assert_eq!(onlooker.next(), delivery);

    ann.whisper(channel, "client-e", &json!("hi"));
    let whisper = json!({
        "type": "client-event", "app": app, "channel": channel, "event": "client-e", "bytes": 2,
        "socket": ann_id, "subscribers": 1,
    });
    assert_eq!(onlooker.next(), whisper);

    for frame in ["e", "client-e"] {
        bob.expect_event(frame);
    }
    ann.unsubscribe(channel);
    assert_eq!(onlooker.next(), joined("unsubscription", &ann_id, 1));
    bob.close();
    let gone = [onlooker.next(), onlooker.next()];
    let ended = json!({"type": "disconnection", "app": app, "socket": bob_id, "code": 1000});
    assert!(gone.contains(&ended), "{gone:?}");
    assert!(gone.contains(&joined("unsubscription", &bob_id, 0)), "{gone:?}");
}

#[test]
fn errors_are_seen_without_what_was_signed() {
    let node = TestNode::start(with_admin(""));
    let mut onlooker = Onlooker::new(&node, "type=error");
    let mut socket = node.connect(MAIN);
    socket.ask_subscribe(&json!({"channel": "private-x", "auth": format!("{}:wrong", MAIN.key)}));
    let seen = onlooker.next();
    assert_eq!((&seen["channel"], &seen["app"]), (&json!("private-x"), &json!(MAIN.id)));
    assert!(seen["code"] == 401 && !seen.to_string().contains("wrong"), "{seen}");
    // the client is told a second time, by an error of the connection
    let seen = onlooker.next();
    assert_eq!(seen["text"], "Invalid signature");
    assert!(seen["socket"].is_string(), "{seen}");

    let mut forged = Call::get(MAIN, "/channels");
    forged.app.secret = "guess";
    node.api(MAIN).call(&forged).error(401);
    let seen = onlooker.next();
    let expected =
        json!({"type": "error", "app": MAIN.id, "code": 401, "text": "Invalid signature"});
    assert_eq!(seen, expected);

    let nobody = TestApp { key: "nobody", ..MAIN };
    node.upgrade(&target(nobody)).expect_rejection(4001);
    let seen = onlooker.next();
    assert_eq!((&seen["code"], seen.get("app")), (&json!(4001), None));
}

#[test]
fn who_is_refused_is_seen_under_the_application_that_it_wanted() {
    let node = TestNode::start(with_admin(""));
    let _filled = [node.connect(QUOTA), node.connect(QUOTA)];
    for (app, code) in [(DISABLED, 4003), (TLS_ONLY, 4000), (ORIGINS, 4009), (QUOTA, 4004)] {
        let mut onlooker = Onlooker::new(&node, &format!("app={}", app.id));
        let foreign = [("Origin", "https://evil.example")];
        Socket::upgrade(node.stream(), &target(app), &foreign).expect_rejection(code);
        let seen = onlooker.next();
        let told = (&seen["type"], &seen["app"], &seen["code"]);
        assert_eq!(told, (&json!("error"), &json!(app.id), &json!(code)));
    }
}

#[test]
fn what_the_node_tells_of_its_own_accord_is_seen() {
    let node = TestNode::start(|config| {
        with_admin("")(config);
        config.node.limits.events_in_flight = 0;
    });
    let mut ann = node.connect(MAIN);
    let mut onlooker = Onlooker::new(&node, "type=error");
    ann.subscribe("private-c");
    ann.whisper("private-c", "client-e", &json!("hi"));
    let seen = onlooker.next();
    assert_eq!(seen["text"], "Client event rejected: the node is busy", "{seen}");
    assert!(seen["socket"].is_string(), "{seen}");
    ann.expect_event("pusher:error");

    let body = r#"{"name":"e","channel":"c","data":"x"}"#;
    let length = body.len();
    let address = node.admin.expect("an admin listener");
    let request = format!(
        "POST /events?app={} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        MAIN.id
    );
    let answer = Connection::new(Stream::connect(address)).ask(request.as_bytes());
    let seen = onlooker.next();
    assert_eq!((&seen["app"], &seen["code"]), (&json!(MAIN.id), &json!(answer.status)));
    assert!(answer.status >= 400, "{}", answer.status);

    ann.sign_in("ann");
    node.api(MAIN).post("/users/ann/terminate_connections", &json!({}));
    let seen = onlooker.next();
    assert_eq!((&seen["code"], &seen["channel"]), (&json!(4009), &json!("#server-to-user-ann")));
    assert_eq!(seen["text"], "You got disconnected by the app.");
}

#[test]
fn data_is_seen_where_the_application_shows_it() {
    let node = TestNode::start(with_admin(""));
    let query = format!("app={}&channel=shown-*&type=delivery,event", COUNTED.id);
    let mut onlooker = Onlooker::new(&node, &query);
    node.trigger(MAIN, "shown-a", "e", "of another application");
    node.trigger(COUNTED, "other", "e", "of another channel");
    node.trigger(COUNTED, "shown-a", "e", "{\"a\":1}");
    let seen = onlooker.next();
    assert_eq!((&seen["type"], &seen["data"]), (&json!("event"), &json!("{\"a\":1}")));
}

#[test]
fn a_node_shows_what_others_have_it_deliver() {
    let hub = Hub::default();
    let there = TestNode::start_on(&hub, |_| {});
    let here = TestNode::start_on(&hub, with_admin(""));
    let mut socket = here.connect(MAIN);
    socket.subscribe("c");
    let mut onlooker = Onlooker::new(&here, "type=event,delivery");
    there.trigger(MAIN, "c", "e", "x");
    socket.expect_event("e");
    let seen = onlooker.next();
    assert_eq!((&seen["type"], &seen["subscribers"]), (&json!("delivery"), &json!(1)));
}

#[test]
fn who_may_not_look_on_is_refused() {
    let node = TestNode::start(with_admin(TOKEN));
    assert_eq!(get(&node, "/tap", "").status, 401);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    get(&node, "/tap", &format!("{token}Sec-Fetch-Site: cross-site\r\n")).error(403);
    get(&node, "/tap", &format!("{token}Origin: http://evil.example\r\n")).error(403);
    get(&node, "/tap?type=nothing", &token).error(400);
    get(&node, "/tap?app=nobody", &token).error(400);
}

#[test]
fn who_does_not_read_misses_something_and_is_told_exactly_how_much() {
    const SHOWN: u64 = 100_000;
    let node = TestNode::start(with_admin(""));
    let mut onlooker = Onlooker::new(&node, "type=error");
    let tap = node.handle().tap();
    let long: Box<str> = "x".repeat(200).into();
    for _ in 0..SHOWN {
        tap.show(Kind::Error, None, None, || Details {
            text: Some(long.clone()),
            ..Details::default()
        });
    }
    assert!(tap.dropped() > 0, "nobody was too slow");
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < SHOWN {
        let line = onlooker.line();
        if let Some(count) = line.strip_prefix("data: {\"dropped\":") {
            missed += count.trim_end_matches('}').parse::<u64>().unwrap();
        } else if line.starts_with("data: ") {
            seen += 1;
        }
    }
    assert_eq!((seen + missed, missed), (SHOWN, tap.dropped()));
}

/// Starts a node that waits a moment for everything: about four seconds in all for a connection without progress.
fn hurried() -> TestNode {
    const MOMENT: Duration = Duration::from_secs(1);
    TestNode::start(|config| {
        with_admin("")(config);
        config.http.request_head = MOMENT;
        config.http.request_body = MOMENT;
        config.http.keep_alive = MOMENT;
        config.node.limits.ask = MOMENT;
    })
}

#[test]
fn a_quiet_tap_outlives_what_an_idle_connection_may_last() {
    let node = hurried();
    let mut onlooker = Onlooker::new(&node, "type=error");
    let mut signs = 0;
    while signs < 8 {
        signs += usize::from(onlooker.line() == ": still there");
    }
    assert_eq!(node.handle().tap().watching(), 1);
}

#[test]
fn who_never_reads_is_hung_up_on() {
    let node = hurried();
    let _onlooker = Onlooker::new(&node, "type=error");
    let tap = node.handle().tap();
    let long: Box<str> = "x".repeat(10_000).into();
    eventually("the end of who never reads", || {
        tap.show(Kind::Error, None, None, || Details {
            text: Some(long.clone()),
            ..Details::default()
        });
        tap.watching() == 0
    });
}

#[test]
fn nobody_looks_on_any_more_when_the_connection_has_ended() {
    let node = TestNode::start(with_admin(""));
    let tap = node.handle().tap().clone();
    let onlooker = Onlooker::new(&node, "");
    assert_eq!(tap.watching(), 1);
    drop(onlooker);
    eventually("the end of the tap", || tap.watching() == 0);
}

/// `micronotifier tap` at work; killed with the test.
struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

impl Program {
    fn start(node: &TestNode, token: &str, arguments: &[&str]) -> Self {
        let url = format!("http://{}", node.admin.expect("an admin listener"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_micronotifier"))
            .args(["tap", "--url", &url])
            .args(arguments)
            .env("MICRONOTIFIER_ADMIN_TOKEN", token)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let notes = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, notes }
    }

    fn note(&mut self) -> String {
        let mut line = String::new();
        self.notes.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // fails where it has ended
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_command_prints_what_passes() {
    let mut node = TestNode::start(with_admin(TOKEN));
    let mut text = Program::start(&node, TOKEN, &["--channel", "a b/*", "--type", "event"]);
    let mut json = Program::start(&node, TOKEN, &["--json", "--type", "error,event"]);
    for program in [&mut text, &mut json] {
        assert_eq!(program.note(), "looking on");
    }
    // no channel is called so: the filter went through the query as it was given
    node.trigger(MAIN, "c", "e", "x");
    let line: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!((&line["type"], &line["channel"]), (&json!("event"), &json!("c")));
    let mut all = Program::start(&node, TOKEN, &[]);
    assert_eq!(all.note(), "looking on");
    node.trigger(MAIN, "c", "e", "x");
    let line = all.line();
    assert!(line.ends_with(&format!("event          app={} c e bytes=1", MAIN.id)), "{line}");

    let mut refused = Program::start(&node, "another", &[]);
    assert!(refused.note().starts_with("401"));
    assert_eq!(refused.child.wait().unwrap().code(), Some(1));
    node.begin_stop();
    assert_eq!(all.child.wait().unwrap().code(), Some(1));
}
