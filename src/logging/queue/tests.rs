//! The queue before a pipe that is stuck, slow or full.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::sync::{Condvar, Mutex};

use super::*;

/// Makes the notices of these tests.
pub(in crate::logging) fn notice(lines: u64) -> Vec<u8> {
    format!("missing {lines}\n").into_bytes()
}

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

/// Writes numbered lines.
fn write_lines(queue: &mut LineQueue, count: usize) {
    for line in 0..count {
        queue.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

#[test]
fn a_stuck_pipe_drops_and_counts_and_blocks_nobody() {
    let pipe = Pipe::default();
    pipe.stick(true);
    let mut queue = LineQueue::start(pipe.clone(), 8, notice).unwrap();
    write_lines(&mut queue, 100);
    // 8 wait, in the writer's hands included
    assert_eq!(queue.dropped(), 92);
    assert!(!queue.settle(Duration::from_millis(1)));
    pipe.stick(false);
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(pipe.text(), "0\n1\n2\n3\n4\n5\n6\n7\nmissing 92\n");
}

#[test]
fn a_reader_that_is_always_too_slow_hears_what_it_misses() {
    let pipe = Pipe::default();
    pipe.stick(true);
    let mut queue = LineQueue::start_telling(pipe.clone(), 8, notice, Duration::ZERO).unwrap();
    write_lines(&mut queue, 100);
    pipe.stick(false);
    assert!(queue.settle(Duration::from_secs(10)));
    // though seven lines wait still
    assert_eq!(pipe.text(), "0\nmissing 92\n1\n2\n3\n4\n5\n6\n7\n");
}

#[test]
fn a_flood_of_errors_leaves_no_notice_out() {
    let pipe = Pipe::default();
    pipe.stick(true);
    let mut queue = LineQueue::start(pipe.clone(), 8, notice).unwrap();
    let mut vital = queue.vital();
    write_lines(&mut queue, 100);
    write_lines(&mut vital, VITAL_LINES + 100);
    assert_eq!(queue.dropped(), 192);
    pipe.stick(false);
    assert!(queue.settle(Duration::from_secs(10)));
    let text = pipe.text();
    assert!(text.ends_with(&format!("\n{}\nmissing 192\n", VITAL_LINES - 1)), "{text}");
}

#[test]
fn errors_have_places_of_their_own_and_a_full_queue_is_waited_for() {
    let pipe = Pipe::default();
    pipe.stick(true);
    let mut queue = LineQueue::start(pipe.clone(), 8, notice).unwrap();
    let mut vital = queue.vital();
    write_lines(&mut queue, 100);
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
    let mut queue = LineQueue::start(pipe.clone(), 8, notice).unwrap();
    writeln!(queue, "kept").unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(pipe.text(), "kept\n");
}

#[test]
fn long_lines_are_bounded_by_their_bytes() {
    let pipe = Pipe::default();
    pipe.stick(true);
    let mut queue = LineQueue::start(pipe.clone(), QUEUE_LINES, notice).unwrap();
    let line = vec![b'x'; QUEUE_BYTES / 4];
    for _ in 0..10 {
        queue.write_all(&line).unwrap();
    }
    assert_eq!(queue.dropped(), 6);
    pipe.stick(false);
    assert!(queue.settle(Duration::from_secs(10)));
    let told = notice(6).len();
    assert_eq!(pipe.text().len(), QUEUE_BYTES + told);
    // there is room again
    queue.write_all(&line).unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(pipe.text().len(), QUEUE_BYTES + told + line.len());
}

#[test]
fn a_disk_that_was_full_takes_what_comes_later() {
    let pipe = Pipe::default();
    pipe.fill(Some(0));
    let mut queue = LineQueue::start(pipe.clone(), 8, notice).unwrap();
    writeln!(queue, "lost").unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(queue.dropped(), 1);
    pipe.fill(None);
    writeln!(queue, "kept").unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    pipe.fill(Some(2));
    writeln!(queue, "torn").unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(queue.dropped(), 2);
    pipe.fill(None);
    writeln!(queue, "whole").unwrap();
    assert!(queue.settle(Duration::from_secs(10)));
    assert_eq!(pipe.text(), "kept\nmissing 1\nto\nwhole\nmissing 1\n");
}
