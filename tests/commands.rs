//! The commands of the program, run as a user runs them: `check`, `serve` with a wrong configuration, `trigger`, `listen`, `bench`, `doctor`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

#[path = "commands/bench.rs"]
mod bench;
#[path = "commands/doctor.rs"]
mod doctor;
#[path = "commands/node.rs"]
mod node;

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use micronotifier_actors::protocol::sign::{Credential, body_md5, request_text};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

const ESTABLISHED: &str = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1234.1234\",\"activity_timeout\":120}"}"#;

/// The program, under no configuration of this machine's.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micronotifier"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MICRONOTIFIER") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    path.to_str().unwrap().to_owned()
}

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("micronotifier-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// `listen` at work; killed with the test.
struct Listening {
    child: Child,
    lines: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

impl Listening {
    fn start(arguments: &[&str]) -> Self {
        let mut child =
            program(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let notes = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, notes }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for its end; returns the exit code and what it noted.
    fn end(&mut self) -> (i32, String) {
        let mut notes = String::new();
        self.notes.read_to_string(&mut notes).unwrap();
        (self.child.wait().unwrap().code().unwrap(), notes)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Fails where it has ended.
        self.child.kill().unwrap_or_default();
    }
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address.to_string())
}

/// Takes one connection's subscription and greets it.
fn greet<S: Read + Write>(stream: S) -> (WebSocket<S>, Value) {
    let Ok(mut socket) = accept(stream) else {
        panic!("no handshake");
    };
    socket.send(Message::text(ESTABLISHED)).unwrap();
    let text = socket.read().unwrap().into_text().unwrap();
    (socket, serde_json::from_str(&text).unwrap())
}

fn close<S: Read + Write>(mut socket: WebSocket<S>, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    socket.close(Some(frame)).unwrap();
    // Ends with the peer's Close.
    while socket.read().is_ok() {}
}

#[test]
fn check_says_ok_or_everything_that_is_wrong() {
    let sample = config("sample.json");
    for arguments in [["check", "-c", &sample], ["-c", &sample, "check"]] {
        let (code, out, notes) = run(&arguments);
        assert_eq!((code, out, notes), (0, format!("{sample}: ok\n"), String::new()));
    }
    let wrong = Scratch::new("wrong.json", r#"{"prot": 1, "host": 2}"#);
    let (code, out, notes) = run(&["check", "-c", wrong.path()]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert_eq!(
        notes,
        "host: must be a text, not a number\nprot: no such key; did you mean port?\n"
    );
    assert_eq!(run(&["serve", "-c", wrong.path()]).0, 64);
    assert_eq!(run(&["-c", wrong.path()]).0, 64);
    assert_eq!(run(&["--version"]).1, format!("micronotifier {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_slip_of_the_command_line_is_told_what_is_meant() {
    let (code, _, notes) = run(&["serv"]);
    assert!(code == 2 && notes.contains("'serve'"), "{notes}");
    let sample = config("sample-secure.json");
    for (arguments, meant) in [
        (vec!["a.json"], "micronotifier -c a.json\n"),
        (vec!["check", "a.json"], "micronotifier check -c a.json\n"),
        (vec!["serve", sample.as_str()], "sample-secure.json\n"),
    ] {
        let (code, out, notes) = run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{notes}");
        let told = notes.rsplit_once("a configuration is given with -c: ");
        assert!(told.is_some_and(|(_, line)| line.ends_with(meant)), "{notes}");
    }
    let (code, _, notes) = run(&["nonsense"]);
    assert!(code == 2 && !notes.contains("-c: "), "{notes}");
}

/// Starts a node without a file, and returns what it logs until it says how to try it, or that it serves.
fn welcome(variables: &[(&str, &str)], last: &str) -> (u16, Vec<String>) {
    let (listener, _) = listener();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut child = program(&[])
        .env("MICRONOTIFIER__PORT", port.to_string())
        .env("MICRONOTIFIER__ADMIN_PORT", "0")
        .envs(variables.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains(last) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    (port, lines)
}

#[test]
fn a_node_without_a_file_says_what_is_true_of_it() {
    let (port, lines) = welcome(&[], " trigger ");
    let program = env!("CARGO_BIN_EXE_micronotifier");
    let command = format!("{program} listen --url http://127.0.0.1:{port} my-channel");
    for expected in ["development configuration, this machine only", command.as_str()] {
        assert!(lines.iter().any(|line| line.ends_with(expected)), "{expected}: {lines:#?}");
    }
    let apps = r#"[{"name":"a","key":"k","secret":"0123456789abcdef"}]"#;
    let open = [("MICRONOTIFIER__HOST", "0.0.0.0"), ("MICRONOTIFIER__APPLICATIONS", apps)];
    let (port, lines) = welcome(&open, "serving on");
    let told = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(told("no -c FILE given: the built-in defaults and the environment"), "{lines:#?}");
    assert!(told(&format!("0.0.0.0:{port}")) && !told("this machine only"), "{lines:#?}");
}

#[test]
fn serve_refuses_by_name_what_is_not_built() {
    let text = json!({"applications": [], "drain-seconds": 20}).to_string();
    let file = Scratch::new("unbuilt.json", &text);
    let (code, _, notes) = run(&["-c", file.path()]);
    assert_eq!(code, 64);
    assert_eq!(notes, "drain-seconds: not in this build yet\n");
    let (code, out, notes) = run(&["check", "-c", file.path()]);
    assert_eq!((code, out), (0, format!("{}: ok\n", file.path())));
    assert!(notes.contains("warning: drain-seconds: not in this build yet"), "{notes}");
}

#[test]
fn trigger_signs_what_it_sends() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let length = head
            .iter()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
        stream.write_all(answer).unwrap();
        (head.remove(0), body)
    });
    let url = format!("http://{address}/push");
    let (code, out, notes) = run(&[
        "trigger",
        "--url",
        &url,
        "--socket-id",
        "1.2",
        "--info",
        "user_count",
        "room",
        "my event",
        "{\"a\":\"ü\"}",
    ]);
    assert_eq!((code, out.as_str(), notes.as_str()), (0, "{}\n", ""));

    let (request, body) = server.join().unwrap();
    let target = request.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    // the node takes the prefix off before it checks the signature
    let signed_path = path.strip_prefix("/push").unwrap();
    assert_eq!(signed_path, "/apps/1/events");
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let credential = Credential::new("1234567890", "abcdefghij");
    let text = request_text("POST", signed_path, &query);
    assert!(credential.verifies(&[text.as_bytes()], &value("auth_signature")));
    assert_eq!(value("auth_key"), "1234567890");
    assert_eq!(value("body_md5"), body_md5(&body));
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"name": "my event", "channels": ["room"], "data": "{\"a\":\"ü\"}", "socket_id": "1.2", "info": "user_count"})
    );
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let (listener, address) = listener();
    drop(listener);
    let url = format!("http://{address}");
    for arguments in
        [vec!["trigger", "--url", &url, "c", "e", "d"], vec!["listen", "--url", &url, "c"]]
    {
        let (code, out, notes) = run(&arguments);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(notes.contains("nothing listens at") && notes.contains("--url"), "{notes}");
    }
    let (code, _, notes) = run(&["trigger", "--app", "nosuch", "c", "e", "d"]);
    assert!(code == 1 && notes.contains("no application \"nosuch\""), "{notes}");
}

#[test]
fn what_a_node_refuses_is_said_with_what_to_do() {
    let node = node::Node::start(|_| {});
    let app = ["--app", "1", "--app-key", "1234567890", "--secret", "not-this-one"];
    let trigger = [&["trigger", "--url", &node.url][..], &app, &["c", "e", "d"]].concat();
    let (code, _, notes) = run(&trigger);
    assert!(code == 1 && notes.starts_with("the secret is not the one"), "{notes}");
    assert!(!notes.contains("your_secret_key"), "{notes}");
    let (code, _, notes) = run(&["tap", "--url", &node.url]);
    assert!(code == 1 && notes.starts_with("that is not an operator's port"), "{notes}");
    let secure = node.url.replace("http://", "https://");
    let meant = format!("speaks no TLS: try {}\n", node.url);
    for command in ["trigger", "listen"] {
        let rest: &[&str] = if command == "trigger" { &["c", "e", "d"] } else { &["c"] };
        let (code, _, notes) = run(&[&[command, "--url", &secure], rest].concat());
        assert!(code == 1 && notes.ends_with(&meant), "{notes}");
    }
    let (code, _, notes) = run(&["tap", "--url", &secure]);
    assert!(code == 1 && notes.contains("speaks no TLS"), "{notes}");
}

#[test]
fn listen_comes_back_when_it_may_and_ends_when_it_must() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let next = || greet(listener.accept().unwrap().0);
        let (mut socket, subscription) = next();
        let signature = Credential::new("1234567890", "abcdefghij").sign(b"1234.1234:private-a");
        assert_eq!(
            subscription,
            json!({"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": format!("1234567890:{signature}")}})
        );
        socket.send(Message::text(r#"{"event":"pusher:ping","data":"{}"}"#)).unwrap();
        let pong = socket.read().unwrap().into_text().unwrap();
        assert_eq!(pong.as_str(), r#"{"event":"pusher:pong","data":{}}"#);
        socket.send(Message::text(r#"{"event":"e1","channel":"private-a","data":"one"}"#)).unwrap();
        close(socket, 4200, "Server is shutting down");
        let (mut socket, _) = next();
        socket.send(Message::text(r#"{"event":"e2","channel":"private-a","data":"two"}"#)).unwrap();
        close(socket, 4009, "You got disconnected by the app.");
    });
    let mut listening =
        Listening::start(&["listen", "--url", &format!("ws://{address}"), "private-a"]);
    assert_eq!(listening.line(), "private-a e1 one");
    assert_eq!(listening.line(), "private-a e2 two");
    let (code, notes) = listening.end();
    assert_eq!(code, 1, "{notes}");
    assert!(notes.contains("closed 4200: Server is shutting down; again in 0 s"), "{notes}");
    assert!(notes.ends_with("closed 4009: You got disconnected by the app.\n"), "{notes}");
    server.join().unwrap();
}

#[test]
fn listen_believes_a_certificate_of_its_own_only_when_told() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = pair.cert.der().clone();
    let key = rustls_pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let tls = Arc::new(tls);
    let (listener, _) = listener();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let next = || -> rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
            let (stream, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            rustls::StreamOwned::new(connection, stream)
        };
        assert!(accept(next()).is_err());
        let (mut socket, subscription) = greet(next());
        assert_eq!(subscription["data"]["channel"], "a");
        socket.send(Message::text(r#"{"event":"e","channel":"a","data":"x\ny"}"#)).unwrap();
        close(socket, 4001, "gone");
    });
    let (code, _, notes) = run(&["listen", "--url", &url, "a"]);
    assert!(code == 1 && notes.contains("--ca"), "{notes}");
    let ca = Scratch::new("ca.pem", &pair.cert.pem());
    let mut listening =
        Listening::start(&["listen", "--url", &url, "--ca", ca.path(), "--json", "a"]);
    let line: Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(line, json!({"channel": "a", "event": "e", "data": "x\ny"}));
    assert_eq!(listening.end().0, 1);
    server.join().unwrap();
}
