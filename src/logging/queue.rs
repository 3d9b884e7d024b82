//! The way of a line to its reader: a bounded queue, and a thread that alone waits for a full disk or a stuck pipe.

#![expect(
    clippy::disallowed_methods,
    reason = "these threads know no other clock than the system's"
)]

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

/// Bytes that may wait for it: no matter how long the lines are.
pub const QUEUE_BYTES: usize = 16 << 20;

/// Target of what the queue itself logs.
pub(super) const TARGET: &str = module_path!();

/// Lines that may wait beyond [`QUEUE_LINES`] where they are vital: why the process ends is among the last of them.
const VITAL_LINES: usize = 256;
/// Bytes that may wait beyond [`QUEUE_BYTES`] for these.
const VITAL_BYTES: usize = 1 << 20;
/// Time between two notices of what was dropped while lines wait.
const NOTICE: Duration = Duration::from_secs(1);
/// Time between two attempts at a full queue.
const RETRY: Duration = Duration::from_millis(2);
/// First and longest time between two attempts at a pipe that does not block.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

static DROPPED: AtomicU64 = AtomicU64::new(0);
/// How many of them were spoken of.
static TOLD: AtomicU64 = AtomicU64::new(0);

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

/// What waits, in the writer's hands included.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// Takes a line in, if there is room.
    fn join(&self, length: usize, most_lines: usize, most_bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        let has_room = lines <= most_lines && bytes <= most_bytes;
        if !has_room {
            self.leave(length);
        }
        has_room
    }

    fn leave(&self, length: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

/// The way to the writer's thread. Never blocks but in [`LineQueue::settle`]. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    orders: SyncSender<Order>,
    waiting: Arc<Waiting>,
    most_lines: usize,
    most_bytes: usize,
}

impl LineQueue {
    /// Starts the thread.
    pub(super) fn start(out: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (orders, taken) = sync_channel(capacity + VITAL_LINES);
        let waiting = Arc::new(Waiting::default());
        let writer = Writer { out, taken, waiting: Arc::clone(&waiting), is_torn: false };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders, waiting, most_lines: capacity, most_bytes: QUEUE_BYTES })
    }

    /// Returns the same queue for lines that may take the last places.
    pub(super) fn vital(&self) -> Self {
        Self {
            most_lines: self.most_lines + VITAL_LINES,
            most_bytes: self.most_bytes + VITAL_BYTES,
            ..self.clone()
        }
    }

    /// Waits until what was logged so far is written, and told how much of it is missing, but not for long; tells whether
    /// it is.
    pub(super) fn settle(&self, most: Duration) -> bool {
        let end = Instant::now() + most;
        tell_dropped();
        let (done, settled) = sync_channel(1);
        let mut order = Order::Settle(done);
        while let Err(error) = self.orders.try_send(order) {
            match error {
                TrySendError::Full(refused) if Instant::now() < end => order = refused,
                _ => return false,
            }
            thread::sleep(RETRY);
        }
        settled.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok()
    }
}

impl Write for LineQueue {
    /// Takes one whole line: `env_logger` writes a record in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len();
        let mut is_taken = self.waiting.join(length, self.most_lines, self.most_bytes);
        if is_taken && self.orders.try_send(Order::Write(line.to_vec())).is_err() {
            self.waiting.leave(length);
            is_taken = false;
        }
        if !is_taken {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread works with.
struct Writer<W> {
    out: W,
    taken: Receiver<Order>,
    waiting: Arc<Waiting>,
    /// The last line was written in part, as on a disk that is full: the next one begins with a line end.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    /// Writes until nobody can log any more.
    fn run(mut self) {
        let mut told_at = Instant::now();
        let mut is_written = true;
        loop {
            let order = match self.taken.try_recv() {
                Err(TryRecvError::Empty) => {
                    // only where a line could be written: that of this one may be dropped in its turn
                    if is_written {
                        tell_dropped();
                    }
                    self.taken.recv().ok()
                }
                order => order.ok(),
            };
            match order {
                Some(Order::Write(line)) => {
                    is_written = self.write(&line);
                    self.waiting.leave(line.len());
                    // a reader that is too slow all the time never sees the queue empty
                    if is_written && is_untold() && told_at.elapsed() >= NOTICE {
                        tell_dropped();
                        told_at = Instant::now();
                    }
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
        let (first_pause, longest_pause) = PAUSES;
        let mut pause = first_pause;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(count) if count > 0 => {
                    rest = rest.get(count..).unwrap_or_default();
                    pause = first_pause;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // whoever shares standard error made it so
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(pause);
                    pause = longest_pause.min(pause * 2);
                }
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

fn is_untold() -> bool {
    log_lines_dropped() > TOLD.load(Ordering::Relaxed)
}

/// Logs how many lines are missing since the last time.
fn tell_dropped() {
    let dropped = log_lines_dropped();
    let told = TOLD.fetch_max(dropped, Ordering::Relaxed);
    if dropped > told {
        log::warn!(lines = dropped - told; "lines of the log were dropped before this one: it was not taken in time");
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
        /// Answers still that it would block, instead of blocking.
        busy: usize,
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
            if let Some(busy) = held.busy.checked_sub(1) {
                held.busy = busy;
                return Err(io::ErrorKind::WouldBlock.into());
            }
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
        // At most 8 wait, in the writer's hands included.
        assert!(dropped >= 92, "{dropped}");
        assert!(!queue.settle(Duration::from_millis(1)));
        pipe.stick(false);
        pipe.wait_for("0\n");
    }

    #[test]
    fn errors_have_places_of_their_own_and_a_full_queue_is_waited_for() {
        let pipe = Pipe::default();
        pipe.stick(true);
        let mut queue = LineQueue::start(pipe.clone(), 8).unwrap();
        let mut vital = queue.vital();
        for line in 0..100 {
            queue.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        for line in 0..VITAL_LINES {
            vital.write_all(format!("error {line}\n").as_bytes()).unwrap();
        }
        // one place more is there, for the writer has taken a line
        while queue.orders.try_send(Order::Write(b"filler\n".to_vec())).is_ok() {
            queue.waiting.lines.fetch_add(1, Ordering::Relaxed);
            queue.waiting.bytes.fetch_add(7, Ordering::Relaxed);
        }
        let settled = thread::spawn(move || queue.settle(Duration::from_secs(10)));
        pipe.stick(false);
        assert!(settled.join().unwrap());
        let text = pipe.text();
        let last = format!("error {}\n", VITAL_LINES - 1);
        assert!(text.starts_with("0\n1\n") && text.contains(&last), "{text}");
        assert!(!text.contains("\n8\n"), "{text}");
    }

    #[test]
    fn a_pipe_that_would_block_is_asked_again() {
        let pipe = Pipe::default();
        pipe.0.held.lock().unwrap().busy = 5;
        let mut queue = LineQueue::start(pipe.clone(), 8).unwrap();
        writeln!(queue, "kept").unwrap();
        assert!(queue.settle(Duration::from_secs(10)));
        assert_eq!(pipe.text(), "kept\n");
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
