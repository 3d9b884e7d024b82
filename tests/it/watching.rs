//! The operator's port stands beside the workers: it tells of event loops that stand still, and answers to the node's end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use micronotifier::config::{AdminConfig, ServerConfig};
use micronotifier_actors::NodeHandle;
use micronotifier_actors::tap::{Kind, Wanted};
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::http::{Answer, Connection};
use crate::support::process::{Configured, free_port};
use crate::support::stream::Stream;
use crate::support::{Call, DEADLINE, Incoming, Socket, TestNode, eventually};

fn with_admin(config: &mut ServerConfig) {
    let host = "127.0.0.1".to_owned();
    config.admin = Some(AdminConfig { host, port: 0, token: String::new() });
}

/// Asks on a connection of its own.
fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    Connection::new(Stream::connect(address)).ask(request.as_bytes())
}

fn expect_ok(stream: &mut Stream) {
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

/// A waker that holds the thread which calls it.
#[derive(Default)]
struct Hold {
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl Wake for Hold {
    fn wake(self: Arc<Self>) {
        let is_over = self.is_over.lock().unwrap();
        drop(self.ended.wait_timeout_while(is_over, DEADLINE, |is_over| !*is_over).unwrap());
    }
}

impl Hold {
    fn end(&self) {
        *self.is_over.lock().unwrap() = true;
        self.ended.notify_all();
    }
}

#[test]
fn event_loops_that_stand_still_are_told_by_name() {
    let node = TestNode::start(|config| {
        config.node.workers = 1;
        with_admin(config);
    });
    let admin = node.admin.expect("an admin listener");
    eventually("the node is ready", || get(admin, "/ready").status == 200);

    // the worker wakes who looks on: here it stays
    let hold = Arc::new(Hold::default());
    let wanted = Wanted { kinds: vec![Kind::Event], ..Wanted::default() };
    let mut view = node.handle().tap().watch(wanted).expect("room at the tap");
    let waker = Waker::from(Arc::clone(&hold));
    assert_eq!(pin!(view.next()).poll(&mut Context::from_waker(&waker)), Poll::Pending);
    let mut backend = node.api(MAIN).connection;
    let event = json!({"name": "e", "channel": "c", "data": "x"});
    backend.send(&Call::post(MAIN, "/events", &event).bytes());

    let still =
        |seconds| format!("the event loop of worker 0 has stood still for {seconds} seconds");
    let mut ready = get(admin, "/ready");
    eventually("a worker that stands still", || {
        ready = get(admin, "/ready");
        ready.status == 503
    });
    assert_eq!(ready.json(), json!({"status": "not ready", "reasons": [still(2)]}));
    let metrics = get(admin, "/metrics").text();
    let behind = "micronotifier_worker_behind_seconds{worker=\"0\"} ";
    let behind = metrics.lines().find_map(|line| line.strip_prefix(behind)).expect("a figure");
    assert!(behind.parse::<f64>().unwrap() >= 2.0, "{behind}");
    assert_eq!(get(admin, "/health").status, 200);
    // half a minute goes by
    for _ in 0..30_000 / NodeHandle::BEAT.as_millis() {
        node.handle().beat();
    }
    let health = get(admin, "/health");
    assert_eq!(health.status, 503);
    assert_eq!(health.json(), json!({"status": "stuck", "reasons": [still(30)]}));

    hold.end();
    assert_eq!(backend.answer().expect("an answer").status, 200);
    eventually("the worker runs", || get(admin, "/ready").status == 200);
}

#[test]
fn the_operator_is_answered_until_the_node_has_ended() {
    let (port, admin_port) = (free_port(), free_port());
    let file = json!({
        "host": "127.0.0.1", "port": port, "admin-port": admin_port, "limits": {"close-seconds": 30},
        "applications": [{"name": MAIN.id, "key": MAIN.key, "secret": MAIN.secret}]
    });
    let program = Configured::start(&file, &[], port);
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
    let mut onlooker = Stream::connect(admin);
    write!(onlooker, "GET /tap HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
    expect_ok(&mut onlooker);
    // it answers no Close: the node waits for it
    let mut socket = Socket::establish(program.stream(), MAIN);

    program.terminate();
    let close = Incoming::Close(Some(1001), "Server is shutting down".to_owned());
    assert_eq!(socket.next(), close);
    let ready = get(admin, "/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json(), json!({"status": "not ready", "reasons": ["shutting down"]}));
    assert_eq!(get(admin, "/health").status, 200);
    let open = format!("micronotifier_connections{{app_id=\"{}\"}} 1\n", MAIN.id);
    let metrics = get(admin, "/metrics").text();
    assert!(metrics.contains(&open), "{metrics}");
    let mut late = Stream::connect(admin);
    write!(late, "GET /tap?type=disconnection HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
    expect_ok(&mut late);

    // nobody who looks on holds up the end
    drop(socket);
    let (status, log) = program.wait();
    assert!(status.success(), "{status}: {log}");
}
