//! Bounds for mailboxes, which actix itself does not keep: a place is reserved before a message is posted.
//!
//! A [`Place`] travels with the work it stands for, from the edge to the couriers, and is free again
//! when the last of them is done. So one bound covers every mailbox on the way, and what was accepted
//! is never refused further on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message, Recipient};

/// How much work of one kind may be under way at once.
#[derive(Debug)]
pub(crate) struct Bound {
    places: usize,
    taken: AtomicUsize,
    highest: AtomicUsize,
    refused: AtomicU64,
}

/// The right to have one piece of work under way. Clones stand for the same piece.
#[derive(Debug, Clone)]
pub(crate) struct Place(#[expect(dead_code, reason = "held for its drop")] Arc<Held>);

#[derive(Debug)]
struct Held(Arc<Bound>);

impl Bound {
    /// Allows `places` pieces of work.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            taken: AtomicUsize::new(0),
            highest: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes a place; `None` when all are taken, which is counted.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Place> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before >= self.places {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.mark(before + 1);
        Some(Place(Arc::new(Held(Arc::clone(self)))))
    }

    /// Takes a place even over the bound: for what is here already, and must go on.
    pub(crate) fn take(self: &Arc<Self>) -> Place {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        self.mark(before + 1);
        Place(Arc::new(Held(Arc::clone(self))))
    }

    /// Notes how many are taken, if there never were as many.
    fn mark(&self, taken: usize) {
        if taken > self.highest.load(Ordering::Relaxed) {
            self.highest.fetch_max(taken, Ordering::Relaxed);
        }
    }

    /// Tells whether a place is free, as far as one may know who takes it next.
    pub(crate) fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.places
    }

    /// Returns the state for the operator.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            places: self.places,
            taken: self.taken.load(Ordering::Relaxed),
            highest: self.highest.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How full a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Pieces of work allowed at once.
    pub places: usize,
    /// Under way now.
    pub taken: usize,
    /// The most that were ever under way.
    pub highest: usize,
    /// How often there was no place.
    pub refused: u64,
}

/// Puts a message into a mailbox whatever its capacity.
///
/// What bounds it is a [`Place`] in the message, or that there is at most one such message for each
/// live subscription or connection. A mailbox whose actor is gone takes nothing; its owner sees to that.
#[expect(clippy::disallowed_methods, reason = "the one place that sends what is bounded otherwise")]
pub(crate) fn post<A, M>(to: &Addr<A>, message: M)
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.do_send(message);
}

/// As [`post`], to whoever takes such a message.
#[expect(clippy::disallowed_methods, reason = "bounded as in `post`")]
pub(crate) fn tell<M>(to: &Recipient<M>, message: M)
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.do_send(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_last_clone_goes() {
        let bound = Bound::new(1);
        let place = bound.reserve();
        let clone = place.clone();
        assert!(bound.reserve().is_none());
        drop(place);
        assert!(bound.reserve().is_none());
        drop(clone);
        assert!(bound.reserve().is_some());
        assert_eq!(bound.usage(), Usage { places: 1, taken: 0, highest: 1, refused: 2 });
    }

    #[test]
    fn what_takes_a_place_over_the_bound_is_counted() {
        let bound = Bound::new(1);
        let places = [bound.take(), bound.take()];
        assert!(!bound.has_room());
        drop(places);
        assert_eq!(bound.usage(), Usage { places: 1, taken: 0, highest: 2, refused: 0 });
    }
}
