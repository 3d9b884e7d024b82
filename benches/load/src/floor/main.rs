//! The floor: the least that a server of one thread can do for the same work.
//!
//! It answers handshakes, one subscription a socket and triggers, whose signatures it does not check;
//! it builds each frame once and writes the same bytes to every subscriber, one system call each.
//! Nothing else: no limits, no presence, no client events. Figures of a server are compared with its.
//!
//! Listens on the address given as its only argument (default: any free port of 127.0.0.1) and prints
//! where.

mod peer;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use peer::{Heard, Peer};

const LISTENER: Token = Token(0);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address: SocketAddr =
        address.as_deref().unwrap_or("127.0.0.1:0").parse().map_err(io::Error::other)?;
    let mut floor = Floor::new(address)?;
    writeln!(io::stdout(), "{}", floor.listener.local_addr()?)?;
    floor.serve()
}

struct Floor {
    listener: TcpListener,
    poll: Poll,
    peers: HashMap<usize, Peer>,
    channels: HashMap<String, Vec<usize>>,
    next: usize,
}

impl Floor {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { listener, poll, peers: HashMap::new(), channels: HashMap::new(), next: 1 })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4096);
        let mut buffer = vec![0; 65_536];
        let mut heard = Vec::new();
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let id = event.token().0;
                if let Some(peer) = self.peers.get_mut(&id) {
                    let is_open = peer.pump(id, &mut buffer, &mut heard);
                    if !is_open {
                        self.forget(id);
                    }
                    for what in heard.drain(..) {
                        self.carry_out(id, what);
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((mut socket, _)) = self.listener.accept() {
            socket.set_nodelay(true)?;
            self.poll.registry().register(
                &mut socket,
                Token(self.next),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.peers.insert(self.next, Peer::new(socket));
            self.next += 1;
        }
        Ok(())
    }

    fn carry_out(&mut self, id: usize, heard: Heard) {
        match heard {
            Heard::Subscribe { channel } => self.channels.entry(channel).or_default().push(id),
            Heard::Event { channel, frame } => {
                for subscriber in self.channels.get(&channel).into_iter().flatten() {
                    if let Some(peer) = self.peers.get_mut(subscriber) {
                        peer.send(&frame);
                    }
                }
            }
        }
    }

    fn forget(&mut self, id: usize) {
        self.peers.remove(&id);
        for subscribers in self.channels.values_mut() {
            subscribers.retain(|subscriber| *subscriber != id);
        }
    }
}
