//! The way of a line to its reader: a bounded queue, and a thread that alone waits for a full disk or a stuck pipe.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

/// Bytes that may wait for it: no matter how long the lines are.
pub const QUEUE_BYTES: usize = 16 << 20;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns how many lines were dropped since the start because the writer could not keep up, or could not write.
pub fn log_lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// What the writer's thread is told.
#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// Say so when all before it is written.
    Settle(SyncSender<()>),
}

/// The way to the writer's thread. Never blocks but in [`LineQueue::settle`]. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    orders: SyncSender<Order>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
}

impl LineQueue {
    /// Starts the thread.
    pub(super) fn start(out: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (orders, taken) = sync_channel(capacity);
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer { out, taken, waiting: Arc::clone(&waiting), is_torn: false };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders, waiting })
    }

    /// Waits until what was logged so far is written, but not for long; tells whether it is. A writer that is stuck, or
    /// so late that there is no place in its queue, is not waited for.
    pub(super) fn settle(&self, most: Duration) -> bool {
        let (done, settled) = sync_channel(1);
        self.orders.try_send(Order::Settle(done)).is_ok() && settled.recv_timeout(most).is_ok()
    }
}

impl Write for LineQueue {
    /// Takes one whole line: `env_logger` writes a record in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len();
        let has_room = self.waiting.fetch_add(length, Ordering::Relaxed) + length <= QUEUE_BYTES;
        if !has_room || self.orders.try_send(Order::Write(line.to_vec())).is_err() {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread works with.
struct Writer<W> {
    out: W,
    taken: Receiver<Order>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    /// The last line was written in part, as on a disk that is full: the next one begins with a line end.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    /// Writes until nobody can log any more.
    fn run(mut self) {
        let mut told = log_lines_dropped();
        let mut is_written = true;
        loop {
            let order = match self.taken.try_recv() {
                Err(TryRecvError::Empty) => {
                    // only where a line could be written: that of this one may be dropped in its turn
                    if is_written {
                        tell_dropped(&mut told);
                    }
                    self.taken.recv().ok()
                }
                order => order.ok(),
            };
            match order {
                Some(Order::Write(line)) => {
                    is_written = self.write(&line);
                    self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                }
                // who gave up waiting is not there any more
                Some(Order::Settle(done)) => done.send(()).unwrap_or_default(),
                None => return,
            }
        }
    }

    /// Writes a line, or counts it as dropped.
    fn write(&mut self, line: &[u8]) -> bool {
        let is_written = (!self.is_torn || self.put(b"\n")) && self.put(line);
        if !is_written {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        is_written
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
                _ => {
                    self.is_torn |= rest.len() < bytes.len();
                    return false;
                }
            }
        }
        self.is_torn = false;
        self.out.flush().is_ok()
    }
}

/// Logs how many lines are missing since the last time.
fn tell_dropped(told: &mut u64) {
    let dropped = log_lines_dropped();
    if dropped > *told {
        log::warn!(lines = dropped - *told; "lines of the log were dropped before this one: it was not taken in time");
        *told = dropped;
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A pipe that keeps what it gets, and takes nothing while it is stuck.
    #[derive(Clone, Default)]
    pub(in crate::logging) struct Pipe(Arc<PipeEnds>);

    #[derive(Default)]
    struct PipeEnds {
        held: Mutex<Held>,
        moved: Condvar,
    }

    #[derive(Default)]
    struct Held {
        stuck: bool,
        /// Bytes that there is still room for.
        room: Option<usize>,
        bytes: Vec<u8>,
    }

    impl Pipe {
        fn stick(&self, stuck: bool) {
            self.0.held.lock().unwrap().stuck = stuck;
            self.0.moved.notify_all();
        }

        fn fill(&self, room: Option<usize>) {
            self.0.held.lock().unwrap().room = room;
        }

        /// Waits until the text begins like this.
        fn wait_for(&self, start: &str) {
            let held = self.0.held.lock().unwrap();
            let is_missing = |held: &mut Held| !held.bytes.starts_with(start.as_bytes());
            let deadline = Duration::from_secs(10);
            let (_held, waited) =
                self.0.moved.wait_timeout_while(held, deadline, is_missing).unwrap();
            assert!(!waited.timed_out());
        }

        pub(in crate::logging) fn text(&self) -> String {
            String::from_utf8(self.0.held.lock().unwrap().bytes.clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let held = self.0.held.lock().unwrap();
            let mut held = self.0.moved.wait_while(held, |held| held.stuck).unwrap();
            let taken = held.room.unwrap_or(usize::MAX).min(bytes.len());
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            held.room = held.room.map(|room| room - taken);
            let bytes = &bytes[..taken];
            held.bytes.extend_from_slice(bytes);
            self.0.moved.notify_all();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_pipe_drops_and_counts_and_blocks_nobody() {
        let pipe = Pipe::default();
        pipe.stick(true);
        let mut queue = LineQueue::start(pipe.clone(), 8).unwrap();
        let before = log_lines_dropped();
        for line in 0..100 {
            writeln!(queue, "{line}").unwrap();
        }
        let dropped = log_lines_dropped() - before;
        // At most 8 wait, and one is in the writer's hands.
        assert!(dropped >= 91, "{dropped}");
        assert!(!queue.settle(Duration::from_millis(1)));
        pipe.stick(false);
        pipe.wait_for("0\n");
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let pipe = Pipe::default();
        pipe.stick(true);
        let mut queue = LineQueue::start(pipe.clone(), QUEUE_LINES).unwrap();
        let line = vec![b'x'; QUEUE_BYTES / 4];
        let before = log_lines_dropped();
        for _ in 0..10 {
            queue.write_all(&line).unwrap();
        }
        assert!(log_lines_dropped() - before >= 6);
        pipe.stick(false);
        assert!(queue.settle(Duration::from_secs(10)));
        assert_eq!(pipe.text().len(), QUEUE_BYTES);
        // there is room again
        queue.write_all(&line).unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        assert_eq!(pipe.text().len(), QUEUE_BYTES + line.len());
    }

    #[test]
    fn a_disk_that_was_full_takes_what_comes_later() {
        let pipe = Pipe::default();
        pipe.fill(Some(0));
        let mut queue = LineQueue::start(pipe.clone(), 8).unwrap();
        let before = log_lines_dropped();
        writeln!(queue, "lost").unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        assert!(log_lines_dropped() > before);
        pipe.fill(None);
        writeln!(queue, "kept").unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        pipe.fill(Some(2));
        writeln!(queue, "torn").unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        pipe.fill(None);
        writeln!(queue, "whole").unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        assert_eq!(pipe.text(), "kept\nto\nwhole\n");
    }
}
