//! A backend: sends triggers over one connection, the next when the last is answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;

use crate::answer::Answer;
use crate::link::Link;
use crate::options::Options;
use crate::tally::{Tally, latencies};

/// Tokens of publishers begin here, behind those of subscribers.
pub(crate) const FIRST_PUBLISHER: usize = 1_000_000_000;
/// How much of a refusal is kept.
const ERROR_BYTES: usize = 300;

/// What came of the triggers of all backends.
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// From sending to the answer, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { accepted: 0, refused: 0, latency: latencies()? })
    }
}

pub(crate) struct Publisher {
    address: SocketAddr,
    token: Token,
    tls: Option<Arc<ClientConfig>>,
    socket: Link,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// When the trigger left that is not answered yet.
    waiting_since: Option<u64>,
}

impl Publisher {
    /// Connects as many as are wanted, spread over the servers.
    pub(crate) fn connect_all(
        options: &Options,
        registry: &Registry,
        tls: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Vec<Self>> {
        let addresses = options.publish_addresses().iter().cycle().take(options.publishers);
        let connect = |(index, address): (usize, &SocketAddr)| {
            Self::new(*address, Token(FIRST_PUBLISHER + index), registry, tls.cloned())
        };
        addresses.enumerate().map(connect).collect()
    }

    fn new(
        address: SocketAddr,
        token: Token,
        registry: &Registry,
        tls: Option<Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        let socket = Link::new(connect(address, token, registry)?, address, tls.as_ref())?;
        Ok(Self {
            address,
            token,
            tls,
            socket,
            unread: Vec::new(),
            unsent: Vec::new(),
            waiting_since: None,
        })
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Sends a request as soon as the socket takes it.
    pub(crate) fn send(&mut self, request: Vec<u8>, now: u64) {
        self.unsent = request;
        self.waiting_since = Some(now);
        self.write();
    }

    /// Writes and reads what the socket allows. A connection that the server closes is opened again.
    pub(crate) fn pump(
        &mut self,
        buffer: &mut [u8],
        registry: &Registry,
        tally: &mut Tally,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        self.write();
        loop {
            match self.socket.read(buffer) {
                Ok(0) => {
                    tally.error("publisher closed");
                    return self.reopen(registry);
                }
                Ok(count) => self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                // what is wrong with the socket, the next write is told too
                Err(_) => return Ok(()),
            }
            let Some(answer) = Answer::read(&self.unread) else {
                continue;
            };
            self.count(&answer, tally, outcome);
            if answer.closes {
                tally.error("publisher closed");
                return self.reopen(registry);
            }
        }
    }

    fn count(&mut self, answer: &Answer, tally: &mut Tally, outcome: &mut Outcome) {
        if answer.is_success {
            outcome.accepted += 1;
        } else {
            outcome.refused += 1;
            let beginning = self.unread.get(..ERROR_BYTES).unwrap_or(&self.unread);
            tally.error(String::from_utf8_lossy(beginning));
        }
        if let Some(since) = self.waiting_since.take()
            && tally.measuring
        {
            let latency = tally.now().saturating_sub(since).max(1);
            outcome.latency.saturating_record(latency);
        }
        self.unread.clear();
    }

    fn write(&mut self) {
        // a socket that is not connected yet, or no more, is waited for or read to its end
        if self.unsent.is_empty() {
            drop(self.socket.flush());
            return;
        }
        if let Ok(count) = self.socket.write(&self.unsent) {
            self.unsent.drain(..count);
        }
    }

    fn reopen(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.socket.socket_mut())?;
        *self = Self::new(self.address, self.token, registry, self.tls.take())?;
        Ok(())
    }
}

fn connect(address: SocketAddr, token: Token, registry: &Registry) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
