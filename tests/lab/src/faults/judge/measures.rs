//! What is measured in a log, whatever the scenario: readiness, answers, figures, who was told what.

use std::collections::{BTreeMap, BTreeSet};

use super::NEVER;
use crate::check::history::{Event, Figures, History, Span};
use crate::log::{Micros, seconds};
use crate::names::Names;

/// Users with their channels.
pub(super) type Users = BTreeSet<(u32, u32)>;

/// A scenario in a log.
pub(super) struct Case<'c> {
    pub(super) id: &'static str,
    pub(super) history: &'c History,
    pub(super) names: &'c Names,
}

impl Case<'_> {
    pub(super) fn at(&self, what: &str) -> Micros {
        self.history.mark(self.id, what).unwrap_or(NEVER)
    }

    pub(super) fn node(&self, what: &str) -> u32 {
        self.history.marks(self.id, what).next().and_then(|mark| mark.node).unwrap_or(u32::MAX)
    }

    /// Returns how long after a moment a node's readiness was as told; 0 where it was already.
    pub(super) fn readiness(&self, node: u32, is: bool, from: Micros) -> Option<Micros> {
        let changes = self.history.ready.get(&node)?;
        let before = changes.iter().rev().find(|(at, _)| *at <= from);
        if before.is_some_and(|(_, was)| *was == is) {
            return Some(0);
        }
        changes.iter().find(|(at, now)| *at > from && *now == is).map(|(at, _)| at - from)
    }

    /// Returns the longest of that over all nodes.
    pub(super) fn all_readiness(&self, is: bool, from: Micros) -> Option<Micros> {
        let nodes = self.history.ready.keys();
        nodes
            .map(|node| self.readiness(*node, is, from))
            .try_fold(0, |most, one| Some(most.max(one?)))
    }

    /// Returns events that were sent between two moments.
    pub(super) fn sent(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Event> {
        self.history.events.values().filter(move |event| (from..to).contains(&event.sent))
    }

    /// Returns how long the answers to single tries took at most.
    pub(super) fn longest_answer(
        &self,
        from: Micros,
        to: Micros,
        node: Option<u32>,
    ) -> Option<Micros> {
        let here = self.sent(from, to).filter(|event| node.is_none_or(|node| event.node == node));
        let times = here
            .filter(|event| event.attempts == 1)
            .filter_map(|event| Some(event.answered?.0 - event.sent));
        times.max()
    }

    /// Returns how many events were sent between two moments and accepted in it too.
    pub(super) fn accepted_within(&self, from: Micros, to: Micros, node: Option<u32>) -> usize {
        self.sent(from, to)
            .filter(|event| node.is_none_or(|node| event.node == node))
            .filter(|event| event.accepted().is_some_and(|at| at < to))
            .count()
    }

    /// Returns the time from a moment to the first event that was accepted at each node and sent later.
    pub(super) fn publishing_again(&self, from: Micros) -> Option<Micros> {
        let mut first: BTreeMap<u32, Micros> = BTreeMap::new();
        for event in self.sent(from, Micros::MAX) {
            if let Some(at) = event.accepted() {
                let known = first.entry(event.node).or_insert(Micros::MAX);
                *known = (*known).min(at);
            }
        }
        let all = self.history.ready.keys().all(|node| first.contains_key(node));
        first.into_values().max().filter(|_| all).map(|at| at - from)
    }

    pub(super) fn node_of(&self, conn: u32) -> u32 {
        self.history.connections.get(&conn).map_or(u32::MAX, |connection| connection.node)
    }

    /// Counts the nodes that do not count a new order of any channel within some seconds of a moment.
    pub(super) fn without_new_order(&self, from: Micros, within: u64) -> usize {
        let soon = from.saturating_add(seconds(within));
        let nodes = self.history.ready.keys();
        nodes.filter(|node| self.risen_at(**node, "epochs", from, soon) < 1.0).count()
    }

    /// Returns how much a figure of a node has risen between two moments.
    pub(super) fn risen_at(&self, node: u32, name: &str, from: Micros, to: Micros) -> f64 {
        let here = || self.history.figures.iter().filter(|figures| figures.node == node);
        let value = |figures: &Figures| figures.values.get(name).copied().unwrap_or(0.0);
        let before = here().rfind(|figures| figures.at <= from).map_or(0.0, value);
        here().rfind(|figures| figures.at <= to).map_or(0.0, value) - before
    }

    // --- who is present ---

    /// Returns the subscriptions as members that were in force at a moment.
    pub(super) fn members(&self, at: Micros) -> Vec<&Span> {
        self.history
            .spans
            .iter()
            .filter(|span| span.user.is_some() && span.covers(at, at))
            .collect()
    }

    /// Returns users of each channel by whether a node had all their connections at a moment, and those who came
    /// back elsewhere within a time.
    pub(super) fn only_at(&self, node: u32, at: Micros, back: Micros) -> (Users, Users) {
        let (mut here, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
        for span in self.members(at.saturating_sub(1)) {
            let who = (span.channel, span.user.unwrap_or(u32::MAX));
            if self.node_of(span.conn) == node {
                here.insert(who)
            } else {
                elsewhere.insert(who)
            };
        }
        let returned = self
            .history
            .spans
            .iter()
            .filter(|span| span.since.is_some_and(|since| (at..at + back).contains(&since)));
        elsewhere.extend(returned.filter_map(|span| Some((span.channel, span.user?))));
        let gone = here.difference(&elsewhere).copied().collect();
        (gone, here.intersection(&elsewhere).copied().collect())
    }

    /// Compares what every observer over a time was told of users with what it should have been: once each.
    /// Returns the longest time from `from`, and how many were not told once.
    pub(super) fn told_once(
        &self,
        users: &Users,
        came: bool,
        from: Micros,
        to: Micros,
        but: Option<u32>,
    ) -> (Option<Micros>, usize) {
        let (mut longest, mut wrong) = (None, 0);
        let observers = self.history.spans.iter().filter(|span| {
            span.users.is_some() && span.covers(from, to) && Some(self.node_of(span.conn)) != but
        });
        for observer in observers {
            for (_, user) in users.iter().filter(|(channel, _)| *channel == observer.channel) {
                let told = observer.members.iter().filter(|(at, whose, what)| {
                    whose == user && *what == came && (from..to).contains(at)
                });
                let times: Vec<Micros> = told.map(|(at, _, _)| at - from).collect();
                match times.as_slice() {
                    [time] => longest = longest.max(Some(*time)),
                    _ => wrong += 1,
                }
            }
        }
        (longest, wrong)
    }

    /// Counts what observers were told of users of whom they should not have been told anything.
    pub(super) fn told_at_all(
        &self,
        users: &Users,
        from: Micros,
        to: Micros,
        but: Option<u32>,
    ) -> usize {
        let observers = self
            .history
            .spans
            .iter()
            .filter(|span| span.users.is_some() && Some(self.node_of(span.conn)) != but);
        let told = observers.flat_map(|observer| {
            observer
                .members
                .iter()
                .map(move |(at, user, came)| (observer.channel, *at, *user, *came))
        });
        told.filter(|(channel, at, user, came)| {
            !came && (from..to).contains(at) && users.contains(&(*channel, *user))
        })
        .count()
    }
}
