//! What Redis sends unasked, handed from the connection's reader to the subscriber: bounded, never blocking.
//!
//! When it is full a message is dropped and its topic noted: the subscriber then asks where that channel
//! stands and reads what it missed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashSet;
use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most messages that wait, in all partitions.
const MESSAGES: usize = 65_536;
/// Most bytes of them.
const BYTES: usize = 64 << 20;
/// Most probes that wait, beside the messages: so many only if others send them.
const PROBES: usize = 64;
/// Most bytes of a probe, which is a number.
const PROBE_BYTES: usize = 20;

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Something on a topic.
    Message { topic: Vec<u8>, text: Vec<u8> },
    /// This node's own probe.
    Probe { text: Vec<u8>, at: Instant },
    /// The connection is gone; nothing comes after it.
    Lost,
}

/// The reader's end. Clones share one queue.
#[derive(Clone)]
pub(super) struct Sender {
    queue: mpsc::UnboundedSender<Incoming>,
    load: Arc<Mutex<Load>>,
    probe: Arc<str>,
    messages: usize,
    bytes: usize,
}

/// The subscriber's end.
pub(super) struct Inbox {
    queue: mpsc::UnboundedReceiver<Incoming>,
    load: Arc<Mutex<Load>>,
}

#[derive(Default)]
struct Load {
    messages: usize,
    bytes: usize,
    probes: usize,
    /// Topics of what was dropped.
    dirty: HashSet<Vec<u8>>,
    dropped: u64,
}

/// Makes both ends; `probe` is the topic of this node's own probes. The bounds are shared evenly by so many
/// partitions.
pub(super) fn open(probe: &str, partitions: usize) -> (Sender, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let load = Arc::new(Mutex::new(Load::default()));
    let sender = Sender {
        queue: sender,
        load: Arc::clone(&load),
        probe: probe.into(),
        messages: MESSAGES / partitions,
        bytes: BYTES / partitions,
    };
    (sender, Inbox { queue: receiver, load })
}

impl AsyncPushSender for Sender {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        let incoming = match info.kind {
            PushKind::Disconnection => Incoming::Lost,
            // this topic is never given up: the slot is another server's now. As nobody asked for it, it
            // also passes for the answer to something, so nothing that comes after it may be believed
            PushKind::SUnsubscribe if self.is_probe(&info) => Incoming::Lost,
            PushKind::Message | PushKind::SMessage => {
                let mut parts = info.data.into_iter();
                let (Some(Value::BulkString(topic)), Some(Value::BulkString(text))) =
                    (parts.next(), parts.next())
                else {
                    return Ok(());
                };
                if topic == self.probe.as_bytes() {
                    if text.len() > PROBE_BYTES || !self.admit_probe() {
                        return Ok(());
                    }
                    Incoming::Probe { text, at: Instant::now() }
                } else if self.admit(&topic, topic.len() + text.len()) {
                    Incoming::Message { topic, text }
                } else {
                    return Ok(());
                }
            }
            // confirmations are answers too, and waited for as such
            _ => return Ok(()),
        };
        self.queue.send(incoming).map_err(|_| SendError)
    }
}

impl Sender {
    fn is_probe(&self, info: &PushInfo) -> bool {
        let topic = Value::BulkString(self.probe.as_bytes().to_vec());
        info.data.first() == Some(&topic)
    }

    fn admit_probe(&self) -> bool {
        let mut load = lock(&self.load);
        let has_room = load.probes < PROBES;
        load.probes += usize::from(has_room);
        has_room
    }

    /// Takes room for a message, or notes its topic.
    fn admit(&self, topic: &[u8], bytes: usize) -> bool {
        let mut load = lock(&self.load);
        if load.messages >= self.messages || load.bytes + bytes > self.bytes {
            load.dirty.insert(topic.to_vec());
            load.dropped += 1;
            return false;
        }
        load.messages += 1;
        load.bytes += bytes;
        true
    }
}

impl Inbox {
    /// Waits for what comes next.
    pub(super) async fn next(&mut self) -> Incoming {
        let next = self.queue.recv().await;
        self.count_off(next)
    }

    /// Returns what has come already; `None` when nothing waits.
    pub(super) fn try_next(&mut self) -> Option<Incoming> {
        let next = self.queue.try_recv().ok()?;
        Some(self.count_off(Some(next)))
    }

    /// Returns the topics of what was dropped since the last call, and how much that was.
    pub(super) fn take_dirty(&mut self) -> (HashSet<Vec<u8>>, u64) {
        let mut load = lock(&self.load);
        (std::mem::take(&mut load.dirty), std::mem::take(&mut load.dropped))
    }

    fn count_off(&self, next: Option<Incoming>) -> Incoming {
        match &next {
            Some(Incoming::Message { topic, text }) => {
                let mut load = lock(&self.load);
                load.messages = load.messages.saturating_sub(1);
                load.bytes = load.bytes.saturating_sub(topic.len() + text.len());
            }
            Some(Incoming::Probe { .. }) => {
                let mut load = lock(&self.load);
                load.probes = load.probes.saturating_sub(1);
            }
            Some(Incoming::Lost) | None => {}
        }
        next.unwrap_or(Incoming::Lost)
    }
}

fn lock(load: &Mutex<Load>) -> MutexGuard<'_, Load> {
    load.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use super::*;

    fn message(topic: &str, bytes: usize) -> PushInfo {
        let data = [topic.as_bytes().to_vec(), vec![b'x'; bytes]];
        PushInfo { kind: PushKind::Message, data: data.map(Value::BulkString).into() }
    }

    #[test]
    fn over_its_bounds_it_drops_and_says_what() {
        let (sender, mut inbox) = open("probe", 1);
        sender.send(message("a", BYTES - 100)).unwrap();
        sender.send(message("b", 100)).unwrap();
        sender.send(message("probe", 1)).unwrap();
        assert!(matches!(inbox.try_next(), Some(Incoming::Message { .. })));
        assert!(
            matches!(inbox.try_next(), Some(Incoming::Probe { .. })),
            "messages take no room from a probe"
        );
        assert!(inbox.try_next().is_none());
        let (dirty, dropped) = inbox.take_dirty();
        assert_eq!((dirty.len(), dropped), (1, 1));
        assert!(dirty.contains(b"b".as_slice()));
        sender.send(message("b", 100)).unwrap();
        assert!(inbox.try_next().is_some(), "there is room again");
        for _ in 0..=MESSAGES {
            sender.send(message("c", 0)).unwrap();
        }
        assert_eq!(inbox.take_dirty().1, 1);
    }

    #[test]
    fn probes_that_others_send_are_bounded() {
        let (sender, mut inbox) = open("probe", 1);
        sender.send(message("probe", PROBE_BYTES + 1)).unwrap();
        assert!(inbox.try_next().is_none(), "too long for a number");
        for _ in 0..=PROBES {
            sender.send(message("probe", 1)).unwrap();
        }
        let waiting = std::iter::from_fn(|| inbox.try_next()).count();
        assert_eq!(waiting, PROBES);
        sender.send(message("probe", 1)).unwrap();
        assert!(inbox.try_next().is_some(), "there is room again");
    }

    #[tokio::test]
    async fn the_end_of_the_connection_comes_last() {
        let (sender, mut inbox) = open("probe", 1);
        sender.send(message("a", 1)).unwrap();
        sender.send(PushInfo { kind: PushKind::Disconnection, data: Vec::new() }).unwrap();
        drop(sender);
        assert!(matches!(inbox.next().await, Incoming::Message { .. }));
        assert!(matches!(inbox.next().await, Incoming::Lost));
        assert!(matches!(inbox.next().await, Incoming::Lost));
    }
}
