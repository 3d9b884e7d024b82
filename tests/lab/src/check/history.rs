//! The records of a run put in order: connections with their subscriptions, events, what Redis kept.

use std::collections::{BTreeMap, HashMap};

use crate::log::{Micros, Record};

/// One subscription of one connection: from asking to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub(crate) conn: u32,
    pub(crate) channel: u32,
    pub user: Option<u32>,
    /// It should have been refused.
    pub(crate) may_not: bool,
    pub(crate) asked: Micros,
    /// When it succeeded.
    pub(crate) since: Option<Micros>,
    /// When it was refused.
    pub(crate) refused: bool,
    /// When the client unsubscribed, or the connection ended.
    pub(crate) until: Option<Micros>,
    pub(crate) unsubscribed: bool,
    /// Who was there at the beginning.
    pub users: Option<Vec<u32>>,
    pub(crate) got: Vec<(Micros, u64)>,
    pub(crate) members: Vec<(Micros, u32, bool)>,
}

impl Span {
    /// Tells whether it was in force over this time.
    pub(crate) fn covers(&self, from: Micros, to: Micros) -> bool {
        self.since.is_some_and(|since| since <= from) && self.until.is_none_or(|until| until >= to)
    }
}

impl Span {
    /// Tells why nothing may come now; `None` where it may.
    fn strayed(&self) -> Option<Strayed> {
        match (self.since, self.until) {
            (Some(_), None) => None,
            (Some(_), Some(left)) => Some(Strayed::Left(left)),
            (None, _) if self.refused || self.may_not => Some(Strayed::Uninvited),
            (None, _) => Some(Strayed::Early),
        }
    }
}

/// One connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) client: u32,
    pub(crate) node: u32,
    pub(crate) opened: Micros,
    pub(crate) closed: Option<Micros>,
    /// Ended by its own wish.
    pub(crate) ours: bool,
}

/// One event as its publisher saw it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) channel: u32,
    pub(crate) node: u32,
    pub(crate) except: Option<u32>,
    pub(crate) sent: Micros,
    /// When and with what status it was answered.
    pub(crate) answered: Option<(Micros, u16)>,
    pub(crate) attempts: u32,
}

impl Event {
    /// Returns when it was answered 2xx.
    pub(crate) fn accepted(&self) -> Option<Micros> {
        self.answered.filter(|(_, status)| (200..300).contains(status)).map(|(at, _)| at)
    }
}

/// A step of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: Micros,
    pub(crate) scenario: String,
    pub(crate) what: String,
    pub(crate) node: Option<u32>,
}

/// A position of a channel in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) at: Micros,
    pub(crate) epoch: String,
    pub(crate) serial: u64,
    pub(crate) event: Option<u64>,
}

/// What a node said of itself.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) at: Micros,
    pub(crate) node: u32,
    /// Nothing moved meanwhile.
    pub(crate) still: bool,
    pub(crate) values: BTreeMap<String, f64>,
}

/// What happened where it must not have: no subscription was in force.
#[derive(Debug, Clone)]
pub(crate) struct Stray {
    pub(crate) conn: u32,
    pub(crate) channel: u32,
    pub(crate) at: Micros,
    pub(crate) why: Strayed,
}

/// Why no subscription was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strayed {
    /// It was asked for, and its success had not come.
    Early,
    /// The client had unsubscribed.
    Left(Micros),
    /// It was refused, or never asked for.
    Uninvited,
}

/// Everything, by what it belongs to.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) connections: BTreeMap<u32, Connection>,
    pub(crate) spans: Vec<Span>,
    pub(crate) events: HashMap<u64, Event>,
    pub(crate) kept: BTreeMap<u32, Vec<Kept>>,
    pub(crate) strays: Vec<Stray>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) proofs: Vec<(String, String, u64)>,
    /// By node: when its readiness changed, and to what.
    pub(crate) ready: BTreeMap<u32, Vec<(Micros, bool)>>,
    pub(crate) slow: Vec<(Micros, u32, u64)>,
    /// When the lab itself stood still: from, to.
    pub(crate) stalls: Vec<(Micros, Micros)>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) told: Vec<(Micros, u32, u32, u64)>,
    /// What nodes have written and tell: where, how many bytes, and what must not be there.
    pub(crate) searched: Vec<(u32, String, u64, BTreeMap<String, u64>)>,
    pub(crate) turned: Vec<(Micros, u32, u16)>,
    /// When the last record was written.
    pub(crate) end: Micros,
}

impl History {
    /// Puts records in order.
    pub(crate) fn of(records: Vec<Record>) -> Self {
        let mut history = Self::default();
        let mut current = HashMap::new();
        for record in records {
            history.take(record, &mut current);
        }
        history
    }

    /// Returns the steps of a scenario.
    pub(crate) fn marks<'h>(
        &'h self,
        scenario: &'h str,
        what: &'h str,
    ) -> impl Iterator<Item = &'h Mark> {
        self.marks.iter().filter(move |mark| mark.scenario == scenario && mark.what == what)
    }

    /// Returns when the step of a scenario was.
    pub(crate) fn mark(&self, scenario: &str, what: &str) -> Option<Micros> {
        self.marks(scenario, what).next().map(|mark| mark.at)
    }

    /// Returns the subscriptions that succeeded, by channel.
    pub(crate) fn by_channel(&self) -> BTreeMap<u32, Vec<&Span>> {
        let mut channels: BTreeMap<u32, Vec<&Span>> = BTreeMap::new();
        for span in self.spans.iter().filter(|span| span.since.is_some()) {
            channels.entry(span.channel).or_default().push(span);
        }
        channels
    }

    /// Returns how long the lab itself stood still in all.
    pub(crate) fn stalled(&self) -> Micros {
        self.stalls.iter().map(|(from, to)| to - from).sum()
    }

    fn take(&mut self, record: Record, current: &mut HashMap<(u32, u32), usize>) {
        match record {
            Record::Opened { at, conn, client, node } => {
                self.end = self.end.max(at);
                let connection = Connection { client, node, opened: at, ..Connection::default() };
                self.connections.insert(conn, connection);
            }
            Record::Closed { at, conn, ours, .. } => {
                self.end = self.end.max(at);
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.closed = Some(at);
                    connection.ours = ours;
                }
                for span in self.spans.iter_mut().filter(|span| span.conn == conn) {
                    span.until.get_or_insert(at);
                }
            }
            Record::Turned { at, client, status } => self.turned.push((at, client, status)),
            Record::Asked { at, conn, channel, user, may } => {
                let (asked, may_not) = (at, !may);
                current.insert((conn, channel), self.spans.len());
                self.spans.push(Span { conn, channel, user, may_not, asked, ..Span::default() });
            }
            Record::Subscribed { at, conn, channel, users } => {
                let span = self.span(conn, channel, at, current);
                span.since = Some(at);
                span.users = users;
            }
            Record::Refused { at, conn, channel } => {
                let span = self.span(conn, channel, at, current);
                span.refused = true;
                span.until = Some(at);
            }
            Record::Left { at, conn, channel } => {
                let span = self.span(conn, channel, at, current);
                span.until = Some(at);
                span.unsubscribed = true;
            }
            Record::Got { at, conn, channel, event } => {
                let span = self.span(conn, channel, at, current);
                match span.strayed() {
                    None => span.got.push((at, event)),
                    Some(why) => self.strays.push(Stray { conn, channel, at, why }),
                }
            }
            Record::Member { at, conn, channel, user, came } => {
                let span = self.span(conn, channel, at, current);
                match span.strayed() {
                    None => span.members.push((at, user, came)),
                    Some(why) => self.strays.push(Stray { conn, channel, at, why }),
                }
            }
            Record::Sent { at, event, channel, node, except } => {
                let sent = Event { channel, node, except, sent: at, ..Event::default() };
                self.events.insert(event, sent);
            }
            Record::Answered { at, event, status, attempts } => {
                if let Some(event) = self.events.get_mut(&event) {
                    event.answered = Some((at, status));
                    event.attempts = attempts;
                }
            }
            Record::Kept { at, channel, epoch, serial, event } => {
                let kept = Kept { at, epoch, serial, event };
                self.kept.entry(channel).or_default().push(kept);
            }
            Record::Ready { at, node, is } => self.ready.entry(node).or_default().push((at, is)),
            Record::Slow { at, node, millis } => self.slow.push((at, node, millis)),
            Record::Stalled { at, micros } => self.stalls.push((at.saturating_sub(micros), at)),
            Record::Figures { at, node, still, values } => {
                self.figures.push(Figures { at, node, still, values });
            }
            Record::Told { at, node, channel, users } => {
                self.told.push((at, node, channel, users));
            }
            Record::Searched { node, place, bytes, found, .. } => {
                self.searched.push((node, place, bytes, found));
            }
            Record::Mark { at, scenario, what, node } => {
                self.end = self.end.max(at);
                self.marks.push(Mark { at, scenario, what, node });
            }
            Record::Proof { scenario, what, count, .. } => {
                self.proofs.push((scenario, what, count));
            }
        }
    }

    /// Returns the latest subscription of a connection to a channel; one that was never asked for is made.
    #[expect(clippy::indexing_slicing, reason = "a span that was pushed is never taken away")]
    fn span(
        &mut self,
        conn: u32,
        channel: u32,
        at: Micros,
        current: &mut HashMap<(u32, u32), usize>,
    ) -> &mut Span {
        self.end = self.end.max(at);
        let index = *current.entry((conn, channel)).or_insert(self.spans.len());
        if index == self.spans.len() {
            let span = Span { conn, channel, may_not: true, asked: at, ..Span::default() };
            self.spans.push(span);
        }
        &mut self.spans[index]
    }
}
