//! All clients: connects them, and passes on what their sockets have to say.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};

use crate::link::{self, Link};
use crate::options::Options;
use crate::subscriber::{Stage, Subscriber};
use crate::tally::Tally;
use crate::target::Target;

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;
/// Events taken from the kernel at once.
const EVENTS: usize = 4096;
/// How long connecting may take in all; who is not ready then stays out.
const CONNECT_WAIT: Duration = Duration::from_mins(2);
/// Bytes that the kernel keeps for a socket that never reads; it takes at least twice that.
const STALLED_BUFFER: usize = 2048;
/// Connections from one source address; there are not many more ports.
const PER_SOURCE: usize = 20_000;

pub(crate) struct Crowd {
    addresses: Vec<SocketAddr>,
    wanted: usize,
    /// Who never reads.
    stalled: Vec<bool>,
    parallel: usize,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) target: Target,
    pub(crate) poll: Poll,
    pub(crate) events: Events,
    pub(crate) buffer: Vec<u8>,
    pub(crate) tally: Tally,
    pub(crate) subscribers: Vec<Subscriber>,
    /// Ready subscribers of each channel.
    pub(crate) per_channel: Vec<u64>,
    pub(crate) ready: usize,
    pub(crate) closed: usize,
}

impl Crowd {
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        Ok(Self {
            addresses: options.addresses.clone(),
            wanted: options.connections,
            stalled: (0..options.connections).map(|index| options.is_stalled(index)).collect(),
            parallel: options.parallel,
            tls: options.authority.as_deref().map(link::tls_config).transpose()?,
            target: Target::new(options),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            tally: Tally::new()?,
            subscribers: Vec::with_capacity(options.connections),
            per_channel: vec![0; options.channels],
            ready: 0,
            closed: 0,
        })
    }

    /// Connects and subscribes everybody, and returns how many seconds that took.
    pub(crate) fn connect(&mut self) -> io::Result<f64> {
        let start = Instant::now();
        while self.ready + self.closed < self.wanted && start.elapsed() < CONNECT_WAIT {
            while self.subscribers.len() < self.wanted
                && self.subscribers.len() - self.ready - self.closed < self.parallel
            {
                self.add_one()?;
            }
            self.turn(Duration::from_millis(200))?;
        }
        let missing = self.wanted - self.ready - self.closed;
        if missing > 0 {
            self.tally.errors_of("not subscribed in time", missing as u64);
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Lets everybody answer what comes, for as long as that.
    pub(crate) fn rest(&mut self, length: Duration) -> io::Result<()> {
        let start = Instant::now();
        while let Some(left) = length.checked_sub(start.elapsed()) {
            self.turn(left)?;
        }
        Ok(())
    }

    fn turn(&mut self, at_most: Duration) -> io::Result<()> {
        self.wait(at_most)?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.pump(event.token().0);
        }
        self.events = events;
        Ok(())
    }

    /// Waits for sockets; what they want is in `events` then.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            // a profiler or a stopped terminal
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => outcome,
        }
    }

    /// Lets one client write and read.
    pub(crate) fn pump(&mut self, index: usize) {
        let Some(subscriber) = self.subscribers.get_mut(index) else {
            return;
        };
        let before = subscriber.stage;
        let is_stalled = self.stalled.get(index).copied().unwrap_or_default();
        if before == Stage::Closed || (is_stalled && before == Stage::Ready) {
            return;
        }
        subscriber.pump(&mut self.buffer, &self.target, &mut self.tally);
        let (after, channel) = (subscriber.stage, subscriber.channel);
        if before == after {
            return;
        }
        self.ready += usize::from(after == Stage::Ready);
        self.ready -= usize::from(before == Stage::Ready);
        for channel in self.target.channels_from(channel) {
            if let Some(ready) = self.per_channel.get_mut(channel).filter(|_| !is_stalled) {
                *ready += u64::from(after == Stage::Ready);
                *ready -= u64::from(before == Stage::Ready);
            }
        }
        if after == Stage::Closed {
            self.closed += 1;
        }
    }

    fn add_one(&mut self) -> io::Result<()> {
        let index = self.subscribers.len();
        let (link, handshake) = self.link(index, index)?;
        let channel = index % self.target.channels;
        self.subscribers.push(Subscriber::new(link, handshake, channel));
        Ok(())
    }

    /// Begins the connection of the client of a number, and returns it with the upgrade to ask for.
    pub(crate) fn link(&self, number: usize, token: usize) -> io::Result<(Link, Vec<u8>)> {
        let Some(address) = self.addresses.iter().cycle().nth(number % self.addresses.len().max(1))
        else {
            return Err(io::Error::other("no server is named"));
        };
        let is_stalled = self.stalled.get(number).copied().unwrap_or_default();
        let mut socket = connect(*address, token, is_stalled)?;
        self.poll.registry().register(
            &mut socket,
            Token(token),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let link = Link::new(socket, *address, self.tls.as_ref())?;
        Ok((link, self.target.handshake(*address)))
    }
}

/// Begins a connection. When one address has no ports left, the next of 127.0.0.x is the source.
///
/// The first is not bound by name: only then may a port be used that still lingers towards another
/// server, and the search for a free one costs nothing.
fn connect(address: SocketAddr, index: usize, is_stalled: bool) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER)?;
    }
    let source = index / PER_SOURCE;
    if source > 0 {
        let last = u8::try_from(1 + source).map_err(io::Error::other)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        // EINPROGRESS has no portable kind; what really fails is told when the socket is used
        Ok(()) | Err(_) => Ok(TcpStream::from_std(socket.into())),
    }
}
