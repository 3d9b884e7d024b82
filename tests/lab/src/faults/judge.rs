//! What must hold of each scenario: its bars, where loss is legal, and when nodes may disagree. Reads the log alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Scenario, repair, trouble};
use crate::check::history::{Event, History, Span};
use crate::check::{Excuse, Terms};
use crate::log::{Micros, in_seconds, seconds};
use crate::names::Names;

/// When a step was that the log does not have: later than everything, and far from overflowing.
const NEVER: Micros = Micros::MAX / 4;

/// A bar: what was measured must not be above the limit.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// What is measured, with its unit.
    pub says: String,
    /// Most that is allowed.
    pub limit: f64,
    /// `None` where it never happened.
    pub measured: Option<f64>,
    /// Whether it held.
    pub passed: bool,
}

impl Bar {
    pub(crate) fn new(says: impl Into<String>, limit: f64, measured: Option<f64>) -> Self {
        let passed = measured.is_some_and(|measured| measured <= limit);
        Self { says: says.into(), limit, measured, passed }
    }

    /// A time in seconds.
    fn time(says: &str, limit: f64, measured: Option<Micros>) -> Self {
        Self::new(format!("{says}, s"), limit, measured.map(in_seconds))
    }

    /// Something that must never happen.
    fn never(says: &str, count: usize) -> Self {
        Self::new(format!("{says}, times"), 0.0, u32::try_from(count).ok().map(f64::from))
    }
}

/// Adds what a scenario allows.
pub fn allow(scenario: Scenario, history: &History, terms: &mut Terms) {
    let id = scenario.id();
    let excuse = match scenario {
        Scenario::F3 => Some("Redis was killed: what it had taken and not handed on died with it"),
        Scenario::F6a => Some(
            "the master was killed: what it had taken and neither handed on nor replicated died with it",
        ),
        Scenario::F7 => Some(
            "the master was killed: what it had taken and not handed on died with it, the replica was behind",
        ),
        _ => None,
    };
    if let (Some(why), Some(killed)) = (excuse, history.mark(id, "killed")) {
        let (from, to) = (killed.saturating_sub(seconds(1)), killed + seconds(1) / 5);
        terms.excuses.push(Excuse { from, to, why: why.to_owned() });
    }
    match scenario {
        Scenario::F8 => {
            if let Some((cut, healed)) = history.mark(id, "cut").zip(history.mark(id, "healed")) {
                // users of the node that is cut off have gone for the others, and for it nobody comes or goes
                terms.disturbed.push((cut, healed + seconds(6)));
            }
        }
        Scenario::L7 => terms.quiet = seconds(1),
        _ => {}
    }
}

/// Judges a scenario.
pub fn judge(scenario: Scenario, history: &History, names: &Names) -> Vec<Bar> {
    let case = Case { id: scenario.id(), history, names };
    match scenario {
        Scenario::F1 => case.node_killed(),
        Scenario::F3 => case.redis_killed(),
        Scenario::F4 => case.redis_hung(),
        Scenario::F6a => case.failed_over(),
        Scenario::F7 => case.lagging_promoted(),
        Scenario::F8 => case.cut_off(),
        Scenario::F19 => case.misbehaved(),
        Scenario::L7 => case.churned(),
        Scenario::P1 => case.repaired(),
        Scenario::P2 => case.tails(),
    }
}

struct Case<'c> {
    id: &'static str,
    history: &'c History,
    names: &'c Names,
}

impl Case<'_> {
    fn at(&self, what: &str) -> Micros {
        self.history.mark(self.id, what).unwrap_or(NEVER)
    }

    fn node(&self, what: &str) -> u32 {
        self.history.marks(self.id, what).next().and_then(|mark| mark.node).unwrap_or(u32::MAX)
    }

    /// Returns how long after a moment a node's readiness was as told; 0 where it was already.
    fn readiness(&self, node: u32, is: bool, from: Micros) -> Option<Micros> {
        let changes = self.history.ready.get(&node)?;
        let before = changes.iter().rev().find(|(at, _)| *at <= from);
        if before.is_some_and(|(_, was)| *was == is) {
            return Some(0);
        }
        changes.iter().find(|(at, now)| *at > from && *now == is).map(|(at, _)| at - from)
    }

    /// Returns the longest of that over all nodes.
    fn all_readiness(&self, is: bool, from: Micros) -> Option<Micros> {
        let nodes = self.history.ready.keys();
        nodes
            .map(|node| self.readiness(*node, is, from))
            .try_fold(0, |most, one| Some(most.max(one?)))
    }

    /// Returns events that were sent between two moments.
    fn sent(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Event> {
        self.history.events.values().filter(move |event| (from..to).contains(&event.sent))
    }

    /// Returns how long the answers to single tries took at most.
    fn longest_answer(&self, from: Micros, to: Micros, node: Option<u32>) -> Option<Micros> {
        let here = self.sent(from, to).filter(|event| node.is_none_or(|node| event.node == node));
        let times = here
            .filter(|event| event.attempts == 1)
            .filter_map(|event| Some(event.answered?.0 - event.sent));
        times.max()
    }

    /// Returns how many events were sent between two moments and accepted in it too.
    fn accepted_within(&self, from: Micros, to: Micros, node: Option<u32>) -> usize {
        self.sent(from, to)
            .filter(|event| node.is_none_or(|node| event.node == node))
            .filter(|event| event.accepted().is_some_and(|at| at < to))
            .count()
    }

    /// Returns the time from a moment to the first event that was accepted at each node and sent later.
    fn publishing_again(&self, from: Micros) -> Option<Micros> {
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

    fn node_of(&self, conn: u32) -> u32 {
        self.history.connections.get(&conn).map_or(u32::MAX, |connection| connection.node)
    }

    /// Returns, over all nodes, how much a figure has risen from before one moment to the end.
    fn risen(&self, name: &str, from: Micros) -> f64 {
        let nodes = self.history.ready.keys();
        nodes.map(|node| self.risen_at(*node, name, from)).fold(f64::MAX, f64::min)
    }

    fn risen_at(&self, node: u32, name: &str, from: Micros) -> f64 {
        let here = || self.history.figures.iter().filter(|figures| figures.node == node);
        let value = |figures: &crate::check::history::Figures| {
            figures.values.get(name).copied().unwrap_or(0.0)
        };
        let before = here().rfind(|figures| figures.at <= from).map_or(0.0, value);
        here().next_back().map_or(0.0, value) - before
    }

    // --- who is present ---

    /// Returns the subscriptions as members that were in force at a moment.
    fn members(&self, at: Micros) -> Vec<&Span> {
        self.history
            .spans
            .iter()
            .filter(|span| span.user.is_some() && span.covers(at, at))
            .collect()
    }

    /// Returns users of each channel by whether a node had all their connections at a moment, and those who came
    /// back elsewhere within a time.
    fn only_at(
        &self,
        node: u32,
        at: Micros,
        back: Micros,
    ) -> (BTreeSet<(u32, u32)>, BTreeSet<(u32, u32)>) {
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
    fn told_once(
        &self,
        users: &BTreeSet<(u32, u32)>,
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
    fn told_at_all(
        &self,
        users: &BTreeSet<(u32, u32)>,
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

    // --- the scenarios ---

    fn node_killed(&self) -> Vec<Bar> {
        let (killed, victim) = (self.at("killed"), self.node("killed"));
        let (gone, stayed) = self.only_at(victim, killed, seconds(4));
        let end = killed + seconds(14);
        let (longest, wrong) = self.told_once(&gone, false, killed, end, None);
        vec![
            Bar::time("clients are back, 99 of 100", 5.0, self.back(victim, killed, 99)),
            Bar::time("clients are back, all", 30.0, self.back(victim, killed, 100)),
            Bar::time("member_removed of who is really gone", 10.0, longest),
            Bar::never("not told exactly once that a user has gone", wrong),
            Bar::never(
                "told that a user has gone who is back or elsewhere",
                self.told_at_all(&stayed, killed, end, None),
            ),
            Bar::time(
                "the node is ready after its restart",
                5.0,
                self.readiness(victim, true, self.at("restarted")),
            ),
        ]
    }

    /// Returns how long it took until so many of a hundred of a node's clients were subscribed again.
    fn back(&self, node: u32, killed: Micros, percent: usize) -> Option<Micros> {
        let window = killed..killed + seconds(3);
        let lost = self.history.connections.iter().filter(|(_, connection)| {
            connection.node == node && connection.closed.is_some_and(|at| window.contains(&at))
        });
        let mut times = Vec::new();
        for (conn, connection) in lost {
            let before = self.history.spans.iter().rfind(|span| span.conn == *conn);
            // who stays away: every second user; who may not enter; who was out
            let is_expected = before.is_some_and(|span| {
                !span.may_not && !span.unsubscribed && span.user.is_none_or(|user| user % 2 == 0)
            });
            if !is_expected {
                continue;
            }
            let later =
                self.history.connections.iter().filter(|(_, later)| {
                    later.client == connection.client && later.opened > killed
                });
            let since = later
                .flat_map(|(conn, _)| {
                    self.history.spans.iter().filter(move |span| span.conn == *conn)
                })
                .filter_map(|span| span.since);
            times.push(since.min().map_or(Micros::MAX, |since| since - killed));
        }
        times.sort_unstable();
        let last = (times.len() * percent).div_ceil(100).checked_sub(1)?;
        times.get(last).copied().filter(|time| *time < Micros::MAX)
    }

    fn redis_killed(&self) -> Vec<Bar> {
        let (killed, back) = (self.at("killed"), self.at("back"));
        let statuses =
            self.sent(killed + seconds(1) / 20, back).filter(|event| event.attempts == 1);
        let other = statuses.filter(|event| event.answered.is_none_or(|(_, status)| status != 503));
        vec![
            Bar::time(
                "every node says that it is not ready",
                2.0,
                self.all_readiness(false, killed),
            ),
            Bar::never(
                "accepted while Redis was dead",
                self.accepted_within(killed + seconds(1) / 20, back, None),
            ),
            Bar::never("answered with another status than 503 while Redis was dead", other.count()),
            Bar::time(
                "answer to a trigger while Redis was dead",
                1.0,
                self.longest_answer(killed + seconds(1) / 20, back, None),
            ),
            Bar::time(
                "every node is ready after Redis is back",
                3.0,
                self.all_readiness(true, back),
            ),
            Bar::time("events are taken at every node", 3.0, self.publishing_again(back)),
            Bar::never(
                "nodes that have told no new order",
                usize::from(self.risen("epochs", killed) < 1.0),
            ),
            Bar::never("members told to have gone", self.all_gone(killed, back + seconds(10))),
        ]
    }

    /// Counts what observers were told of members who have gone.
    fn all_gone(&self, from: Micros, to: Micros) -> usize {
        let told = self.history.spans.iter().flat_map(|span| &span.members);
        told.filter(|(at, _, came)| !came && (from..to).contains(at)).count()
    }

    fn redis_hung(&self) -> Vec<Bar> {
        let (hung, back) = (self.at("hung"), self.at("back"));
        let is_other = |event: &&Event| event.answered.is_none_or(|(_, status)| status != 503);
        let settled = hung + seconds(1) / 4;
        let tried = self.sent(settled, back - seconds(3)).filter(|event| event.attempts == 1);
        vec![
            // 500 ms to be queued and 2 s for the answer
            Bar::time(
                "answer to a trigger while Redis hung",
                2.75,
                self.longest_answer(hung, back, None),
            ),
            Bar::never(
                "answered with another status than 503 while Redis hung",
                tried.filter(is_other).count(),
            ),
            Bar::time("every node says that it is not ready", 5.0, self.all_readiness(false, hung)),
            Bar::time(
                "every node is ready after Redis goes on",
                3.0,
                self.all_readiness(true, back),
            ),
            Bar::time("events are taken at every node", 3.0, self.publishing_again(back)),
            Bar::never(
                "events that were tried again with their key",
                usize::from(!self.was_retried(hung, back)),
            ),
        ]
    }

    /// Tells whether any event of the time was sent more than once.
    fn was_retried(&self, from: Micros, to: Micros) -> bool {
        self.sent(from, to).any(|event| event.attempts > 1)
    }

    fn failed_over(&self) -> Vec<Bar> {
        let killed = self.at("killed");
        vec![
            Bar::time("events are taken at every node", 12.0, self.publishing_again(killed)),
            Bar::time("every node is ready", 12.0, self.all_ready_again(killed)),
            Bar::never(
                "nodes that have told no new order",
                usize::from(self.risen("epochs", killed) < 1.0),
            ),
            Bar::never(
                "accepted before another master was chosen",
                self.accepted_within(killed + seconds(1) / 20, self.at("promoted"), None),
            ),
            Bar::never(
                "told that a member has gone who had not",
                self.false_goings(killed, killed + seconds(20)),
            ),
        ]
    }

    /// Returns when all nodes were ready again that were not.
    fn all_ready_again(&self, from: Micros) -> Option<Micros> {
        let nodes = self.history.ready.keys();
        let again = nodes.map(|node| {
            let lost = self.readiness(*node, false, from)?;
            Some(lost + self.readiness(*node, true, from + lost)?)
        });
        again.into_iter().try_fold(0, |most, one| Some(most.max(one?)))
    }

    /// Counts goings of members whose connections were all there.
    fn false_goings(&self, from: Micros, to: Micros) -> usize {
        let there: BTreeSet<(u32, u32)> = self
            .history
            .spans
            .iter()
            .filter(|span| span.covers(from, to))
            .filter_map(|span| Some((span.channel, span.user?)))
            .collect();
        self.told_at_all(&there, from, to, None)
    }

    fn lagging_promoted(&self) -> Vec<Bar> {
        let killed = self.at("killed");
        let spoken = self.history.kept.iter().filter(|(channel, _)| {
            self.sent(self.at("lagging"), killed).any(|event| event.channel == **channel)
        });
        let mut same = 0;
        for (_, kept) in spoken {
            let before = kept.iter().rfind(|kept| kept.at < killed).map(|kept| &kept.epoch);
            let after =
                kept.iter().find(|kept| kept.at > self.at("promoted") && kept.event.is_some());
            same += usize::from(after.is_some_and(|after| Some(&after.epoch) == before));
        }
        vec![
            Bar::never("channels that go on in the epoch of the dead master", same),
            Bar::time("events are taken at every node", 8.0, self.publishing_again(killed)),
            Bar::never(
                "nodes that have told no new order",
                usize::from(self.risen("epochs", killed) < 1.0),
            ),
            Bar::never(
                "told that a member has gone who had not",
                self.false_goings(killed, killed + seconds(12)),
            ),
        ]
    }

    fn cut_off(&self) -> Vec<Bar> {
        let (cut, healed, victim) = (self.at("cut"), self.at("healed"), self.node("cut"));
        let (gone, _) = self.only_at(victim, cut, 0);
        let (went, unsaid) = self.told_once(&gone, false, cut, healed, Some(victim));
        let (came, unsaid_back) =
            self.told_once(&gone, true, healed, healed + seconds(8), Some(victim));
        let late = self.history.spans.iter().filter(|span| self.node_of(span.conn) == victim);
        let missed = late.flat_map(|span| &span.got).filter_map(|(at, event)| {
            let accepted = self.history.events.get(event)?.accepted()?;
            (accepted > cut && accepted < healed).then(|| at.saturating_sub(healed))
        });
        let detected = cut + seconds(5);
        vec![
            Bar::time(
                "the node says that it is not ready",
                5.0,
                self.readiness(victim, false, cut),
            ),
            Bar::never(
                "accepted by the node while it was cut off",
                self.accepted_within(cut + seconds(1) / 20, healed, Some(victim)),
            ),
            Bar::time(
                "answer of the node once it knows",
                1.0,
                self.longest_answer(detected, healed - seconds(3), Some(victim)),
            ),
            Bar::time("its users have gone elsewhere", 10.0, went),
            Bar::never("not told exactly once that one has gone", unsaid),
            Bar::time("its users are back after the cut is healed", 3.0, came),
            Bar::never("not told exactly once that one is back", unsaid_back),
            Bar::time("its clients get what they missed", 3.0, missed.max()),
            Bar::time(
                "the node is ready after the cut is healed",
                5.0,
                self.readiness(victim, true, healed),
            ),
        ]
    }

    fn misbehaved(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for name in trouble::MOMENTS.into_iter().chain(trouble::TIMES) {
            let ended = self.at(&format!("{name} ends"));
            let ready = self.all_readiness(true, ended);
            bars.push(Bar::time(&format!("{name}: every node is ready after it ends"), 3.0, ready));
            let taken = self.publishing_again(ended);
            bars.push(Bar::time(&format!("{name}: events are taken at every node"), 3.0, taken));
        }
        for name in ["user off", "wrong password"] {
            let begun = self.at(&format!("{name} begins"));
            let told = self.all_readiness(false, begun);
            bars.push(Bar::time(
                &format!("{name}: every node says that it is not ready"),
                5.0,
                told,
            ));
        }
        let (full, room) = (self.at("full begins"), self.at("full ends"));
        let refused = self.sent(full + seconds(1) / 2, room.saturating_sub(seconds(1) / 2));
        let wrong = refused.filter(|event| {
            event.attempts == 1 && event.answered.is_none_or(|(_, status)| status != 503)
        });
        bars.push(Bar::never("full: answered with another status than 503", wrong.count()));
        let flushed = self.at("flushed begins");
        let silent = usize::from(self.risen("epochs", flushed) < 1.0);
        bars.push(Bar::never("flushed: nodes that have told no new order", silent));
        let (forgot, again) =
            (self.at("scripts forgotten begins"), self.at("scripts forgotten ends"));
        let lost = self.sent(forgot, again + seconds(3)).filter(|event| event.accepted().is_none());
        bars.push(Bar::never("scripts forgotten: refused", lost.count()));
        let begun = self.at("thrown out begins");
        bars.push(Bar::never(
            "told that a member has gone who had not",
            self.false_goings(begun, self.at("wrong password ends").saturating_add(seconds(4))),
        ));
        bars
    }

    fn churned(&self) -> Vec<Bar> {
        let churns: Vec<&Span> = self
            .history
            .spans
            .iter()
            .filter(|span| self.names.is(span.channel, "presence-churn"))
            .collect();
        let refused = churns.iter().filter(|span| span.refused).count();
        let observed =
            churns.iter().filter(|span| span.users.is_some()).flat_map(|span| &span.members);
        vec![
            Bar::never("joins that were refused", refused),
            Bar::never("observers that were told nothing", usize::from(observed.count() == 0)),
        ]
    }

    fn repaired(&self) -> Vec<Bar> {
        let dropped = self
            .history
            .proofs
            .iter()
            .find(|(id, what, _)| id == self.id && what == repair::DROPPED);
        let dropped = dropped.and_then(|(_, _, count)| u32::try_from(*count).ok()).map(f64::from);
        let repaired = self.risen_at(repair::FORGETFUL, "repaired", self.at("begins"));
        let lost = self.risen_at(repair::FORGETFUL, "lost", self.at("begins"));
        vec![
            Bar::new(
                "difference between messages that were dropped and events that were repaired",
                0.0,
                dropped.map(|dropped| (dropped - repaired).abs()),
            ),
            Bar::new("events that the node counts as lost", 0.0, Some(lost)),
        ]
    }

    fn tails(&self) -> Vec<Bar> {
        let (mut longest, mut missing) = (None, 0);
        for span in &self.history.spans {
            if !self.names.is(span.channel, "tail-") || span.since.is_none() {
                continue;
            }
            let events =
                self.history.events.iter().filter(|(_, event)| event.channel == span.channel);
            for (number, event) in events.filter(|(_, event)| event.accepted().is_some()) {
                let got = span.got.iter().find(|(_, got)| got == number);
                match got {
                    Some((at, _)) => longest = longest.max(Some(at - event.sent)),
                    None => missing += 1,
                }
            }
        }
        vec![
            Bar::time("a lost last event is delivered", 6.0, longest),
            Bar::never("lost for good", missing),
        ]
    }
}
