//! Keeps one channel's events in order and without holes: pure, without a connection or a clock.
//!
//! A message says its epoch and serial. One that follows on is delivered, one that was delivered is
//! dropped, and for any other the server is asked: it alone says which epoch holds and how far it goes.
//! What came meanwhile is held, within bounds; what could not be held is read from the server's history.
//! What is not there any more is lost, and counted.

use std::collections::{BTreeMap, VecDeque};

use super::topic::Epoch;

/// Messages that are held for one channel. Further ones are read again from the server.
const HELD: usize = 1000;
/// Bytes of them.
const HELD_BYTES: usize = 1 << 20;

/// The place of one channel in its order.
#[derive(Debug)]
pub(super) struct Keeper<T> {
    /// Up to where everything is delivered; `None` until it is known where to begin.
    at: Option<At>,
    held: VecDeque<Held<T>>,
    held_bytes: usize,
    /// Something came that could not be held.
    overflowed: bool,
    /// How many messages came, to tell those before a question from those after it.
    arrivals: u64,
    asked: Option<Asked>,
    questions: u64,
}

#[derive(Debug, Clone, Copy)]
struct At {
    /// `None` as long as the channel has had no event.
    epoch: Option<Epoch>,
    serial: u64,
}

#[derive(Debug)]
struct Held<T> {
    epoch: Epoch,
    serial: u64,
    item: T,
    bytes: usize,
    arrival: u64,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    ticket: u64,
    /// Messages that had come when the question was asked.
    arrivals: u64,
}

/// A question to the server: where does the channel stand, and what comes from `from` on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// Goes with the answer.
    pub(super) ticket: u64,
    /// The first serial that is missing.
    pub(super) from: u64,
}

/// The server's answer.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The question's.
    pub(super) ticket: u64,
    /// Where the channel stands: epoch and last serial. `None` = the server knows nothing of it.
    pub(super) stands: Option<(Epoch, u64)>,
    /// What the history has from the question's serial on, in order.
    pub(super) entries: Vec<(u64, T)>,
    /// There may be more.
    pub(super) full: bool,
}

/// What follows from a message or an answer.
#[derive(Debug)]
pub(super) struct Step<T> {
    /// Goes to the subscribers now, in this order.
    pub(super) deliver: Vec<T>,
    /// To be asked.
    pub(super) ask: Option<Question>,
    /// What happened.
    pub(super) seen: Seen,
}

/// What happened in one [`Step`], for the counters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Messages that were delivered before.
    pub(super) duplicates: u64,
    /// Times that something was found missing.
    pub(super) holes: u64,
    /// Events that came from the history.
    pub(super) repaired: u64,
    /// Events that are not in the history any more.
    pub(super) lost: u64,
    /// Times that the serials began anew.
    pub(super) epochs: u64,
    /// Messages with a position that the server does not know.
    pub(super) bogus: u64,
}

impl<T> Default for Keeper<T> {
    fn default() -> Self {
        Self {
            at: None,
            held: VecDeque::new(),
            held_bytes: 0,
            overflowed: false,
            arrivals: 0,
            asked: None,
            questions: 0,
        }
    }
}

impl<T> Default for Step<T> {
    fn default() -> Self {
        Self { deliver: Vec::new(), ask: None, seen: Seen::default() }
    }
}

impl<T> Keeper<T> {
    /// Forgets where it is: everything is held until the next [`Self::begin`].
    pub(super) fn loosen(&mut self) {
        let (arrivals, questions) = (self.arrivals, self.questions);
        *self = Self { arrivals, questions, ..Self::default() };
    }

    /// Begins after a position; `None` = the channel has had no event.
    pub(super) fn begin(&mut self, position: Option<(Epoch, u64)>) -> Step<T> {
        self.at = Some(match position {
            Some((epoch, serial)) => At { epoch: Some(epoch), serial },
            None => At { epoch: None, serial: 0 },
        });
        self.asked = None;
        let mut step = Step::default();
        self.settle(&mut step);
        step
    }

    /// Returns up to where everything is delivered, as far as there was anything.
    pub(super) fn stands(&self) -> Option<(Epoch, u64)> {
        self.at.and_then(|at| Some((at.epoch?, at.serial)))
    }

    /// Takes a message of the topic.
    pub(super) fn take(&mut self, epoch: Epoch, serial: u64, item: T, bytes: usize) -> Step<T> {
        self.arrivals += 1;
        let mut step = Step::default();
        if self.at.is_some_and(|at| at.epoch == Some(epoch)) {
            self.drop_older(self.held.len(), epoch, &mut step);
        }
        match self.judge(epoch, serial) {
            Verdict::Next => {
                self.advance(epoch, serial);
                step.deliver.push(item);
                if !self.held.is_empty() {
                    self.settle(&mut step);
                }
            }
            Verdict::Duplicate => step.seen.duplicates += 1,
            Verdict::Unclear => {
                let is_hole = self.at.is_some_and(|at| at.epoch.is_none_or(|known| known == epoch));
                self.hold(epoch, serial, item, bytes);
                let asks = self.ask(&mut step);
                step.seen.holes += u64::from(is_hole && asks);
            }
        }
        step
    }

    /// Takes what the server says when nobody has asked about anything: where the channel stands.
    pub(super) fn compare(&mut self, stands: Option<(Epoch, u64)>) -> Step<T> {
        let mut step = Step::default();
        let Some(at) = self.at else {
            return step;
        };
        let is_open = !self.held.is_empty() || self.overflowed;
        let (is_hole, is_other) = match stands {
            Some((epoch, serial)) => {
                let is_hole = at.epoch.is_none_or(|known| known == epoch) && serial > at.serial;
                (is_hole, at.epoch != Some(epoch))
            }
            // whatever comes next will tell, but what is held is not to wait for it
            None => (false, false),
        };
        if is_hole || is_open || is_other {
            let asks = self.ask(&mut step);
            step.seen.holes += u64::from(is_hole && asks);
        }
        step
    }

    /// Takes the answer to a question; an answer that nobody waits for any more changes nothing.
    pub(super) fn answer(&mut self, page: Page<T>) -> Step<T> {
        let mut step = Step::default();
        let Some((asked, at)) = self.asked.zip(self.at) else {
            return step;
        };
        if asked.ticket != page.ticket {
            return step;
        }
        self.asked = None;
        match page.stands {
            Some((epoch, _)) if at.epoch == Some(epoch) => {
                self.repair(at, page, asked, &mut step);
            }
            stands => self.turn(at, stands.map(|(epoch, _)| epoch), asked, &mut step),
        }
        self.settle(&mut step);
        step
    }

    /// Forgets its question: the connection is gone, and the answer with it.
    pub(super) fn pause(&mut self) {
        self.overflowed |= self.asked.take().is_some();
    }

    /// Brings together what the history has and what is held.
    fn repair(&mut self, at: At, page: Page<T>, asked: Asked, step: &mut Step<T>) {
        let Some((epoch, top)) = page.stands else {
            return;
        };
        let reach = match page.entries.last() {
            Some((serial, _)) if page.full => *serial,
            _ => top,
        };
        let mut known: BTreeMap<u64, (T, bool)> = BTreeMap::new();
        for (serial, item) in page.entries {
            if serial > at.serial && serial <= reach {
                known.insert(serial, (item, true));
            }
        }
        for held in self.drain() {
            let is_ours = held.epoch == epoch;
            if is_ours && held.serial <= at.serial {
                step.seen.duplicates += 1;
            } else if is_ours && held.serial <= reach {
                // what came by itself was not missing
                known.insert(held.serial, (held.item, false));
            } else if held.arrival > asked.arrivals || (is_ours && held.serial <= top) {
                self.keep(held);
            } else {
                step.seen.bogus += 1;
            }
        }
        let mut last = at.serial;
        for (serial, (item, is_repaired)) in known {
            step.seen.lost += serial - last - 1;
            step.seen.repaired += u64::from(is_repaired);
            step.deliver.push(item);
            last = serial;
        }
        step.seen.lost += reach.saturating_sub(last);
        self.at = Some(At { epoch: Some(epoch), serial: last.max(reach) });
        self.overflowed |= reach < top;
    }

    /// Begins a new epoch, after what is still there of the old one.
    fn turn(&mut self, at: At, epoch: Option<Epoch>, asked: Asked, step: &mut Step<T>) {
        let mut old: BTreeMap<u64, T> = BTreeMap::new();
        // what came before the new epoch's first, and is of neither, is of one that is over already
        let first = self.held.iter().find(|held| Some(held.epoch) == epoch);
        let over = first.map_or(asked.arrivals, |held| held.arrival.max(asked.arrivals));
        for held in self.drain() {
            if Some(held.epoch) == at.epoch && held.serial > at.serial {
                old.insert(held.serial, held.item);
            } else if Some(held.epoch) == epoch || held.arrival > over || epoch.is_none() {
                self.keep(held);
            } else {
                step.seen.bogus += 1;
            }
        }
        let mut last = at.serial;
        for (serial, item) in old {
            step.seen.lost += serial - last - 1;
            step.deliver.push(item);
            last = serial;
        }
        if epoch.is_some() {
            step.seen.epochs += u64::from(at.epoch.is_some());
            self.at = Some(At { epoch, serial: 0 });
            // the answer was about the other epoch: what this one has is still to be read
            self.overflowed = true;
            return;
        }
        // nothing is known of the channel: whatever comes next begins an epoch
        let next = self.held.iter().find(|held| Some(held.epoch) != at.epoch);
        self.at = Some(match next.map(|held| (held.epoch, held.serial)) {
            Some((epoch, serial)) => {
                step.seen.epochs += u64::from(at.epoch.is_some());
                At { epoch: Some(epoch), serial: serial.saturating_sub(1) }
            }
            None => At { epoch: at.epoch, serial: last },
        });
    }

    /// Drops the first `count` of what is held, but for what is of the present epoch, of which a message came
    /// after them: theirs is over.
    fn drop_older(&mut self, count: usize, present: Epoch, step: &mut Step<T>) {
        for (index, held) in self.drain().into_iter().enumerate() {
            if index >= count || held.epoch == present {
                self.keep(held);
            } else {
                step.seen.bogus += 1;
            }
        }
    }

    /// Delivers what is held and follows on, and asks about the rest.
    fn settle(&mut self, step: &mut Step<T>) {
        if let Some(epoch) = self.at.and_then(|at| at.epoch)
            && let Some(last) = self.held.iter().rposition(|held| held.epoch == epoch)
        {
            self.drop_older(last, epoch, step);
        }
        loop {
            let before = self.held.len();
            for held in self.drain() {
                match self.judge(held.epoch, held.serial) {
                    Verdict::Next => {
                        self.advance(held.epoch, held.serial);
                        step.deliver.push(held.item);
                    }
                    Verdict::Duplicate => step.seen.duplicates += 1,
                    Verdict::Unclear => self.keep(held),
                }
            }
            if self.held.len() == before {
                break;
            }
        }
        if !self.held.is_empty() || self.overflowed {
            self.ask(step);
        }
    }

    /// Asks, unless it has asked already; tells whether it does.
    fn ask(&mut self, step: &mut Step<T>) -> bool {
        let Some(at) = self.at.filter(|_| self.asked.is_none()) else {
            return false;
        };
        self.overflowed = false;
        self.questions += 1;
        let ticket = self.questions;
        self.asked = Some(Asked { ticket, arrivals: self.arrivals });
        step.ask = Some(Question { ticket, from: at.serial.saturating_add(1) });
        true
    }

    fn judge(&self, epoch: Epoch, serial: u64) -> Verdict {
        let Some(at) = self.at else {
            return Verdict::Unclear;
        };
        match at.epoch {
            Some(current) if current != epoch => Verdict::Unclear,
            Some(_) if serial <= at.serial => Verdict::Duplicate,
            _ if serial == at.serial.saturating_add(1) => Verdict::Next,
            _ => Verdict::Unclear,
        }
    }

    fn advance(&mut self, epoch: Epoch, serial: u64) {
        self.at = Some(At { epoch: Some(epoch), serial });
    }

    fn hold(&mut self, epoch: Epoch, serial: u64, item: T, bytes: usize) {
        if self.held.len() >= HELD || self.held_bytes + bytes > HELD_BYTES {
            self.overflowed = true;
            return;
        }
        let arrival = self.arrivals;
        self.keep(Held { epoch, serial, item, bytes, arrival });
    }

    fn keep(&mut self, held: Held<T>) {
        self.held_bytes += held.bytes;
        self.held.push_back(held);
    }

    fn drain(&mut self) -> VecDeque<Held<T>> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}

enum Verdict {
    /// It follows on.
    Next,
    /// It was delivered.
    Duplicate,
    /// Only the server knows.
    Unclear,
}

#[cfg(test)]
mod tests;
