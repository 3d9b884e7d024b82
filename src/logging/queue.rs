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

/// What the writer's thread is told.
#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// Say so when all before it is written, and what is missing told.
    Settle(SyncSender<()>),
}

/// What waits, in the writer's hands included, and what was dropped.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
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

    /// Counts a line that nobody will read.
    fn miss(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
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
    /// Starts the thread. `notice` makes the line that says how many are missing.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        capacity: usize,
        notice: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_telling(out, capacity, notice, NOTICE)
    }

    /// As [`LineQueue::start`], with the time between two notices.
    fn start_telling(
        out: impl Write + Send + 'static,
        capacity: usize,
        notice: impl Fn(u64) -> Vec<u8> + Send + 'static,
        interval: Duration,
    ) -> io::Result<Self> {
        let (orders, taken) = sync_channel(capacity + VITAL_LINES);
        let waiting = Arc::new(Waiting::default());
        let told_at = Instant::now();
        let notices = Notices { make: notice, interval, told: 0, told_at };
        let writer = Writer { out, taken, waiting: Arc::clone(&waiting), notices, is_torn: false };
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

    /// Returns how many lines were dropped because the writer could not keep up, or could not write.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting.dropped()
    }

    /// Waits until what was logged so far is written, and told how much of it is missing, but not for long; tells whether
    /// it is.
    pub(super) fn settle(&self, most: Duration) -> bool {
        let end = Instant::now() + most;
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
            self.waiting.miss();
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread works with.
struct Writer<W, N> {
    out: W,
    taken: Receiver<Order>,
    waiting: Arc<Waiting>,
    notices: Notices<N>,
    /// The last line was written in part, as on a disk that is full: the next one begins with a line end.
    is_torn: bool,
}

/// What is told of lines that are missing. It goes by no queue: where lines are dropped, there is no room for it either.
struct Notices<N> {
    make: N,
    interval: Duration,
    /// How many of the dropped lines were spoken of.
    told: u64,
    told_at: Instant,
}

impl<N> Notices<N> {
    fn is_time(&self) -> bool {
        self.told_at.elapsed() >= self.interval
    }
}

impl<W: Write, N: Fn(u64) -> Vec<u8>> Writer<W, N> {
    /// Writes until nobody can log any more.
    fn run(mut self) {
        let mut is_written = true;
        loop {
            let order = match self.taken.try_recv() {
                Err(TryRecvError::Empty) => {
                    // only where a line could be written: a disk that is full is not asked twice
                    if is_written {
                        self.tell_dropped();
                    }
                    self.taken.recv().ok()
                }
                order => order.ok(),
            };
            match order {
                Some(Order::Write(line)) => {
                    is_written = self.put_line(&line);
                    if !is_written {
                        self.waiting.miss();
                    }
                    self.waiting.leave(line.len());
                    // a reader that is too slow all the time never sees the queue empty
                    if is_written && self.is_untold() && self.notices.is_time() {
                        self.tell_dropped();
                    }
                }
                Some(Order::Settle(done)) => {
                    self.tell_dropped();
                    // who gave up waiting is not there any more
                    done.send(()).unwrap_or_default();
                }
                None => return,
            }
        }
    }

    /// Writes how many lines are missing since the last time, if any; if that cannot be written, the next time tells them too.
    fn tell_dropped(&mut self) {
        if !self.is_untold() {
            return;
        }
        let dropped = self.waiting.dropped();
        let notice = (self.notices.make)(dropped - self.notices.told);
        if self.put_line(&notice) {
            self.notices.told = dropped;
            self.notices.told_at = Instant::now();
        }
    }

    fn is_untold(&self) -> bool {
        self.waiting.dropped() > self.notices.told
    }

    /// Writes a line on a line of its own; tells whether all of it is written.
    fn put_line(&mut self, line: &[u8]) -> bool {
        (!self.is_torn || self.put(b"\n")) && self.put(line)
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

#[cfg(test)]
pub(super) mod tests;
