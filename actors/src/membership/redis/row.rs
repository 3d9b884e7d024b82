//! What this node has told Redis of one user of one channel, or of one channel's subscriptions, and what
//! it wants to have told. Pure.
//!
//! One saying is under way at a time, and each says a number and not a step: what Redis holds in the end
//! is what was said last, however often something is said again because no answer came.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::membership::Ticket;

/// A connection that wants to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) ticket: Ticket,
    /// The most users that the channel may have.
    pub(super) limit: usize,
    /// Whether the answer is to bring the roster.
    pub(super) roster: bool,
}

/// What is to be said of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) connections: u64,
    pub(super) info: Arc<str>,
    /// The most users that the channel may have for a new one to come in; `None` for one who is in already.
    pub(super) limit: Option<usize>,
    pub(super) roster: bool,
}

/// What became of what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Redis holds it.
    Done,
    /// There was no room for one more user; Redis holds nothing of this node and user.
    Full,
    /// Nobody knows.
    Unknown,
}

/// One user's connections to one channel.
#[derive(Debug)]
pub(super) struct Row {
    info: Arc<str>,
    held: HashSet<Ticket, foldhash::fast::RandomState>,
    waiting: Vec<Wish>,
    flight: Option<Flight>,
    /// What Redis holds for sure.
    told: Option<u64>,
    /// The row stands in the ledger's queue.
    pub(super) queued: bool,
}

#[derive(Debug)]
struct Flight {
    connections: u64,
    wishes: Vec<Wish>,
}

impl Row {
    /// Starts with nothing, and Redis knowing nothing of it.
    pub(super) fn new() -> Self {
        Self {
            info: "{}".into(),
            held: HashSet::default(),
            waiting: Vec::new(),
            flight: None,
            told: Some(0),
            queued: false,
        }
    }

    /// Takes a wish to join.
    pub(super) fn enter(&mut self, wish: Wish, info: Arc<str>) {
        self.info = info;
        self.waiting.push(wish);
    }

    /// Lets a connection go, or forgets its wish. A ticket that is not known changes nothing.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        if !self.held.remove(&ticket) {
            self.forget(ticket);
        }
    }

    /// Forgets a wish that has no answer yet; `true` if there was one.
    pub(super) fn forget(&mut self, ticket: Ticket) -> bool {
        let under_way = self.flight.iter_mut().map(|flight| &mut flight.wishes);
        let mut found = false;
        for wishes in under_way.chain([&mut self.waiting]) {
            let before = wishes.len();
            wishes.retain(|wish| wish.ticket != ticket);
            found |= wishes.len() < before;
        }
        found
    }

    /// Lets everybody go.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.waiting.clear();
        if let Some(flight) = &mut self.flight {
            flight.wishes.clear();
        }
    }

    /// Tells whether there is something to say now.
    pub(super) fn is_due(&self) -> bool {
        let differs = self.told != Some(self.held.len() as u64);
        self.flight.is_none() && (differs || !self.waiting.is_empty())
    }

    /// Tells whether Redis and the node have nothing here.
    pub(super) fn is_over(&self) -> bool {
        self.flight.is_none()
            && self.told == Some(0)
            && self.held.is_empty()
            && self.waiting.is_empty()
    }

    /// Returns what is to be said now, which is then under way.
    pub(super) fn say(&mut self) -> Said {
        let wishes = std::mem::take(&mut self.waiting);
        let connections = (self.held.len() + wishes.len()) as u64;
        let new = wishes.first().filter(|_| self.held.is_empty());
        let said = Said {
            connections,
            info: Arc::clone(&self.info),
            limit: new.map(|wish| wish.limit),
            roster: wishes.iter().any(|wish| wish.roster),
        };
        self.flight = Some(Flight { connections, wishes });
        said
    }

    /// Takes what became of it. Returns the wishes that have their answer now.
    pub(super) fn hear(&mut self, heard: Heard) -> Vec<Wish> {
        let Some(Flight { connections, mut wishes }) = self.flight.take() else {
            return Vec::new();
        };
        match heard {
            Heard::Done => {
                self.told = Some(connections);
                self.held.extend(wishes.iter().map(|wish| wish.ticket));
                wishes
            }
            Heard::Full => {
                self.told = Some(0);
                wishes
            }
            Heard::Unknown => {
                self.told = None;
                wishes.append(&mut self.waiting);
                self.waiting = wishes;
                Vec::new()
            }
        }
    }

    /// Starts anew under a name of which Redis knows nothing.
    pub(super) fn start_anew(&mut self) {
        self.hear(Heard::Unknown);
        self.told = Some(0);
    }
}

/// One channel's subscriptions.
#[derive(Debug)]
pub(super) struct CountRow {
    pub(super) wanted: u64,
    flight: Option<u64>,
    told: Option<u64>,
    /// The row stands in the ledger's queue.
    pub(super) queued: bool,
}

impl CountRow {
    /// Starts with nothing, and Redis knowing nothing of it.
    pub(super) fn new() -> Self {
        Self { wanted: 0, flight: None, told: Some(0), queued: false }
    }

    /// Tells whether there is something to say.
    pub(super) fn is_due(&self) -> bool {
        self.flight.is_none() && self.told != Some(self.wanted)
    }

    /// Tells whether it cannot wait: the channel is occupied or vacated by it.
    pub(super) fn is_urgent(&self) -> bool {
        self.told.is_none_or(|told| (told == 0) != (self.wanted == 0))
    }

    /// Tells whether Redis and the node have nothing here.
    pub(super) fn is_over(&self) -> bool {
        self.flight.is_none() && self.told == Some(0) && self.wanted == 0
    }

    /// Returns what is to be said now, which is then under way.
    pub(super) fn say(&mut self) -> u64 {
        self.flight = Some(self.wanted);
        self.wanted
    }

    /// Takes what became of it.
    pub(super) fn hear(&mut self, heard: Heard) {
        if let Some(said) = self.flight.take() {
            self.told = (heard == Heard::Done).then_some(said);
        }
    }

    /// Starts anew under a name of which Redis knows nothing.
    pub(super) fn start_anew(&mut self) {
        self.flight = None;
        self.told = Some(0);
    }
}
