//! One socket on a thread of its own that asks for pongs while the others are busy: how long the server's
//! event loop keeps a client waiting.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem::find;

use crate::frame;
use crate::tally::latencies;
use crate::target::Target;

/// Between an answer and the next ping.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Probe {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Histogram<u64>>>,
}

impl Probe {
    /// Connects and begins.
    pub(crate) fn start(address: SocketAddr, target: &Target) -> io::Result<Self> {
        let mut client = Client { socket: TcpStream::connect(address)?, unread: Vec::new() };
        client.socket.set_nodelay(true)?;
        client.socket.set_read_timeout(Some(PATIENCE))?;
        client.socket.write_all(&target.handshake(address))?;
        client.wait_for(b"connection_established")?;
        let enough = Arc::new(AtomicBool::new(false));
        let is_enough = Arc::clone(&enough);
        Ok(Self { enough, thread: spawn(move || client.ping_until(&is_enough)) })
    }

    /// Ends, and returns how long the answers took, in nanoseconds.
    pub(crate) fn finish(self) -> io::Result<Histogram<u64>> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the probe has failed"))?
    }
}

struct Client {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    fn ping_until(mut self, enough: &AtomicBool) -> io::Result<Histogram<u64>> {
        let mut waits = latencies()?;
        let ping = frame::text(br#"{"event":"pusher:ping","data":{}}"#);
        while !enough.load(Ordering::Relaxed) {
            let begin = Instant::now();
            self.socket.write_all(&ping)?;
            self.wait_for(b"pusher:pong")?;
            let wait = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            waits.saturating_record(wait.max(1));
            sleep(PAUSE);
        }
        Ok(waits)
    }

    /// Reads until what came holds `text`, and forgets all of it: nothing else is on its way.
    fn wait_for(&mut self, text: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let count = self.socket.read(&mut buffer)?;
            if count == 0 {
                return Err(io::Error::other("the server has closed the probe"));
            }
            self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if find(&self.unread, text).is_some() {
                self.unread.clear();
                return Ok(());
            }
        }
    }
}
