//! What an operator sees of a mailbox: how deep it is and was, what was taken from it, and how long that took.
//!
//! One [`Mailbox`] stands for all actors of one kind on one thread. Whoever posts pays one atomic addition;
//! the thread of the actors alone writes the rest, so that it needs no more than plain stores. One message
//! in [`TIMED_ONE_IN`] carries the moment at which it was posted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message, Recipient};

use crate::clock::{Clock, Moment};
use crate::door::{post, tell};
use crate::metrics::{Counter, Delays};

/// One message in so many is timed. A prime, for traffic has rhythms of its own.
pub const TIMED_ONE_IN: u64 = 13;

/// Bounds of the times that are told apart, in microseconds.
const BOUNDS_MICROS: &[u32] =
    &[10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// A message that has a name in its mailbox's list of names.
pub trait Named: Message<Result = ()> + Send + 'static {
    /// Returns its name.
    fn name(&self) -> &'static str;
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

/// What is counted of the mailboxes of one kind of actor on one thread. See the module.
#[derive(Debug)]
pub struct Mailbox {
    clock: Clock,
    names: &'static [&'static str],
    posted: Posted,
    handled: Box<[Tally]>,
    unnamed: Tally,
    /// Of all names together.
    taken: Tally,
    dropped: Tally,
    highest: Tally,
    queued: Delays,
    handling: Delays,
    /// Commands that panicked.
    pub panics: Counter,
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
    /// Makes the count of mailboxes that take messages of these names, the most frequent first.
    pub(crate) fn new(names: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::start(),
            names,
            posted: Posted::default(),
            handled: names.iter().map(|_| Tally::default()).collect(),
            unnamed: Tally::default(),
            taken: Tally::default(),
            dropped: Tally::default(),
            highest: Tally::default(),
            queued: Delays::new(BOUNDS_MICROS),
            handling: Delays::new(BOUNDS_MICROS),
            panics: Counter::default(),
        })
    }

    /// Counts a message that is about to be posted. On any thread.
    pub(crate) fn seal<M: Named>(&self, message: M) -> Letter<M> {
        let before = self.posted.0.fetch_add(1, Ordering::Relaxed);
        let posted = before.is_multiple_of(TIMED_ONE_IN).then(|| self.clock.now());
        Letter { message, posted }
    }

    /// Takes a message, and counts it. On the thread of the actors alone, like all that counts what was taken.
    pub fn open<M: Named>(&self, letter: &Letter<M>) -> Taken {
        // it is deepest just before something is taken
        let depth = self.depth();
        if depth > self.highest.get() {
            self.highest.set(depth);
        }
        self.taken.add(1);
        self.tally_of(letter.message.name()).add(1);
        let begun = letter.posted.map(|posted| {
            let now = self.clock.now();
            self.queued.add(now.since(posted));
            now
        });
        Taken(begun)
    }

    /// Counts how long a message took.
    pub fn done(&self, Taken(begun): Taken) {
        if let Some(begun) = begun {
            self.handling.add(self.clock.now().since(begun));
        }
    }

    /// Counts messages that went with the mailbox of an actor that has ended.
    pub(crate) fn drop_unread(&self, count: u32) {
        self.dropped.add(count.into());
    }

    fn tally_of(&self, name: &str) -> &Tally {
        let index = self.names.iter().position(|known| *known == name);
        index.and_then(|index| self.handled.get(index)).unwrap_or(&self.unnamed)
    }

    /// Returns how many messages wait.
    pub fn depth(&self) -> u64 {
        let gone = self.taken.get() + self.dropped.get();
        self.posted.0.load(Ordering::Relaxed).saturating_sub(gone)
    }

    /// Returns the most that ever waited.
    pub fn highest(&self) -> u64 {
        self.highest.get()
    }

    /// Returns how many messages were taken, by name; `other` for those that the list lacks.
    pub fn handled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = self.names.iter().copied().zip(self.handled.iter().map(Tally::get));
        named.chain([("other", self.unnamed.get())])
    }

    /// Returns how many messages went unread with their actor.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
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

/// An actor's address, and what is counted of its mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Postbox<T> {
    to: T,
    mail: Arc<Mailbox>,
}

impl<T> Postbox<T> {
    pub(crate) fn new(to: T, mail: Arc<Mailbox>) -> Self {
        Self { to, mail }
    }
}

impl<A: Actor> Postbox<Addr<A>> {
    /// Returns the address.
    pub(crate) fn to(&self) -> &Addr<A> {
        &self.to
    }

    /// Posts a message. It is bounded as [`post`] says.
    pub(crate) fn post<M: Named>(&self, message: M)
    where
        A: Handler<Letter<M>>,
        A::Context: ToEnvelope<A, Letter<M>>,
    {
        post(&self.to, self.mail.seal(message));
    }
}

impl<M: Named> Postbox<Recipient<Letter<M>>> {
    /// As [`Self::post`], to whoever takes such a message.
    pub(crate) fn tell(&self, message: M) {
        tell(&self.to, self.mail.seal(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Word(&'static str);

    impl Named for Word {
        fn name(&self) -> &'static str {
            self.0
        }
    }

    #[test]
    fn the_depth_is_what_was_posted_and_neither_taken_nor_dropped() {
        let mail = Mailbox::new(&["a", "b"]);
        let letters = ["a", "b", "a", "c"].map(|name| mail.seal(Word(name)));
        assert_eq!((mail.depth(), mail.highest()), (4, 0));
        for (letter, left) in letters.into_iter().zip([3, 2, 1, 0]) {
            mail.done(mail.open(&letter));
            assert_eq!((mail.depth(), mail.highest()), (left, 4));
        }
        let handled: Vec<_> = mail.handled().collect();
        assert_eq!(handled, [("a", 2), ("b", 1), ("other", 1)]);
        mail.seal(Word("a"));
        mail.drop_unread(1);
        assert_eq!((mail.depth(), mail.dropped()), (0, 1));
    }

    #[test]
    fn one_message_in_so_many_is_timed() {
        let mail = Mailbox::new(&["a"]);
        for _ in 0..=TIMED_ONE_IN {
            let letter = mail.seal(Word("a"));
            mail.done(mail.open(&letter));
        }
        for delays in [mail.queued(), mail.handling()] {
            assert_eq!(delays.count(), 2);
        }
    }
}
