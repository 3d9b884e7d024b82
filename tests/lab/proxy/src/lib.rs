//! A TCP proxy before a redis-server that breaks things on purpose: it reads RESP on the way back.
//!
//! Threads and blocking sockets: a node has a handful of connections to Redis, and tests without a runtime
//! use it too. It ends with its process; its connections end when it is dropped.

mod plan;
mod resp;

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use self::plan::Plan;

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Starts a proxy on a free port before the server on `port` of this machine.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own = listener.local_addr()?.port();
        let plan = Arc::new(Plan::before(port));
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let plan = Arc::clone(&shared);
                std::thread::spawn(move || join(&client, &plan));
            }
        });
        Ok(Self { port: own, plan })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to the server on another port.
    pub fn lead_to(&self, port: u16) {
        self.plan.lead_to(port);
    }

    /// Drops the next messages of channels, of whichever connection.
    pub fn drop_next(&self, messages: usize) {
        self.plan.drop_next(messages);
    }

    /// Returns how many of those are still to come.
    pub fn left_to_drop(&self) -> usize {
        self.plan.left_to_drop()
    }

    /// Drops every k-th message that has a position, of topics that do not contain `spared`; 0 = none any more.
    pub fn drop_every(&self, k: usize, spared: &str) {
        self.plan.drop_every(k, spared);
    }

    /// Drops the next message of each topic that contains this text, once a call.
    pub fn drop_next_of(&self, topic: &str) {
        self.plan.drop_next_of(topic);
    }

    /// Returns how many messages were dropped since the start, probes not counted.
    pub fn dropped(&self) -> u64 {
        self.plan.dropped()
    }

    /// Drops every probe of a node to itself from now on, or no more.
    pub fn deafen(&self, is_deaf: bool) {
        self.plan.deafen(is_deaf);
    }

    /// Loses everything that the server says from now on, or no more. What it is told reaches it. Connections that
    /// lost an answer are of no use afterwards: [`Self::cut`] them.
    pub fn mute(&self, is_mute: bool) {
        self.plan.mute(is_mute);
    }

    /// Holds everything that passes back for so long, in both directions.
    pub fn delay(&self, time: Duration) {
        self.plan.delay(time);
    }

    /// Lets nothing pass any more, as a network that drops packets: connections stay open, new ones are
    /// accepted by nobody, and what was sent meanwhile goes on its way after [`Self::mend`].
    pub fn stall(&self) {
        self.plan.stall();
    }

    /// Ends [`Self::stall`].
    pub fn mend(&self) {
        self.plan.mend();
    }

    /// Returns how many pieces were held back by [`Self::stall`] since the start.
    pub fn held(&self) -> u64 {
        self.plan.held()
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.plan.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.plan.mend();
        self.plan.cut();
    }
}

/// Connects a client to the server and hands on what both say until one of them ends.
fn join(client: &TcpStream, plan: &Arc<Plan>) {
    plan.pass();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.leads_to()));
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    let halves = || -> io::Result<_> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        plan.remember(client)?;
        plan.remember(&server)?;
        Ok((client.try_clone()?, server.try_clone()?))
    };
    let Ok((from_client, mut to_server)) = halves() else {
        return;
    };
    let there = Arc::clone(plan);
    std::thread::spawn(move || {
        // an end is an end, whatever its cause
        copy(from_client, &mut to_server, &there).ok();
        to_server.shutdown(Shutdown::Both).ok();
    });
    forward(server, client, plan).ok();
    client.shutdown(Shutdown::Both).ok();
}

/// Hands bytes on as they come.
fn copy(mut from: TcpStream, to: &mut TcpStream, plan: &Plan) -> io::Result<()> {
    let mut chunk = vec![0; 65_536];
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes @ [_, ..]) = chunk.get(..read) else {
            return Ok(());
        };
        plan.pass();
        to.write_all(bytes)?;
    }
}

/// Hands values on one by one, but for those that the plan drops.
fn forward(mut from: TcpStream, mut to: &TcpStream, plan: &Plan) -> io::Result<()> {
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 65_536]);
    let mut kept = Vec::new();
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes @ [_, ..]) = chunk.get(..read) else {
            return Ok(());
        };
        buffer.extend_from_slice(bytes);
        let mut rest = buffer.as_slice();
        while let Some(length) = resp::value_length(rest) {
            let Some((value, behind)) = rest.split_at_checked(length) else {
                break;
            };
            if !plan.drops(value) {
                kept.extend_from_slice(value);
            }
            rest = behind;
        }
        let taken = buffer.len() - rest.len();
        buffer.drain(..taken);
        plan.pass();
        if !plan.is_mute() {
            to.write_all(&kept)?;
        }
        kept.clear();
    }
}
