//! A TCP proxy before a redis-server that loses messages on purpose: it reads RESP on the way back.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use micronotifier_actors::redis::RedisOptions;

use super::redis::local;

/// A running proxy. It ends with the test.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Messages of channels still to be dropped.
    to_drop: AtomicUsize,
    /// Nothing of this node's own probes comes back.
    is_deaf: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy before the server on `port`.
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan::default());
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    join(client, server, &shared);
                }
            }
        });
        Self { port: own, plan }
    }

    /// Describes the server behind it to a node.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::single(local(self.port))
    }

    /// Drops the next messages of channels, of whichever connection.
    pub(crate) fn drop_next(&self, messages: usize) {
        self.plan.to_drop.store(messages, Ordering::SeqCst);
    }

    /// Returns how many of those are still to come.
    pub(crate) fn left_to_drop(&self) -> usize {
        self.plan.to_drop.load(Ordering::SeqCst)
    }

    /// Drops every probe from now on, or no more.
    pub(crate) fn deafen(&self, is_deaf: bool) {
        self.plan.is_deaf.store(is_deaf, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, server: TcpStream, plan: &Arc<Plan>) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        plan.open.lock().unwrap().push(stream.try_clone().unwrap());
    }
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        std::io::copy(&mut from_client, &mut to_server).ok();
        to_server.shutdown(Shutdown::Both).ok();
    });
    let plan = Arc::clone(plan);
    std::thread::spawn(move || {
        forward(server, &client, &plan);
        client.shutdown(Shutdown::Both).ok();
    });
}

/// Hands values on one by one, but for those that the plan drops.
fn forward(mut from: TcpStream, mut to: &TcpStream, plan: &Plan) {
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 65_536]);
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        let mut start = 0;
        while let Some(length) = value_length(&buffer[start..]) {
            let value = &buffer[start..start + length];
            if !plan.drops(value) && to.write_all(value).is_err() {
                return;
            }
            start += length;
        }
        buffer.drain(..start);
    }
}

impl Plan {
    fn drops(&self, value: &[u8]) -> bool {
        if !value.starts_with(b">3\r\n$7\r\nmessage\r\n") {
            return false;
        }
        let is_probe = value.windows(4).take(200).any(|bytes| bytes == b"}:p:");
        if is_probe {
            return self.is_deaf.load(Ordering::SeqCst);
        }
        let one_less = |left: usize| left.checked_sub(1);
        self.to_drop.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}

/// Returns the length of the RESP value at the start; `None` if it has not come whole.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let count = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    let children = match bytes[0] {
        b'$' | b'=' | b'!' => {
            let body = usize::try_from(count()?).map_or(0, |length| length + 2);
            return (bytes.len() >= line + body).then_some(line + body);
        }
        b'*' | b'~' | b'>' => usize::try_from(count()?).unwrap_or(0),
        b'%' | b'|' => 2 * usize::try_from(count()?).unwrap_or(0),
        _ => 0,
    };
    (0..children).try_fold(line, |length, _| Some(length + value_length(&bytes[length..])?))
}
