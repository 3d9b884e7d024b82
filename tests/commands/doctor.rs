//! `doctor`, against whole nodes, against what is no node, and where nobody is.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use micronotifier::config::TlsFiles;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use socket2::SockRef;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

use crate::node::Node;
use crate::{ESTABLISHED, Scratch, close, listener, program, run};

const KEY: &str = "1234567890";
const SECRET: &str = "abcdefghij";

/// What `doctor` said: its exit code, and a line for each step.
struct Said {
    code: i32,
    out: String,
}

impl Said {
    fn of(url: &str, options: &[&str]) -> Self {
        let mut arguments = vec!["doctor", url];
        arguments.extend(options);
        let (code, out, notes) = run(&arguments);
        let said = Self { code, out: format!("{out}{notes}") };
        let steps: Vec<&str> =
            out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let all = ["name", "TCP", "TLS", "upgrade", "subscribe", "trigger", "silence"];
        assert_eq!(steps, all, "{said:?}");
        assert!(!said.out.contains(SECRET) && !said.out.contains("auth_signature"), "{said:?}");
        said
    }

    /// Fails unless the line of a step has this mark and these words.
    fn tells(&self, mark: &str, step: &str, words: &str) -> &Self {
        let line = self.out.lines().find(|line| line.split_whitespace().nth(1) == Some(step));
        let line = line.unwrap_or_else(|| panic!("{step}: {self:?}"));
        assert!(line.starts_with(mark) && line.contains(words), "{mark} {step} {words}: {self:?}");
        self
    }

    /// Fails unless this is the one step that is not well.
    fn only(&self, step: &str) {
        let broken: Vec<&str> = self.out.lines().filter(|line| line.starts_with("FIX")).collect();
        assert!(self.code == 1 && broken.len() == 1, "{self:?}");
        self.tells("FIX", step, "");
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {}\n{}", self.code, self.out)
    }
}

/// A node with a certificate of its own making.
struct Secure {
    node: Node,
    certificate: Scratch,
    _key: Scratch,
}

impl Secure {
    fn start(name: &str, adjust: impl FnOnce(&mut CertificateParams), host: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        adjust(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        let certificate = Scratch::new(&format!("{name}.pem"), &certificate.pem());
        let key = Scratch::new(&format!("{name}.key"), &key.serialize_pem());
        let node = Node::start(|config| {
            config.tls = Some(TlsFiles {
                certificate: certificate.path().into(),
                private_key: key.path().into(),
            });
        });
        Self { node, certificate, _key: key }
    }

    fn url(&self) -> String {
        self.node.url.replace("http://", "https://")
    }
}

#[test]
fn a_sound_node_is_well_at_every_step() {
    let node = Node::start(|config| {
        config.node.limits.activity_timeout = Duration::from_secs(1);
        config.node.limits.pong_timeout = Duration::from_secs(1);
    });
    let mut command = program(&["doctor", &node.url, "--app", "1", "--app-key", KEY]);
    let output = command.env("MICRONOTIFIER_SECRET", SECRET).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let said = Said { code: output.status.code().unwrap(), out };
    assert_eq!(said.code, 0, "{said:?}");
    said.tells("OK", "name", "no name to look up")
        .tells("OK", "TCP", "answers in")
        .tells("-", "TLS", "not used")
        .tells("OK", "upgrade", "activity_timeout is 1 s")
        .tells("OK", "subscribe", "takes the signature")
        .tells("OK", "trigger", "it came after")
        .tells("OK", "silence", "the server asks for a sign of life, and answers one");
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}

#[test]
fn it_goes_as_far_as_what_it_is_given() {
    let node = Node::start(|_| {});
    let said = Said::of(&node.url, &["--quick"]);
    assert_eq!(said.code, 0, "{said:?}");
    said.tells("OK", "upgrade", "speaks Pusher").tells("-", "subscribe", "--app-key");
    let said = Said::of(&node.url, &["--quick", "--app-key", KEY]);
    assert_eq!(said.code, 0, "{said:?}");
    said.tells("OK", "subscribe", "not signed")
        .tells("-", "trigger", "MICRONOTIFIER_SECRET")
        .tells("-", "silence", "--quick");
    // an application of the configuration, here the development one
    let said = Said::of(&node.url, &["--quick", "--app", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
    said.tells("OK", "trigger", "it came");
}

#[test]
fn a_wrong_key_and_a_wrong_secret_are_told_apart() {
    let node = Node::start(|_| {});
    let said = Said::of(&node.url, &["--quick", "--app-key", "nosuch"]);
    said.tells("FIX", "upgrade", "does not know the key").only("upgrade");
    let said =
        Said::of(&node.url, &["--quick", "--app", "1", "--app-key", KEY, "--secret", "wrong"]);
    assert_eq!(said.code, 1, "{said:?}");
    said.tells("FIX", "subscribe", "the secret is not the one").tells(
        "FIX",
        "trigger",
        "the secret is not the one",
    );
    let said =
        Said::of(&node.url, &["--quick", "--app", "7", "--app-key", KEY, "--secret", SECRET]);
    said.tells("FIX", "trigger", "no application 7").only("trigger");
}

#[test]
fn an_application_that_cannot_be_used_is_said_to_be_so() {
    let node = Node::start(|config| config.edge.path_prefix = "/push".to_owned());
    let base = node.url.trim_end_matches("/push").to_owned();
    let said = Said::of(&base, &["--quick"]);
    said.tells("FIX", "upgrade", "path-prefix").only("upgrade");
    let said = Said::of(&format!("{base}/push"), &["--quick", "--app", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn certificates_are_judged_as_clients_do() {
    let good = Secure::start("good", |_| {}, "127.0.0.1");
    let ca = good.certificate.path();
    let said = Said::of(&good.url(), &["--quick", "--app", "1", "--ca", ca]);
    assert_eq!(said.code, 0, "{said:?}");
    said.tells("OK", "TLS", "TLS 1.3; the certificate is for 127.0.0.1, good until 4096-01-01")
        .tells("OK", "trigger", "it came");
    let said = Said::of(&good.url(), &["--quick", "--app", "1"]);
    said.tells("FIX", "TLS", "of your own making").tells("-", "upgrade", "").only("TLS");

    let expired = Secure::start(
        "expired",
        |params| params.not_after = date_time_ymd(2020, 2, 3),
        "127.0.0.1",
    );
    let said = Said::of(&expired.url(), &["--quick", "--ca", expired.certificate.path()]);
    said.tells("FIX", "TLS", "ended on 2020-02-03 00:00 UTC: renew it").only("TLS");

    let elsewhere = Secure::start("elsewhere", |_| {}, "push.example.com");
    let said = Said::of(&elsewhere.url(), &["--quick", "--ca", elsewhere.certificate.path()]);
    said.tells("FIX", "TLS", "is for push.example.com, not for 127.0.0.1").only("TLS");
}

#[test]
fn http_and_https_taken_for_each_other_are_recognised() {
    let plain = Node::start(|_| {});
    let said = Said::of(&plain.url.replace("http://", "https://"), &["--quick"]);
    said.tells("FIX", "TLS", "http://").only("TLS");
    let secure = Secure::start("secure", |_| {}, "127.0.0.1");
    let said = Said::of(&secure.url().replace("https://", "http://"), &["--quick"]);
    said.tells("FIX", "upgrade", "https://").only("upgrade");
}

#[test]
fn where_nobody_is_the_first_step_says_so() {
    let said = Said::of("http://nosuch.invalid:8111", &["--quick"]);
    said.tells("FIX", "name", "nosuch.invalid has no address")
        .tells("-", "silence", "not come to")
        .only("name");
    let (listener, address) = listener();
    drop(listener);
    let said = Said::of(&format!("http://{address}"), &["--quick"]);
    said.tells("FIX", "TCP", &format!("nothing listens at {address}")).only("TCP");
    let (code, _, notes) = run(&["doctor", "push.example.com"]);
    assert!(code == 2 && notes.contains("must be like http://"), "{notes}");
    let (code, _, notes) = run(&["doctor", "https://push.example.com", "--ca", "nosuch.pem"]);
    assert!(code == 2 && notes.contains("--ca nosuch.pem"), "{notes}");
}

/// Answers one connection's first bytes with these.
fn answer_once(listener: TcpListener, answer: &'static str) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // one that `doctor` only knocked with ends at once
        if stream.read(&mut [0; 4096]).unwrap() == 0 {
            (stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn what_is_not_pusher_is_told_from_what_is() {
    for (answer, words) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "no Pusher server at this path"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "a web server that is not Pusher's"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "does not reach the node"),
        ("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n", "proxy_set_header Upgrade"),
        ("HTTP/1.1 301 Moved\r\nlocation: https://x/\r\ncontent-length: 0\r\n\r\n", "a redirect"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "no HTTP server"),
        ("", "closes the connection without an answer to the handshake: try https://"),
    ] {
        let (listener, address) = listener();
        let server = answer_once(listener, answer);
        let said = Said::of(&format!("http://{address}"), &["--quick"]);
        said.tells("FIX", "upgrade", words).only("upgrade");
        server.join().unwrap();
    }
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        // the knock
        drop(listener.accept().unwrap());
        let mut socket = accept(listener.accept().unwrap().0).unwrap();
        socket.send(Message::text(r#"{"jsonrpc":"2.0"}"#)).unwrap();
        while socket.read().is_ok() {}
    });
    let said = Said::of(&format!("http://{address}"), &["--quick"]);
    said.tells("FIX", "upgrade", "not Pusher's (its first message").only("upgrade");
    server.join().unwrap();
}

#[test]
fn a_connection_that_is_cut_in_silence_is_not_one_that_the_server_closes() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        for is_cut in [true, false] {
            let socket = let_in(&listener, 120);
            if !is_cut {
                close(socket, 4200, "restarting");
            }
        }
    });
    let url = format!("http://{address}");
    let said = Said::of(&url, &["--app-key", KEY]);
    said.tells("FIX", "silence", "lets clients be silent for 120 s").only("silence");
    said.tells("FIX", "silence", "proxy_read_timeout");
    let said = Said::of(&url, &["--app-key", KEY]);
    said.tells("FIX", "silence", "the server itself closed the connection with 4200 (restarting)");
    said.only("silence");
    server.join().unwrap();
}

/// Greets a client of `doctor` that only knocked before, and takes its subscription.
fn let_in(listener: &TcpListener, activity_seconds: u64) -> WebSocket<TcpStream> {
    drop(listener.accept().unwrap());
    let mut socket = accept(listener.accept().unwrap().0).unwrap();
    let greeting = ESTABLISHED.replace(":120}", &format!(":{activity_seconds}}}"));
    socket.send(Message::text(greeting)).unwrap();
    let text = socket.read().unwrap().into_text().unwrap();
    let subscription: Value = serde_json::from_str(&text).unwrap();
    let channel = subscription["data"]["channel"].as_str().unwrap();
    let taken = format!(
        r#"{{"event":"pusher_internal:subscription_succeeded","channel":"{channel}","data":"{{}}"}}"#
    );
    socket.send(Message::text(taken)).unwrap();
    socket
}

#[test]
fn a_connection_that_something_forgot_is_not_one_that_was_cut() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let mut socket = let_in(&listener, 1);
        // takes what comes and answers nothing, as if nothing came
        while socket.read().is_ok() {}
    });
    let said = Said::of(&format!("http://{address}"), &["--app-key", KEY]);
    said.tells("FIX", "silence", "nothing passes any more").only("silence");
    server.join().unwrap();
}

#[test]
fn a_server_that_only_talks_is_not_listened_to_for_ever() {
    let (listener, address) = listener();
    // what the client answers has soon no place any more
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let server = thread::spawn(move || {
        drop(listener.accept().unwrap());
        let mut socket = accept(listener.accept().unwrap().0).unwrap();
        socket.send(Message::text(ESTABLISHED)).unwrap();
        while socket.send(Message::text(r#"{"event":"pusher:ping"}"#)).is_ok() {}
    });
    let said = Said::of(&format!("http://{address}"), &["--app-key", KEY]);
    said.tells("FIX", "subscribe", "no answer in 10 s").only("subscribe");
    server.join().unwrap();
}

#[test]
fn an_event_that_the_api_takes_and_nobody_delivers_is_missed() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let socket = let_in(&listener, 120);
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut part = [0; 4096];
            let count = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..count]);
        }
        assert!(request.starts_with(b"POST /apps/1/events?auth_key="), "{request:?}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        (stream, socket)
    });
    let url = format!("http://{address}");
    let said = Said::of(&url, &["--app", "1", "--app-key", KEY, "--secret", SECRET, "--quick"]);
    said.tells("FIX", "trigger", "do not share a Redis").only("trigger");
    server.join().unwrap();
}
