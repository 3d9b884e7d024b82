//! The bars of each scenario.

use super::super::{presence, repair, trouble};
use super::measures::{Case, Users};
use super::{ANSWER, Bar, NEVER, SETTLED};
use crate::check::history::{Event, Span};
use crate::log::{Micros, seconds};

impl Case<'_> {
    pub(super) fn node_killed(&self) -> Vec<Bar> {
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
    pub(super) fn back(&self, node: u32, killed: Micros, percent: usize) -> Option<Micros> {
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
        let index = (times.len() * percent).div_ceil(100).checked_sub(1)?;
        times.get(index).copied().filter(|time| *time < Micros::MAX)
    }

    pub(super) fn redis_killed(&self) -> Vec<Bar> {
        let (killed, starts, back) = (self.at("killed"), self.at("starts"), self.at("back"));
        let dead = killed + SETTLED;
        let statuses = self.sent(dead, starts).filter(|event| event.attempts == 1);
        // one that was sent in the last moment may be answered by the server that is back
        let other = statuses
            .filter(|event| event.answered.is_none_or(|(at, status)| status != 503 && at < starts));
        vec![
            Bar::time(
                "every node says that it is not ready",
                2.0,
                self.all_readiness(false, killed),
            ),
            Bar::never("accepted while Redis was dead", self.accepted_within(dead, starts, None)),
            Bar::never("answered with another status than 503 while Redis was dead", other.count()),
            Bar::time(
                "answer to a trigger while Redis was dead",
                1.0,
                self.longest_answer(dead, starts - seconds(1), None),
            ),
            Bar::time(
                "every node is ready after Redis is back",
                3.0,
                self.all_readiness(true, back),
            ),
            Bar::time(
                "events are taken at every node after Redis is back",
                3.0,
                self.publishing_again(back),
            ),
            Bar::never("nodes that have told no new order", self.without_new_order(killed, 10)),
            Bar::never("members told to have gone", self.all_gone(killed, back + seconds(10))),
        ]
    }

    /// Counts what observers were told of members who have gone.
    pub(super) fn all_gone(&self, from: Micros, to: Micros) -> usize {
        let told = self.history.spans.iter().flat_map(|span| &span.members);
        told.filter(|(at, _, came)| !came && (from..to).contains(at)).count()
    }

    pub(super) fn redis_hung(&self) -> Vec<Bar> {
        let (hung, back) = (self.at("hung"), self.at("back"));
        let is_other = |event: &&Event| event.answered.is_none_or(|(_, status)| status != 503);
        let settled = hung + seconds(1) / 4;
        let tried = self.sent(settled, back - seconds(3)).filter(|event| event.attempts == 1);
        vec![
            Bar::time(
                "answer to a trigger while Redis hung",
                ANSWER,
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
    pub(super) fn was_retried(&self, from: Micros, to: Micros) -> bool {
        self.sent(from, to).any(|event| event.attempts > 1)
    }

    pub(super) fn failed_over(&self) -> Vec<Bar> {
        let killed = self.at("killed");
        vec![
            Bar::time("events are taken at every node", 12.0, self.publishing_again(killed)),
            Bar::time("every node is ready", 12.0, self.all_ready_again(killed)),
            Bar::never("nodes that have told no new order", self.without_new_order(killed, 15)),
            // no Sentinel believes before that that the master is down
            Bar::never(
                "accepted within 2 s of the kill",
                self.accepted_within(killed + SETTLED, killed + seconds(2), None),
            ),
            Bar::never(
                "told that a member has gone who had not",
                self.false_goings(killed, killed + seconds(20)),
            ),
        ]
    }

    /// Returns when all nodes were ready again that were not.
    pub(super) fn all_ready_again(&self, from: Micros) -> Option<Micros> {
        let nodes = self.history.ready.keys();
        let again = nodes.map(|node| {
            let lost = self.readiness(*node, false, from)?;
            Some(lost + self.readiness(*node, true, from + lost)?)
        });
        again.into_iter().try_fold(0, |most, one| Some(most.max(one?)))
    }

    /// Returns users who had a connection all the time that was not a node's.
    pub(super) fn staying(&self, from: Micros, to: Micros, but: u32) -> Users {
        let spans = self.history.spans.iter();
        spans
            .filter(|span| span.covers(from, to) && self.node_of(span.conn) != but)
            .filter_map(|span| Some((span.channel, span.user?)))
            .collect()
    }

    /// Counts goings of members whose connections were all there.
    pub(super) fn false_goings(&self, from: Micros, to: Micros) -> usize {
        let there: Users = self
            .history
            .spans
            .iter()
            .filter(|span| span.covers(from, to))
            .filter_map(|span| Some((span.channel, span.user?)))
            .collect();
        self.told_at_all(&there, from, to, None)
    }

    pub(super) fn lagging_promoted(&self) -> Vec<Bar> {
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
            Bar::never("nodes that have told no new order", self.without_new_order(killed, 10)),
            Bar::never(
                "told that a member has gone who had not",
                self.false_goings(killed, killed + seconds(12)),
            ),
        ]
    }

    pub(super) fn cut_off(&self) -> Vec<Bar> {
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
        let elsewhere = self.staying(cut, healed + seconds(8), victim);
        let wrong = self.told_at_all(&elsewhere, cut, healed + seconds(8), Some(victim));
        vec![
            Bar::time(
                "the node says that it is not ready",
                5.0,
                self.readiness(victim, false, cut),
            ),
            Bar::never(
                "accepted by the node while it was cut off",
                self.accepted_within(cut + SETTLED, healed, Some(victim)),
            ),
            Bar::time(
                "answer of the node once it knows",
                ANSWER,
                self.longest_answer(detected, healed - seconds(3), Some(victim)),
            ),
            Bar::time("its users have gone elsewhere", 10.0, went),
            Bar::never("not told exactly once that one has gone", unsaid),
            Bar::never("told elsewhere that a user has gone who is there", wrong),
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

    pub(super) fn misbehaved(&self) -> Vec<Bar> {
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
        let (full, room) = (self.at(trouble::FULL), self.at(trouble::ROOM));
        // one that was sent in the last moment may be taken when there is room again
        let wrong = self.sent(full, room).filter(|event| {
            event.attempts == 1
                && event.answered.is_none_or(|(at, status)| status != 503 && at < room)
        });
        bars.push(Bar::never("full: answered with another status than 503", wrong.count()));
        let flushed = self.at("flushed begins");
        let silent = self.without_new_order(flushed, 10);
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

    pub(super) fn churned(&self) -> Vec<Bar> {
        let churns: Vec<&Span> = self
            .history
            .spans
            .iter()
            .filter(|span| self.names.is(span.channel, "presence-churn"))
            .collect();
        let refused = churns.iter().filter(|span| span.refused).count();
        let observed =
            churns.iter().filter(|span| span.users.is_some()).flat_map(|span| &span.members);
        let bursts = self.history.marks(self.id, "burst").count() as u64;
        let done =
            self.history.proofs.iter().find(|(id, ..)| id == self.id).map(|(.., count)| *count);
        let busy = seconds(bursts * presence::BURST * u64::from(presence::CHURN));
        vec![
            Bar::time(
                "500 joins and leaves take",
                1.25,
                done.and_then(|done| busy.checked_div(done)),
            ),
            Bar::never("joins that were refused", refused),
            Bar::never("observers that were told nothing", usize::from(observed.count() == 0)),
        ]
    }

    pub(super) fn repaired(&self) -> Vec<Bar> {
        let dropped = self
            .history
            .proofs
            .iter()
            .find(|(id, what, _)| id == self.id && what == repair::DROPPED);
        let dropped = dropped.and_then(|(_, _, count)| u32::try_from(*count).ok()).map(f64::from);
        let repaired = self.risen_at(repair::FORGETFUL, "repaired", self.at("begins"), NEVER);
        let lost = self.risen_at(repair::FORGETFUL, "lost", self.at("begins"), NEVER);
        vec![
            Bar::new(
                "difference between messages that were dropped and events that were repaired",
                0.0,
                dropped.map(|dropped| (dropped - repaired).abs()),
            ),
            Bar::new("events that the node counts as lost", 0.0, Some(lost)),
        ]
    }

    pub(super) fn tails(&self) -> Vec<Bar> {
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
        let dropped = self
            .history
            .proofs
            .iter()
            .find(|(id, what, _)| id == self.id && what == repair::TAILS_DROPPED);
        let dropped = dropped.and_then(|(_, _, count)| u32::try_from(*count).ok()).unwrap_or(0);
        vec![
            Bar::new(
                "last events that were not lost on their way",
                0.0,
                Some(f64::from(repair::TAILS.abs_diff(dropped))),
            ),
            Bar::time("a lost last event is delivered", 6.0, longest),
            Bar::never("lost for good", missing),
        ]
    }
}
