//! What a proxy does to what passes through it.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::resp::{self, Message};

/// Shared by all connections of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    server: AtomicU16,
    /// Messages still to be dropped.
    to_drop: AtomicUsize,
    rule: Mutex<Rule>,
    dropped: AtomicU64,
    /// Nothing of this node's own probes comes back.
    is_deaf: AtomicBool,
    /// Nothing at all comes back.
    is_mute: AtomicBool,
    delay_millis: AtomicU64,
    is_stalled: Mutex<bool>,
    mended: Condvar,
    held: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// Which messages are dropped besides the next ones.
#[derive(Debug, Default)]
struct Rule {
    /// Every k-th that has a position; 0 = none.
    every: usize,
    seen: usize,
    /// But not of topics that contain this.
    spared: Vec<u8>,
    /// The next one of topics that contain one of these.
    next_of: Vec<Vec<u8>>,
}

impl Plan {
    pub(crate) fn before(port: u16) -> Self {
        Self { server: AtomicU16::new(port), ..Self::default() }
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.server.store(port, Ordering::SeqCst);
    }

    pub(crate) fn leads_to(&self) -> u16 {
        self.server.load(Ordering::SeqCst)
    }

    pub(crate) fn drop_next(&self, messages: usize) {
        self.to_drop.store(messages, Ordering::SeqCst);
    }

    pub(crate) fn left_to_drop(&self) -> usize {
        self.to_drop.load(Ordering::SeqCst)
    }

    pub(crate) fn drop_every(&self, k: usize, spared: &str) {
        let mut rule = lock(&self.rule);
        rule.every = k;
        rule.seen = 0;
        rule.spared = spared.as_bytes().to_vec();
    }

    pub(crate) fn drop_next_of(&self, topic: &str) {
        lock(&self.rule).next_of.push(topic.as_bytes().to_vec());
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn deafen(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
    }

    pub(crate) fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }

    pub(crate) fn is_mute(&self) -> bool {
        self.is_mute.load(Ordering::SeqCst)
    }

    pub(crate) fn delay(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.delay_millis.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn stall(&self) {
        *lock(&self.is_stalled) = true;
    }

    pub(crate) fn mend(&self) {
        *lock(&self.is_stalled) = false;
        self.mended.notify_all();
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    pub(crate) fn remember(&self, stream: &TcpStream) -> io::Result<()> {
        lock(&self.open).push(stream.try_clone()?);
        Ok(())
    }

    pub(crate) fn cut(&self) {
        for stream in lock(&self.open).drain(..) {
            // It fails for one that has ended.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Waits as long as what passes now has to.
    pub(crate) fn pass(&self) {
        let delay = self.delay_millis.load(Ordering::SeqCst);
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(delay));
        }
        let mut is_stalled = lock(&self.is_stalled);
        if *is_stalled {
            self.held.fetch_add(1, Ordering::SeqCst);
        }
        while *is_stalled {
            is_stalled = self.mended.wait(is_stalled).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells whether a value is lost on its way, and counts it.
    pub(crate) fn drops(&self, value: &[u8]) -> bool {
        let Some(message) = resp::message(value) else {
            return false;
        };
        if contains(message.topic, b"}:p:") {
            return self.is_deaf.load(Ordering::SeqCst);
        }
        let one_less = |left: usize| left.checked_sub(1);
        let drops = self.to_drop.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
            || lock(&self.rule).drops(message);
        if drops {
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
        drops
    }
}

impl Rule {
    fn drops(&mut self, message: Message<'_>) -> bool {
        let Message { topic, text } = message;
        if let Some(index) = self.next_of.iter().position(|part| contains(topic, part)) {
            self.next_of.swap_remove(index);
            return true;
        }
        // what has no position is not kept anywhere and cannot be repaired
        let is_numbered = !text.starts_with(b"::");
        let is_spared = !self.spared.is_empty() && contains(topic, &self.spared);
        if self.every == 0 || !is_numbered || is_spared {
            return false;
        }
        self.seen += 1;
        self.seen.is_multiple_of(self.every)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A lock that a panic elsewhere does not take away: what it guards is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(topic: &str, text: &str) -> Vec<u8> {
        let (a, b) = (topic.len(), text.len());
        format!(">3\r\n$7\r\nmessage\r\n${a}\r\n{topic}\r\n${b}\r\n{text}\r\n").into_bytes()
    }

    #[test]
    fn every_kth_message_with_a_position_is_dropped() {
        let plan = Plan::default();
        plan.drop_every(3, "spared");
        let numbered = push("t:a", "e:1:{}");
        let fate: Vec<_> = (0..7).map(|_| plan.drops(&numbered)).collect();
        assert_eq!(fate, [false, false, true, false, false, true, false]);
        for other in [push("t:a", "::{}"), push("t:spared", "e:1:{}"), b"+OK\r\n".to_vec()] {
            assert!((0..9).all(|_| !plan.drops(&other)));
        }
        assert_eq!(plan.dropped(), 2);
        plan.drop_every(0, "");
        assert!((0..9).all(|_| !plan.drops(&numbered)));
    }

    #[test]
    fn the_next_of_a_topic_is_dropped_once() {
        let plan = Plan::default();
        plan.drop_next_of(":last");
        assert!(!plan.drops(&push("t:other", "e:1:{}")));
        assert!(plan.drops(&push("t:last", "e:1:{}")));
        assert!(!plan.drops(&push("t:last", "e:2:{}")));
    }

    #[test]
    fn probes_are_dropped_only_where_the_node_is_deaf() {
        let plan = Plan::default();
        plan.drop_next(1);
        let probe = push("mn:{0}:p:node", "1");
        assert!(!plan.drops(&probe));
        plan.deafen(true);
        assert!(plan.drops(&probe));
        assert_eq!((plan.left_to_drop(), plan.dropped()), (1, 0));
        assert!(plan.drops(&push("t", "x")));
        assert_eq!((plan.left_to_drop(), plan.dropped()), (0, 1));
    }
}
