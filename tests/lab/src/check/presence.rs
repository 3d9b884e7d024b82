//! I6: what every observer of a presence channel believes, against who really was there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::history::{History, Span};
use super::{Finding, Terms};
use crate::log::{Micros, in_seconds, seconds};

/// Before this long after a user was there nobody may be told that the user has gone, or come: leases last as long.
const LEASE: Micros = seconds(12);

/// Comings and goings alternate, none is invented, and after a quiet time everybody knows all of them.
pub(super) fn everybody_agrees(history: &History, terms: &Terms) -> Finding {
    let mut finding = Finding::new(
        "comings and goings alternate, none is false, and after a quiet time observers know who is there",
    );
    let channels = history.by_channel();
    for (channel, spans) in channels {
        if spans.iter().all(|span| span.users.is_none()) {
            continue;
        }
        let presence = Presence::of(channel, history, &spans);
        for span in spans.iter().filter(|span| span.users.is_some()) {
            presence.check_observer(span, terms, &mut finding);
        }
    }
    finding
}

/// Who was where when, as the members themselves know.
struct Presence {
    channel: u32,
    /// By user: the times of every connection of theirs, from asking to the end.
    stays: BTreeMap<u32, Vec<Stay>>,
    /// When anybody came or went.
    stirred: Vec<Micros>,
    end: Micros,
}

#[derive(Debug, Clone, Copy)]
struct Stay {
    asked: Micros,
    since: Option<Micros>,
    until: Option<Micros>,
}

impl Presence {
    fn of(channel: u32, history: &History, spans: &[&Span]) -> Self {
        let mut stays: BTreeMap<u32, Vec<Stay>> = BTreeMap::new();
        let mut stirred = Vec::new();
        // those that nobody has answered too: they may have been admitted
        let asked = history.spans.iter().filter(|span| span.channel == channel && !span.refused);
        for span in asked {
            let Some(user) = span.user else { continue };
            let Span { asked, since, until, .. } = *span;
            stays.entry(user).or_default().push(Stay { asked, since, until });
            stirred.extend([Some(asked), since, until].into_iter().flatten());
        }
        stirred.sort_unstable();
        let end = spans.iter().filter_map(|span| span.until).max().unwrap_or(history.end);
        Self { channel, stays, stirred, end: end.max(history.end) }
    }

    /// Returns who was there at a quiet moment.
    fn present(&self, at: Micros) -> BTreeSet<u32> {
        let is_here = |stay: &Stay| {
            stay.since.is_some_and(|since| since <= at) && stay.until.is_none_or(|until| until > at)
        };
        let here = self.stays.iter().filter(|(_, stays)| stays.iter().any(is_here));
        here.map(|(user, _)| *user).collect()
    }

    /// Tells whether a user was there all the time between two moments, with whichever connections.
    fn stayed(&self, user: u32, from: Micros, to: Micros) -> bool {
        let mut reached = from;
        let stays = self.stays.get(&user).map(Vec::as_slice).unwrap_or_default();
        let mut sorted: Vec<(Micros, Micros)> = stays
            .iter()
            .filter_map(|stay| Some((stay.since?, stay.until.unwrap_or(Micros::MAX))))
            .collect();
        sorted.sort_unstable();
        for (since, until) in sorted {
            if since <= reached {
                reached = reached.max(until);
            }
        }
        reached > to
    }

    /// Tells whether a user was there, or about to be, at any time between two moments.
    fn was_seen(&self, user: u32, from: Micros, to: Micros) -> bool {
        let stays = self.stays.get(&user).into_iter().flatten();
        stays
            .into_iter()
            .any(|stay| stay.asked <= to && stay.until.is_none_or(|until| until >= from))
    }

    /// Follows what one subscription was told.
    fn check_observer(&self, span: &Span, terms: &Terms, finding: &mut Finding) {
        let Some(since) = span.since else { return };
        let mut believed: BTreeSet<u32> = span.users.iter().flatten().copied().collect();
        let who = || format!("connection {} in channel {}", span.conn, self.channel);
        let until = span.until.unwrap_or(self.end);
        let mut moments = self.quiet_moments(since, until, terms).into_iter().peekable();
        for (at, user, came) in &span.members {
            while let Some(moment) = moments.next_if(|moment| moment < at) {
                self.compare(&believed, moment, &who, finding);
            }
            let alternates = if *came { believed.insert(*user) } else { believed.remove(user) };
            let word = if *came { "come" } else { "gone" };
            finding.check(alternates, || {
                format!(
                    "{} was told twice that {user} had {word}, at {:.3} s",
                    who(),
                    in_seconds(*at)
                )
            });
            let before = at.saturating_sub(LEASE);
            if terms.is_disturbed(before, *at) {
                continue;
            }
            let is_true = if *came {
                self.was_seen(*user, before, *at)
            } else {
                !self.stayed(*user, before, *at)
            };
            finding.check(is_true, || {
                format!(
                    "{} was told falsely that {user} had {word}, at {:.3} s",
                    who(),
                    in_seconds(*at)
                )
            });
        }
        for moment in moments {
            self.compare(&believed, moment, &who, finding);
        }
    }

    fn compare(
        &self,
        believed: &BTreeSet<u32>,
        at: Micros,
        who: &impl Fn() -> String,
        finding: &mut Finding,
    ) {
        let present = self.present(at);
        finding.check(*believed == present, || {
            let ghosts: HashSet<_> = believed.difference(&present).collect();
            let missed: HashSet<_> = present.difference(believed).collect();
            format!("{} at {:.3} s: ghosts {ghosts:?}, missed {missed:?}", who(), in_seconds(at))
        });
    }

    /// Returns the last moments of quiet times in which an observer was there: from its own beginning on, that
    /// is quiet too.
    fn quiet_moments(&self, since: Micros, until: Micros, terms: &Terms) -> Vec<Micros> {
        let ends = self.stirred.iter().copied().filter(|at| (since..until).contains(at));
        let mut begin = since;
        let mut moments = Vec::new();
        for stir in ends.chain([until]) {
            let is_quiet = stir >= begin + terms.quiet;
            if is_quiet && !terms.is_disturbed(stir.saturating_sub(terms.quiet), stir) {
                moments.push(stir - 1);
            }
            begin = stir;
        }
        moments
    }
}
