//! The way of a line to its reader: a bounded queue, and a thread that alone waits for a full disk or a stuck pipe.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

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
}

impl LineQueue {
    /// Starts the thread.
    pub(super) fn start(out: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (orders, waiting) = sync_channel(capacity);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &waiting))?;
        Ok(Self { orders })
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
        if self.orders.try_send(Order::Write(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer's thread.
fn write(mut out: impl Write, waiting: &Receiver<Order>) {
    let mut told = log_lines_dropped();
    let mut is_written = true;
    let mut is_torn = false;
    loop {
        let order = match waiting.try_recv() {
            Err(TryRecvError::Empty) => {
                // only where a line could be written: that of this one may be dropped in its turn
                if is_written {
                    tell_dropped(&mut told);
                }
                waiting.recv().ok()
            }
            order => order.ok(),
        };
        match order {
            Some(Order::Write(line)) => {
                is_written = (!is_torn || put(&mut out, b"\n", &mut is_torn))
                    && put(&mut out, &line, &mut is_torn);
                if !is_written {
                    DROPPED.fetch_add(1, Ordering::Relaxed);
                }
            }
            // who gave up waiting is not there any more
            Some(Order::Settle(done)) => done.send(()).unwrap_or_default(),
            None => return,
        }
    }
}

/// Writes a line, all of it or, as on a disk that is full, a part: then it is torn, and the next one begins with a line end.
fn put(out: &mut impl Write, line: &[u8], is_torn: &mut bool) -> bool {
    let mut rest = line;
    while !rest.is_empty() {
        match out.write(rest) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
            _ => {
                *is_torn |= rest.len() < line.len();
                return false;
            }
        }
    }
    *is_torn = false;
    out.flush().is_ok()
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

    use std::sync::{Arc, Condvar, Mutex};

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
