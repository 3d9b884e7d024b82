//! What an operator sees of a mailbox: how deep it is and was, what was taken from it, and how long that took.
//!
//! One [`Mailbox`] stands for all actors of one kind on one thread. Whoever posts pays one atomic addition;
//! the thread of the actors alone writes the rest, so that it needs no more than plain stores. One message
//! in [`TIMED_ONE_IN`] carries the moment at which it was posted. [`NodeConfig::mailbox_metrics`] switches all
//! of it off.
//!
//! [`NodeConfig::mailbox_metrics`]: crate::config::NodeConfig::mailbox_metrics

mod kinds;
pub(crate) mod names;
mod postbox;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::Message;

pub use self::kinds::Mailboxes;
use self::names::Names;
pub(crate) use self::postbox::Postbox;
use crate::clock::{Clock, Moment};
use crate::metrics::{Counter, Delays};

/// One message in so many is timed. A prime, for traffic has rhythms of its own.
pub const TIMED_ONE_IN: u64 = 13;

/// How often the depth is looked at again while messages are taken.
const LOOKS: u32 = 4;

/// Bounds of the times that are told apart, in microseconds.
const BOUNDS_MICROS: &[u32] =
    &[10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// A message that has a name in its mailbox's list of names.
pub trait Named: Message<Result = ()> + Send + 'static {
    /// Returns the place of its name in that list.
    fn index(&self) -> usize;
}

/// A message on its way through a mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Letter<M> {
    /// The message.
    pub message: M,
    /// When it was posted, if it is one of those that are timed.
    posted: Option<Moment>,
}

/// When a message was taken, if it is one of those that are timed.
#[derive(Debug, Clone, Copy)]
pub struct Taken(Option<Moment>);

/// The mailboxes of one kind of actor on one thread, as those who post and the actors themselves have them.
/// Clones count together. Nothing is counted where that is switched off.
#[derive(Debug, Clone)]
pub struct Mail(Option<Arc<Mailbox>>);

impl Mail {
    /// Makes mailboxes that take messages of these names, and are measured or not.
    pub(crate) fn new(names: Names, measured: bool) -> Self {
        Self(measured.then(|| Arc::new(Mailbox::new(names))))
    }

    /// Returns what is counted of them; `None` where nothing is.
    pub fn figures(&self) -> Option<&Mailbox> {
        self.0.as_deref()
    }

    /// Counts a message that is about to be posted. On any thread.
    pub(crate) fn seal<M: Named>(&self, message: M) -> Letter<M> {
        let posted = self.figures().and_then(Mailbox::count_posted);
        Letter { message, posted }
    }

    /// Takes a message, and counts it. On the thread of the actors alone, like all that counts what was taken.
    pub fn open<M: Named>(&self, letter: &Letter<M>) -> Taken {
        let count = |mail: &Mailbox| mail.count_taken(letter.message.index(), letter.posted);
        Taken(self.figures().and_then(count))
    }

    /// Counts how long a message took.
    pub fn done(&self, Taken(begun): Taken) {
        if let (Some(begun), Some(mail)) = (begun, self.figures()) {
            mail.count_handled(begun);
        }
    }

    /// Counts messages that went with the mailbox of an actor that has ended.
    pub(crate) fn drop_unread(&self, count: u32) {
        if let Some(mail) = self.figures() {
            mail.count_dropped(count);
        }
    }
}

/// What is counted of the mailboxes of one kind of actor on one thread. See the module.
#[derive(Debug)]
pub struct Mailbox {
    clock: Clock,
    names: Names,
    posted: Posted,
    handled: Box<[Tally]>,
    /// Of all names together.
    taken: Tally,
    dropped: Tally,
    undeliverable: Counter,
    highest: Tally,
    queued: Delays,
    handling: Delays,
}

/// On a cache line of its own: other threads write it, while one writes all the rest.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Posted(AtomicU64);

/// A number that one thread alone writes: no atomic addition is needed.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

impl Tally {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    fn add(&self, count: u64) {
        self.set(self.get() + count);
    }
}

impl Mailbox {
    fn new(names: Names) -> Self {
        Self {
            clock: Clock::start(),
            names,
            posted: Posted::default(),
            handled: names.iter().map(|_| Tally::default()).collect(),
            taken: Tally::default(),
            dropped: Tally::default(),
            undeliverable: Counter::default(),
            highest: Tally::default(),
            queued: Delays::new(BOUNDS_MICROS),
            handling: Delays::new(BOUNDS_MICROS),
        }
    }

    /// Returns when it was, if the message is one of those that are timed.
    fn count_posted(&self) -> Option<Moment> {
        let before = self.posted.0.fetch_add(1, Ordering::Relaxed);
        before.is_multiple_of(TIMED_ONE_IN).then(|| self.clock.now())
    }

    /// Returns when it was, if the message is one of those that are timed.
    fn count_taken(&self, index: usize, posted: Option<Moment>) -> Option<Moment> {
        self.mark();
        self.taken.add(1);
        if let Some(tally) = self.handled.get(index) {
            tally.add(1);
        }
        posted.map(|posted| {
            let now = self.clock.now();
            self.queued.add(now.since(posted));
            now
        })
    }

    fn count_handled(&self, begun: Moment) {
        self.handling.add(self.clock.now().since(begun));
    }

    fn count_dropped(&self, count: u32) {
        self.mark();
        self.dropped.add(count.into());
    }

    /// Counts a message whose actor is gone: it was not posted. On any thread.
    fn count_undeliverable(&self) {
        self.undeliverable.add(1);
    }

    /// Notes the depth before it falls: never was it deeper since it fell last.
    fn mark(&self) {
        // nobody else takes anything meanwhile
        let depth = self.posted().saturating_sub(self.gone());
        if depth > self.highest.get() {
            self.highest.set(depth);
        }
    }

    /// Returns how many messages wait; fewer than did if some are taken at each look.
    pub fn depth(&self) -> u64 {
        let mut gone = self.gone();
        for _ in 0..LOOKS {
            let (before, posted) = (gone, self.posted());
            gone = self.gone();
            if gone == before {
                return posted.saturating_sub(gone);
            }
        }
        // what was posted is read first: what is taken after it must not pass for what waits
        self.posted().saturating_sub(self.gone())
    }

    /// Returns the most that ever waited.
    pub fn highest(&self) -> u64 {
        // those that wait now have not been noted yet; if they are taken meanwhile, they have
        let depth = self.depth();
        self.highest.get().max(depth)
    }

    fn posted(&self) -> u64 {
        // acquired, so that what is read after it is no older
        self.posted.0.load(Ordering::Acquire)
    }

    fn gone(&self) -> u64 {
        self.taken.0.load(Ordering::Acquire) + self.dropped.0.load(Ordering::Acquire)
    }

    /// Returns how many messages were taken, by name.
    pub fn handled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().zip(self.handled.iter().map(Tally::get))
    }

    /// Returns how many messages went unread with their actor.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Returns how many messages were not posted, for their actor was gone.
    pub fn undeliverable(&self) -> u64 {
        self.undeliverable.get()
    }

    /// Returns how long the timed messages waited.
    pub fn queued(&self) -> &Delays {
        &self.queued
    }

    /// Returns how long the timed messages took.
    pub fn handling(&self) -> &Delays {
        &self.handling
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Word(usize);

    impl Named for Word {
        fn index(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn the_depth_is_what_was_posted_and_neither_taken_nor_dropped() {
        let mail = Mail::new(names::SESSION, true);
        let letters = [0, 1, 0].map(|index| mail.seal(Word(index)));
        let figures = mail.figures().unwrap();
        assert_eq!((figures.depth(), figures.highest()), (3, 3), "nothing was taken yet");
        for (letter, left) in letters.into_iter().zip([2, 1, 0]) {
            mail.done(mail.open(&letter));
            assert_eq!((figures.depth(), figures.highest()), (left, 3));
        }
        let handled: Vec<_> = figures.handled().collect();
        assert_eq!(handled, [("tick", 2), ("refused", 1)]);
        for _ in 0..5 {
            mail.seal(Word(0));
        }
        mail.drop_unread(5);
        assert_eq!((figures.depth(), figures.dropped(), figures.highest()), (0, 5, 5));
    }

    /// Looks from another thread while one message after another is posted and taken.
    #[test]
    fn whoever_looks_meanwhile_sees_no_more_than_ever_waited() {
        let mail = Mail::new(names::SESSION, true);
        let figures = mail.figures().unwrap();
        let mut most = (0, 0);
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                for _ in 0..200_000 {
                    mail.done(mail.open(&mail.seal(Word(0))));
                }
            });
            while !busy.is_finished() {
                let (depth, highest) = (figures.depth(), figures.highest());
                most = (depth.max(most.0), highest.max(most.1));
            }
        });
        assert!(most.0 <= 1 && most.1 <= 1, "depth and mark were {most:?}");
        assert_eq!((figures.depth(), figures.highest()), (0, 1));
    }

    #[test]
    fn what_is_switched_off_is_neither_counted_nor_timed() {
        let mail = Mail::new(names::SESSION, false);
        let letter = mail.seal(Word(0));
        assert_eq!(letter.posted, None);
        mail.done(mail.open(&letter));
        mail.drop_unread(1);
        assert!(mail.figures().is_none());
    }

    #[test]
    fn one_message_in_so_many_is_timed() {
        let mail = Mail::new(names::SESSION, true);
        let figures = mail.figures().unwrap();
        for _ in 0..=TIMED_ONE_IN {
            let letter = mail.seal(Word(0));
            mail.done(mail.open(&letter));
        }
        for delays in [figures.queued(), figures.handling()] {
            assert_eq!(delays.count(), 2);
        }
    }
}
