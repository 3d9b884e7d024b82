//! All that this node has told the cluster, and has still to tell it. Pure: the keeper says what this
//! hands out, and tells it what came of it.
//!
//! It is the node's own copy: whatever Redis loses can be said again from here alone. What is handed out
//! at once is bounded by the caller; what waits, by live subscriptions.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::row::{CountRow, Heard, Row, Said, Wish};
use crate::clock::Moment;
use crate::membership::{Enter, Leave, Ticket};
use crate::protocol::{ChannelKey, UserId};

type Map<K, V> = HashMap<K, V, foldhash::quality::RandomState>;

/// Which number something is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// A user's connections.
    Member(ChannelKey, UserId),
    /// A channel's subscriptions.
    Count(ChannelKey),
}

impl Slot {
    pub(super) fn channel(&self) -> &ChannelKey {
        match self {
            Self::Member(key, _) | Self::Count(key) => key,
        }
    }
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saying {
    /// Of a user's connections.
    Member(ChannelKey, UserId, Said),
    /// How many subscriptions a channel without members has.
    Count(ChannelKey, u64),
}

impl Saying {
    pub(super) fn into_slot(self) -> Slot {
        match self {
            Self::Member(key, user, _) => Slot::Member(key, user),
            Self::Count(key, _) => Slot::Count(key),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    members: Map<ChannelKey, Map<UserId, Row>>,
    counts: Map<ChannelKey, CountRow>,
    due: VecDeque<Slot>,
    /// Counts that changed without occupying or vacating their channel.
    later: HashSet<ChannelKey, foldhash::quality::RandomState>,
    /// What the broker refused, to be said again at the next occasion and not at once.
    refused: Vec<Slot>,
    /// Wishes in the order in which they came.
    patience: VecDeque<(Moment, ChannelKey, UserId, Ticket)>,
    under_way: usize,
}

impl Ledger {
    pub(super) fn enter(&mut self, enter: Enter, now: Moment) {
        let Enter { key, ticket, member, limit, roster } = enter;
        let users = self.members.entry(key.clone()).or_default();
        let row = users.entry(member.user.clone()).or_insert_with(Row::new);
        row.enter(Wish { ticket, limit, roster }, member.info);
        self.patience.push_back((now, key.clone(), member.user.clone(), ticket));
        self.queue(Slot::Member(key, member.user));
    }

    pub(super) fn leave(&mut self, leave: Leave) {
        let Leave { key, ticket, user } = leave;
        if let Some(row) = self.row(&key, &user) {
            row.leave(ticket);
            self.queue(Slot::Member(key, user));
        }
    }

    pub(super) fn count(&mut self, key: ChannelKey, subscriptions: u64) {
        self.counts.entry(key.clone()).or_insert_with(CountRow::new).wanted = subscriptions;
        self.queue(Slot::Count(key));
    }

    pub(super) fn vacate(&mut self, key: &ChannelKey) {
        let users = self.members.get_mut(key).into_iter().flatten();
        let users: Vec<_> = users
            .map(|(user, row)| {
                row.clear();
                user.clone()
            })
            .collect();
        for user in users {
            self.queue(Slot::Member(key.clone(), user));
        }
        if self.counts.contains_key(key) {
            self.count(key.clone(), 0);
        }
    }

    /// Hands out at most `most` sayings, which are then under way.
    pub(super) fn take(&mut self, most: usize) -> Vec<Saying> {
        let mut sayings = Vec::new();
        while sayings.len() < most
            && let Some(slot) = self.due.pop_front()
        {
            if let Some(saying) = self.say(&slot) {
                sayings.push(saying);
            } else {
                self.drop_if_over(&slot);
            }
        }
        self.under_way += sayings.len();
        sayings
    }

    fn say(&mut self, slot: &Slot) -> Option<Saying> {
        match slot {
            Slot::Member(key, user) => {
                let row = self.row(key, user)?;
                row.queued = false;
                row.is_due().then(|| Saying::Member(key.clone(), user.clone(), row.say()))
            }
            Slot::Count(key) => {
                let row = self.counts.get_mut(key)?;
                row.queued = false;
                row.is_due().then(|| Saying::Count(key.clone(), row.say()))
            }
        }
    }

    /// Takes what became of a saying. Returns the wishes that have their answer now.
    pub(super) fn hear(&mut self, slot: Slot, heard: Heard) -> Vec<Wish> {
        let answered = self.note(&slot, heard);
        self.queue(slot);
        answered
    }

    /// Takes that the broker did not do what was said, and that it may do so later.
    pub(super) fn refuse(&mut self, slot: Slot) {
        self.note(&slot, Heard::Unknown);
        self.refused.push(slot);
    }

    fn note(&mut self, slot: &Slot, heard: Heard) -> Vec<Wish> {
        self.under_way = self.under_way.saturating_sub(1);
        match slot {
            Slot::Member(key, user) => {
                self.row(key, user).map(|row| row.hear(heard)).unwrap_or_default()
            }
            Slot::Count(key) => {
                if let Some(row) = self.counts.get_mut(key) {
                    row.hear(heard);
                }
                Vec::new()
            }
        }
    }

    /// Lets what could wait be said: counts, and what was refused.
    pub(super) fn ripen(&mut self) {
        for slot in std::mem::take(&mut self.refused) {
            self.queue(slot);
        }
        for key in std::mem::take(&mut self.later) {
            if let Some(row) = self.counts.get_mut(&key)
                && row.is_due()
                && !std::mem::replace(&mut row.queued, true)
            {
                self.due.push_back(Slot::Count(key));
            }
        }
    }

    /// Gives up the wishes that have waited for `patience`. Returns them.
    pub(super) fn give_up(&mut self, now: Moment, patience: Duration) -> Vec<(ChannelKey, Ticket)> {
        let mut given_up = Vec::new();
        while let Some((since, ..)) = self.patience.front()
            && now.since(*since) >= patience
            && let Some((_, key, user, ticket)) = self.patience.pop_front()
        {
            if self.row(&key, &user).is_some_and(|row| row.forget(ticket)) {
                given_up.push((key, ticket));
            }
        }
        if !given_up.is_empty() {
            self.prune();
        }
        given_up
    }

    /// Forgets what waits in vain to be said: nothing hands it out while the broker is away.
    fn prune(&mut self) {
        for slot in std::mem::take(&mut self.due) {
            if self.is_due(&slot) {
                self.due.push_back(slot);
                continue;
            }
            match &slot {
                Slot::Member(key, user) => {
                    if let Some(row) = self.row(key, user) {
                        row.queued = false;
                    }
                }
                Slot::Count(key) => {
                    if let Some(row) = self.counts.get_mut(key) {
                        row.queued = false;
                    }
                }
            }
            self.drop_if_over(&slot);
        }
    }

    fn is_due(&mut self, slot: &Slot) -> bool {
        match slot {
            Slot::Member(key, user) => self.row(key, user).is_some_and(|row| row.is_due()),
            Slot::Count(key) => self.counts.get(key).is_some_and(CountRow::is_due),
        }
    }

    /// Takes that nobody knows what became of all that is under way, or that the broker is still away.
    pub(super) fn lose_touch(&mut self) {
        self.restart(
            |row| {
                row.hear(Heard::Unknown);
            },
            |row| row.hear(Heard::Unknown),
        );
        self.prune();
    }

    /// Starts anew under a name of which Redis knows nothing: all is to be said again.
    pub(super) fn start_anew(&mut self) {
        self.restart(Row::start_anew, CountRow::start_anew);
    }

    /// Tells whether Redis holds all that the node wants it to hold.
    pub(super) fn is_settled(&self) -> bool {
        self.due.is_empty()
            && self.later.is_empty()
            && self.refused.is_empty()
            && self.under_way == 0
    }

    fn restart(&mut self, member: impl Fn(&mut Row), count: impl Fn(&mut CountRow)) {
        self.under_way = 0;
        self.refused.clear();
        let mut slots = Vec::new();
        for (key, users) in &mut self.members {
            for (user, row) in users {
                member(row);
                slots.push(Slot::Member(key.clone(), user.clone()));
            }
        }
        for (key, row) in &mut self.counts {
            count(row);
            slots.push(Slot::Count(key.clone()));
        }
        for slot in slots {
            self.queue(slot);
        }
    }

    fn row(&mut self, key: &ChannelKey, user: &UserId) -> Option<&mut Row> {
        self.members.get_mut(key)?.get_mut(user)
    }

    /// Sees to it that a slot is said if there is something to say, and forgotten if there is nothing at all.
    fn queue(&mut self, slot: Slot) {
        self.drop_if_over(&slot);
        match &slot {
            Slot::Member(key, user) => {
                if let Some(row) = self.row(key, user)
                    && row.is_due()
                    && !std::mem::replace(&mut row.queued, true)
                {
                    self.due.push_back(slot);
                }
            }
            Slot::Count(key) => {
                let Some(row) = self.counts.get_mut(key).filter(|row| row.is_due()) else {
                    return;
                };
                if !row.is_urgent() {
                    self.later.insert(key.clone());
                } else if !std::mem::replace(&mut row.queued, true) {
                    self.due.push_back(slot);
                }
            }
        }
    }

    /// Forgets a slot that has nothing left and stands in no queue.
    fn drop_if_over(&mut self, slot: &Slot) {
        match slot {
            Slot::Member(key, user) => {
                let Some(users) = self.members.get_mut(key) else {
                    return;
                };
                if users.get(user).is_some_and(|row| row.is_over() && !row.queued) {
                    users.remove(user);
                }
                if users.is_empty() {
                    self.members.remove(key);
                }
            }
            Slot::Count(key) => {
                if self.counts.get(key).is_some_and(|row| row.is_over() && !row.queued) {
                    self.counts.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
