//! `bench`, against a whole node and against a server with planted faults.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::node::Node;
use crate::{greet, listener, program, run};

impl Node {
    /// Runs `bench` with these options; returns the exit code, the report, and what was noted.
    fn bench(&self, options: &str) -> (i32, Value, String) {
        bench(&self.url, options)
    }
}

fn bench(url: &str, options: &str) -> (i32, Value, String) {
    let mut arguments = vec!["bench", "--json", "--url", url];
    arguments.extend(options.split_whitespace());
    let (code, out, notes) = run(&arguments);
    (code, serde_json::from_str(&out).unwrap_or(Value::Null), notes)
}

#[test]
fn everything_that_is_accepted_arrives_and_is_accounted_for() {
    let node = Node::start(|_| {});
    let (code, report, notes) = node
        .bench("--connections 20 --channels 2 --rate 40 --seconds 1 --warm-up 1 --publishers 3");
    assert_eq!(code, 0, "{report:#} {notes}");
    assert_eq!(report["passed"], true);
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["connections"]["made"], 20);
    for part in [&report, &report["warm_up"]] {
        assert_eq!(part["events"]["sent"], 40);
        assert_eq!(part["events"]["accepted"], 40);
        assert_eq!(part["deliveries"]["expected"], 40 * 20 / 2);
        assert_eq!(part["deliveries"]["received"], 40 * 20 / 2);
        for fault in ["missing", "duplicated", "out_of_order", "unaccepted", "stray"] {
            assert_eq!(part["deliveries"][fault], 0, "{fault}");
        }
    }
    let latency = &report["latency_ms"];
    assert_eq!(latency["handshake"]["count"], 20);
    assert_eq!(latency["subscribe"]["count"], 20);
    assert_eq!(latency["trigger"]["count"], 40);
    assert_eq!(latency["delivery"]["count"], 40 * 20 / 2);
    let ascending: Vec<f64> = ["p50", "p90", "p99", "p99_9", "max"]
        .iter()
        .map(|name| latency["delivery"][name].as_f64().unwrap())
        .collect();
    assert!(ascending.is_sorted() && ascending[0] > 0.0, "{ascending:?}");
}

#[test]
fn without_a_rate_the_window_is_what_holds_it_back() {
    let node = Node::start(|_| {});
    let (code, report, notes) = node.bench(
        "--connections 9 --channels 3 --rate 0 --window 2 --seconds 1 --warm-up 0 --private --threads 3 --size 5000",
    );
    assert_eq!(code, 0, "{report:#} {notes}");
    let accepted = report["events"]["accepted"].as_u64().unwrap();
    assert!(accepted > 2, "{report:#}");
    assert_eq!(report["deliveries"]["received"], accepted * 3);
    assert_eq!(report["warm_up"]["events"]["sent"], 0);
}

#[test]
fn the_table_says_what_the_report_does() {
    let node = Node::start(|_| {});
    let (code, out, notes) = run(&[
        "bench",
        "--url",
        &node.url,
        "--connections=2",
        "--seconds=1",
        "--warm-up=0",
        "--publishers=1",
    ]);
    assert_eq!(code, 0, "{out} {notes}");
    let cells: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |name: &str| cells.iter().find(|row| row.first() == Some(&name)).unwrap();
    assert_eq!(row("events")[1..4], ["10", "of", "10"]);
    assert_eq!(row("deliveries")[1..4], ["20", "of", "20"]);
    assert_eq!(row("latency,")[1..], ["ms", "p50", "p90", "p99", "p99.9", "max"]);
    assert_eq!(row("delivery").len(), 6);
    assert!(out.ends_with("passed: all that was accepted arrived, once and in order\n"), "{out}");
}

#[test]
fn an_interrupt_ends_it_with_a_report() {
    let node = Node::start(|_| {});
    let mut command = program(&["bench", "--json", "--url", &node.url, "--connections=3"]);
    command.args(["--seconds=600", "--warm-up=0", "--rate=50"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("measuring 1/600 s") {
        line.clear();
        assert_ne!(notes.read_line(&mut line).unwrap(), 0, "it has ended by itself");
    }
    let kill = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["interrupted"], &report["passed"]), (&json!(true), &json!(true)));
    let accepted = report["events"]["accepted"].as_u64().unwrap();
    assert!(accepted > 0, "{report:#}");
    assert_eq!(report["events"]["unsent"], 0);
    assert_eq!(report["deliveries"]["received"], accepted * 3);
}

#[test]
fn a_node_that_refuses_some_sockets_is_loaded_with_the_rest() {
    let node = Node::start(|config| config.node.limits.max_connections = Some(7));
    let (code, report, notes) = node.bench("--connections 12 --seconds 1 --warm-up 0");
    assert_eq!(code, 1, "{report:#} {notes}");
    let made = report["connections"]["made"].as_u64().unwrap();
    // The very first one may not be gone when the last one comes.
    assert!((6..=7).contains(&made), "{report:#}");
    assert_eq!(report["deliveries"]["received"], 10 * made);
    let (cause, count) =
        report["connections"]["failed"].as_object().unwrap().iter().next().unwrap();
    assert!(cause.contains("503 Service Unavailable"), "{cause}");
    assert_eq!(*count, 12 - made);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(*problems, [json!(format!("sockets not connected: {} ({cause})", 12 - made))]);
}

#[test]
fn a_wrong_identity_is_named_at_once() {
    let node = Node::start(|_| {});
    let (code, _, notes) = node.bench("--app-key nosuch --secret donotshow");
    assert_eq!((code, notes.as_str()), (1, "4001: App key nosuch does not exist\n"));
    let options = "--app 1 --app-key 1234567890 --secret donotshow --connections 2";
    let (code, report, notes) = node.bench(options);
    assert_eq!((code, &report["passed"]), (1, &json!(false)));
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("given up: 401 Unauthorized"), "{problem}");
    assert!(!format!("{report}{notes}").contains("donotshow"));
    let (code, _, notes) = node.bench(&format!("{options} --private"));
    assert!(code == 1 && notes.contains("signature"), "{notes}");
}

#[test]
fn what_cannot_work_is_said_before_anything_starts() {
    for (options, code, expected) in [
        ("--channels 3 --connections 2", 2, "--channels 3 is more than --connections 2"),
        ("--size 63", 2, "64..=1048576"),
        ("--connections 0", 2, "1..=1000000"),
        ("--connections 1000000", 1, " are needed and this "),
        ("--app nosuch", 1, "no application \"nosuch\""),
    ] {
        let (found, report, notes) = bench("http://127.0.0.1:1", options);
        assert_eq!((found, report), (code, Value::Null), "{options}: {notes}");
        assert!(notes.contains(expected), "{options}: {notes}");
    }
    let (listener, address) = listener();
    drop(listener);
    let (code, _, notes) = bench(&format!("http://{address}"), "");
    assert!(code == 1 && notes.contains("nothing listens at"), "{notes}");
}

/// A server that speaks the protocol and makes a mistake now and then.
#[derive(Clone, Default)]
struct Faulty {
    sockets: Arc<Mutex<Vec<WebSocket<TcpStream>>>>,
    held: Arc<Mutex<Option<Value>>>,
}

impl Faulty {
    fn start() -> String {
        let (listener, address) = listener();
        thread::spawn(move || Self::default().serve(&listener));
        format!("http://{address}")
    }

    fn serve(self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            let server = self.clone();
            thread::spawn(move || server.answer(stream));
        }
    }

    fn answer(&self, stream: TcpStream) {
        let mut beginning = [0; 4];
        while stream.peek(&mut beginning).unwrap() < beginning.len() {}
        if &beginning != b"GET " {
            return self.answer_triggers(stream);
        }
        let (mut socket, subscription) = greet(stream);
        let success = json!({"event": "pusher_internal:subscription_succeeded",
            "channel": subscription["data"]["channel"], "data": "{}"});
        // Registered first: who has the answer gets everything.
        let mut sockets = self.sockets.lock().unwrap();
        socket.send(Message::text(success.to_string())).unwrap();
        sockets.push(socket);
    }

    fn answer_triggers(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = self.trigger(&serde_json::from_slice(&body).unwrap());
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                stream.write_all(head.as_bytes()).unwrap();
            }
        }
    }

    /// Loses the third event, sends the fifth twice, the seventh behind the eighth, and refuses the tenth.
    fn trigger(&self, body: &Value) -> &'static str {
        let event =
            json!({"event": body["name"], "channel": body["channels"][0], "data": body["data"]});
        let number = body["data"].as_str().unwrap().split(' ').nth(3).unwrap();
        match number {
            "2" => {}
            "4" => {
                self.deliver(&event);
                self.deliver(&event);
            }
            "6" => *self.held.lock().unwrap() = Some(event),
            "7" => {
                self.deliver(&event);
                let held = self.held.lock().unwrap().take().unwrap();
                self.deliver(&held);
            }
            "9" => return "503 Service Unavailable",
            _ => self.deliver(&event),
        }
        "200 OK"
    }

    fn deliver(&self, event: &Value) {
        let mut sockets = self.sockets.lock().unwrap();
        // A socket that has gone wants nothing.
        sockets.retain_mut(|socket| socket.send(Message::text(event.to_string())).is_ok());
    }
}

#[test]
fn faults_of_a_server_are_found_and_told_apart() {
    let url = Faulty::start();
    let (code, report, notes) =
        bench(&url, "--connections 3 --publishers 1 --rate 20 --seconds 1 --warm-up 0");
    assert_eq!(code, 1, "{report:#} {notes}");
    assert_eq!(report["events"]["sent"], 20);
    assert_eq!(report["events"]["refused"], json!({"503 Service Unavailable": 1}));
    let deliveries = &report["deliveries"];
    assert_eq!(deliveries["expected"], 19 * 3);
    assert_eq!(deliveries["received"], 18 * 3);
    for fault in ["missing", "duplicated", "out_of_order"] {
        assert_eq!(deliveries[fault], 3, "{fault} {report:#}");
    }
    assert_eq!(
        report["problems"],
        json!([
            "events refused: 1 (503 Service Unavailable)",
            "deliveries missing: 3",
            "deliveries duplicated: 3",
            "deliveries out of order: 3",
        ])
    );
}
