//! The log under a reader that does not read and on a disk that is full: nobody waits for it. And what it tells of a connection.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::panic::catch_unwind;
use std::process::{Child, Command, Stdio};

use log::LevelFilter;
use micronotifier::config::LogConfig;
use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::http::Connection;
use crate::support::process::{Configured, free_port};
use crate::support::stream::Stream;
use crate::support::{Api, Call, Socket, TestApp, eventually};

/// More requests than it takes to fill a pipe and the queue before it, at the level trace.
const REQUESTS: usize = 3000;
const APP: TestApp = TestApp { secret: "a-secret-that-is-long-enough", ..MAIN };

/// A program that logs all there is to log, its public port and its operator's.
struct Talkative {
    program: Configured,
    admin: u16,
}

impl Talkative {
    fn start(level: &str, log: Stdio) -> Self {
        let (port, admin) = (free_port(), free_port());
        let file = json!({
            "host": "127.0.0.1", "port": port, "admin-port": admin,
            "log": {"format": "json", "level": level},
            "applications": [{"name": APP.id, "key": APP.key, "secret": APP.secret}]
        });
        Self { program: Configured::start_logging(&file, port, log), admin }
    }

    /// Makes it log, and fails unless it serves all the while.
    fn keep_busy(&self) {
        let mut asked = Connection::new(self.program.stream());
        for _ in 0..REQUESTS {
            let answer = asked.ask(b"GET /up HTTP/1.1\r\nHost: node\r\n\r\n");
            assert_eq!(answer.status, 200);
        }
        let mut socket = Socket::establish(self.program.stream(), APP);
        socket.subscribe("logged");
        Api::new(APP, self.program.stream()).trigger("logged", "e", "d");
        socket.expect(json!({"event": "e", "channel": "logged", "data": "d"}));
    }

    fn dropped(&self) -> u64 {
        let address = (std::net::Ipv4Addr::LOCALHOST, self.admin).into();
        let answer = Connection::new(Stream::connect(address))
            .ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let text = answer.text();
        let line =
            text.lines().find(|line| line.starts_with("micronotifier_log_lines_dropped_total "));
        line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn a_reader_of_the_log_that_does_not_read_stops_nobody() {
    let mut node = Talkative::start("trace", Stdio::piped());
    node.keep_busy();
    let dropped = node.dropped();
    assert!(dropped > 0, "the queue never filled");
    // the reader comes back: what waited is there, what is missing is told, every line is whole
    node.program.read_log();
    node.keep_busy();
    node.program.terminate();
    let (status, log) = node.program.wait();
    assert!(status.success(), "{status}");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let told: u64 = lines.iter().filter_map(|line| line["lines"].as_u64()).sum();
    assert!(told >= dropped, "{told} of {dropped}");
    assert!(lines.iter().any(|line| line["message"] == "stopped"), "{:?}", lines.last());
}

#[test]
fn it_ends_though_nobody_reads_the_log() {
    let node = Talkative::start("trace", Stdio::piped());
    node.keep_busy();
    node.program.terminate();
    let (status, _) = node.program.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn a_full_disk_stops_nobody() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let node = Talkative::start("debug", full.into());
    let mut socket = Socket::establish(node.program.stream(), APP);
    socket.subscribe("logged");
    eventually("lines are counted as dropped", || node.dropped() > 0);
    Api::new(APP, node.program.stream()).trigger("logged", "e", "d");
    socket.expect(json!({"event": "e", "channel": "logged", "data": "d"}));
    node.program.terminate();
    let (status, _) = node.program.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn a_connection_is_told_at_debug_and_the_life_of_the_node_at_info() {
    let events = |level: &str| -> Vec<Value> {
        let mut node = Talkative::start(level, Stdio::piped());
        node.program.read_log();
        Socket::establish(node.program.stream(), APP).close();
        let bare = b"GET /app/key HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        Connection::new(node.program.stream()).ask(bare);
        let mut staying = Socket::establish(node.program.stream(), APP);
        Socket::upgrade(node.program.stream(), "/app/nosuch?protocol=7", &[])
            .expect_error(Some(4001));
        let answer = Call::get(APP, "/channels");
        Connection::new(node.program.stream()).ask(&answer.bytes());
        node.program.terminate();
        staying.expect_close(1001);
        let (_, log) = node.program.wait();
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    };
    let told = |lines: &[Value], message: &str| -> Option<Value> {
        lines.iter().find(|line| line["message"] == message).cloned()
    };
    let debug = events("debug");
    let connected = told(&debug, "connected").expect("a line");
    assert_eq!(connected["level"], "debug");
    assert_eq!(connected["app"], APP.id);
    assert_eq!(connected["address"], "127.0.0.1");
    let left = told(&debug, "the client closes").expect("a line");
    assert_eq!(left["code"], 1000);
    // the answer to a Close of the node's is none of the client's own
    assert_eq!(debug.iter().filter(|line| line["message"] == "the client closes").count(), 1);
    assert_eq!(told(&debug, "closing a connection").expect("a line")["code"], 1001);
    assert!(told(&debug, "no handshake").expect("a line")["cause"].is_string());
    let disconnected = told(&debug, "disconnected").expect("a line");
    assert_eq!(disconnected["socket"], connected["socket"]);
    assert_eq!(told(&debug, "refused after the upgrade").expect("a line")["code"], 4001);
    let info = events("info");
    assert!(info.iter().all(|line| line["level"] == "info"), "{info:?}");
    let messages: Vec<&str> = info.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!((messages[0], *messages.last().unwrap()), ("starting", "stopped"), "{messages:?}");
}

/// Panics that are more than a pipe holds, and less than the queue.
const WAITING: usize = 10_000;
/// What the process below says when they are logged.
const ABOUT_TO_END: &str = "about to end";

/// Runs one of the tests below that are processes of their own, its log through a pipe.
fn alone(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("logs::{test}"), "--ignored", "--nocapture"])
        .env_remove("RUST_LOG")
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_panic_does_not_wait_for_a_reader_either() {
    let mut child = alone("panics_where_nobody_reads");
    let mut status = None;
    eventually("the process that panics ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let first = log.lines().next().unwrap();
    assert!(first.contains("panicked: on purpose") && first.contains("logs.rs:"), "{first}");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn panics_where_nobody_reads() {
    let _logging = micronotifier::logging::start(LogConfig::default()).unwrap();
    contain_panics(1);
    // more than a pipe holds, less than the queue
    for _ in 0..4000 {
        log::info!("nobody reads this");
    }
    contain_panics(100);
}

fn contain_panics(count: usize) {
    for _ in 0..count {
        catch_unwind(|| panic!("on purpose")).unwrap_err();
    }
}

#[test]
fn a_panic_that_ends_the_process_is_told_at_every_level() {
    let mut child = alone("panics_twice_at_once");
    // nothing is read before the process is about to end
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.any(|line| line.unwrap().ends_with(ABOUT_TO_END)));
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.matches("panicked: on purpose").count(), WAITING + 1);
    for panic in ["panicked: on the way out", "panicked: panic in a destructor during cleanup"] {
        assert!(log.contains(panic), "{log}");
    }
    assert!(!log.contains("not to be seen"), "{log}");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn panics_twice_at_once() {
    struct Panicking;

    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("on the way out");
        }
    }

    let config = LogConfig { level: LevelFilter::Off, ..LogConfig::default() };
    let _logging = micronotifier::logging::start(config).unwrap();
    log::error!("not to be seen");
    contain_panics(WAITING);
    let _panicking = Panicking;
    writeln!(io::stdout(), "{ABOUT_TO_END}").unwrap();
    panic!("on purpose");
}
