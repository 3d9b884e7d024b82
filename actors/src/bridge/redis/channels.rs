//! The channels that a node follows: what each waits for, where each stands, and what is due to be asked.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rand::RngExt as _;
use tokio::time::Instant;

use super::office::{Item, Office};
use super::position::{Keeper, Page, Question, Step};
use super::query::{Followed, History, PageText, Stands, Wanted};
use super::subscriber::Wish;
use super::topic::Epoch;
use crate::bridge::BridgeEvent;
use crate::door::Bound;
use crate::membership::Position;
use crate::protocol::ChannelKey;

/// Channels in one subscription or comparison.
const BATCH: usize = 512;
/// How long a channel that nobody wants is still followed.
const LINGER: Duration = Duration::from_secs(1);
/// How often channels are compared with where they stand.
const COMPARE: Duration = Duration::from_secs(5);
/// How long after its last event a channel is compared.
const LIVELY: Duration = Duration::from_mins(10);

/// All channels, by topic.
pub(super) struct Channels {
    office: Rc<Office>,
    by_topic: HashMap<String, Channel>,
    /// Topics to be subscribed to, in the order of the wishes.
    to_follow: VecDeque<String>,
    /// Topics that are due to be subscribed to at the next look.
    to_follow_later: Vec<String>,
    /// Topics that nobody wants any more, by the time at which that was said.
    to_end: VecDeque<(Instant, String)>,
    to_ask: VecDeque<(String, Question)>,
    to_compare: HashSet<String>,
    next_comparison: Instant,
}

struct Channel {
    key: ChannelKey,
    phase: Phase,
    keeper: Keeper<Item>,
    /// It is, or is about to be, subscribed to on this connection.
    subscribed: bool,
    last_event: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Somebody waits to hear that it is followed.
    Joining { wish: u64 },
    /// Its events are delivered.
    Live,
    /// Nobody wants it any more.
    Lingering { until: Instant },
}

/// Changes of the subscriptions.
#[derive(Debug)]
pub(super) enum Due {
    Follow(Vec<Wanted>),
    Unfollow(Vec<String>),
}

impl Channels {
    pub(super) fn new(office: Rc<Office>) -> Self {
        Self {
            office,
            by_topic: HashMap::new(),
            to_follow: VecDeque::new(),
            to_follow_later: Vec::new(),
            to_end: VecDeque::new(),
            to_ask: VecDeque::new(),
            to_compare: HashSet::new(),
            next_comparison: Instant::now(),
        }
    }

    /// Notes what the node wants.
    pub(super) fn note(&mut self, wish: Wish) {
        match wish {
            Wish::Follow { key, wish } => self.follow(key, wish),
            Wish::Unfollow { key } => {
                let until = Instant::now() + LINGER;
                let topic = self.office.keys.topic(&key);
                if let Some(channel) = self.by_topic.get_mut(&topic) {
                    channel.phase = Phase::Lingering { until };
                    channel.keeper.loosen();
                    self.to_end.push_back((until, topic));
                }
            }
        }
        self.office.state.followed.set(self.by_topic.len());
    }

    fn follow(&mut self, key: ChannelKey, wish: u64) {
        let topic = self.office.keys.topic(&key);
        let phase = Phase::Joining { wish };
        if let Some(channel) = self.by_topic.get_mut(&topic) {
            channel.phase = phase;
            channel.keeper.loosen();
        } else {
            let last_event = Instant::now();
            let (keeper, subscribed) = (Keeper::default(), false);
            let channel = Channel { key, phase, keeper, subscribed, last_event };
            self.by_topic.insert(topic.clone(), channel);
        }
        self.to_follow.push_back(topic);
    }

    /// Forgets what belonged to a connection; every channel that is wanted is due to be followed.
    pub(super) fn disconnected(&mut self) {
        self.to_follow_later.clear();
        self.to_end.clear();
        self.to_ask.clear();
        self.to_compare.clear();
        self.by_topic.retain(|_, channel| !matches!(channel.phase, Phase::Lingering { .. }));
        for channel in self.by_topic.values_mut() {
            channel.subscribed = false;
            if matches!(channel.phase, Phase::Live) {
                channel.keeper.pause();
            } else {
                channel.keeper.loosen();
            }
        }
        self.to_follow = self.by_topic.keys().cloned().collect();
        self.office.state.followed.set(self.by_topic.len());
    }

    // === What is due ===

    /// Returns the next batch of changes: first what is wanted, then what is not wanted any more.
    pub(super) fn due_changes(&mut self) -> Option<Due> {
        let mut wanted = Vec::new();
        let mut chosen = HashSet::new();
        while wanted.len() < BATCH
            && let Some(topic) = self.to_follow.pop_front()
        {
            let Some(channel) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            if matches!(channel.phase, Phase::Lingering { .. }) || !chosen.insert(topic.clone()) {
                continue;
            }
            channel.subscribed = true;
            let keys = &self.office.keys;
            let (meta, cached) = (keys.meta(&channel.key), keys.cached(&channel.key));
            wanted.push(Wanted { topic, meta, cached });
        }
        if !wanted.is_empty() {
            return Some(Due::Follow(wanted));
        }
        let ended = self.ended();
        let (unfollow, forget): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|topic| self.is_subscribed(topic));
        self.unfollowed(&forget);
        (!unfollow.is_empty()).then_some(Due::Unfollow(unfollow))
    }

    /// Takes the topics whose lingering is over.
    fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        let now = Instant::now();
        while ended.len() < BATCH
            && let Some((_, topic)) = self.to_end.pop_front_if(|(until, _)| *until <= now)
        {
            // who was wanted again meanwhile has another end, or none
            if self.by_topic.get(&topic).is_some_and(|channel| channel.is_over(now)) {
                ended.push(topic);
            }
        }
        ended
    }

    fn is_subscribed(&self, topic: &str) -> bool {
        self.by_topic.get(topic).is_some_and(|channel| channel.subscribed)
    }

    /// Returns the next batch of channels to be compared: topics and keys of their positions.
    pub(super) fn due_comparisons(&mut self) -> Option<Vec<(String, String)>> {
        let topics: Vec<String> = self.to_compare.iter().take(BATCH).cloned().collect();
        let mut wanted = Vec::with_capacity(topics.len());
        for topic in topics {
            self.to_compare.remove(&topic);
            if let Some(channel) = self.by_topic.get(&topic) {
                let meta = self.office.keys.meta(&channel.key);
                wanted.push((topic, meta));
            }
        }
        (!wanted.is_empty()).then_some(wanted)
    }

    /// Returns the next question about a hole: topic, keys, question.
    pub(super) fn due_question(&mut self) -> Option<(String, History, Question)> {
        while let Some((topic, question)) = self.to_ask.pop_front() {
            if let Some(channel) = self.by_topic.get(&topic) {
                let keys = &self.office.keys;
                let (meta, stream) = (keys.meta(&channel.key), keys.history(&channel.key));
                return Some((topic, History { meta, stream }, question));
            }
        }
        None
    }

    /// Looks for what time has made due; `dirty` are topics of which something was dropped.
    pub(super) fn look(&mut self, dirty: &HashSet<Vec<u8>>) {
        let dirty = dirty.iter().filter_map(|topic| std::str::from_utf8(topic).ok());
        self.to_compare.extend(dirty.map(str::to_owned));
        self.to_follow.extend(self.to_follow_later.drain(..));
        let now = Instant::now();
        if now < self.next_comparison {
            return;
        }
        // jitter: nodes that started together need not ask together
        self.next_comparison = now + COMPARE.mul_f64(rand::rng().random_range(0.8..=1.0));
        let lively = self.by_topic.iter().filter(|(_, channel)| channel.is_lively(now));
        self.to_compare.extend(lively.map(|(topic, _)| topic.clone()));
    }

    // === What comes in ===

    /// Takes a message of a topic.
    pub(super) fn message(&mut self, topic: &[u8], text: &[u8], under_way: &Arc<Bound>) {
        let Some(topic) = std::str::from_utf8(topic).ok() else {
            return;
        };
        let Some(channel) = self.by_topic.get_mut(topic) else {
            return;
        };
        if matches!(channel.phase, Phase::Lingering { .. }) {
            return;
        }
        let office = Rc::clone(&self.office);
        let Some((position, told)) = office.read(&channel.key, text) else {
            return;
        };
        channel.last_event = Instant::now();
        match position {
            None => {
                let item = Item { told, position: None };
                office.deliver(&channel.key, item, under_way);
            }
            Some((epoch, serial)) => {
                let item = Item { told, position: place_in(&channel.key, Some((epoch, serial))) };
                let step = channel.keeper.take(epoch, serial, item, text.len());
                self.carry_out(topic, step, under_way);
            }
        }
    }

    pub(super) fn followed(&mut self, followed: Vec<Followed>, under_way: &Arc<Bound>) {
        for Followed { topic, stands, remembered } in followed {
            let Some(channel) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            let step = match channel.phase {
                Phase::Joining { wish } => {
                    channel.phase = Phase::Live;
                    let key = channel.key.clone();
                    let remembered = remembered
                        .and_then(|(envelope, left)| self.office.remembered(&key, &envelope, left));
                    let step = channel.keeper.begin(stands);
                    self.office.emit(BridgeEvent::Followed { key, wish, remembered });
                    step
                }
                Phase::Live => channel.keeper.compare(stands),
                Phase::Lingering { .. } => continue,
            };
            self.carry_out(&topic, step, under_way);
        }
    }

    /// Takes that nobody can say yet where these channels stand.
    pub(super) fn follow_later(&mut self, topics: Vec<String>) {
        self.to_follow_later.extend(topics);
    }

    pub(super) fn unfollowed(&mut self, topics: &[String]) {
        for topic in topics {
            let Some(channel) = self.by_topic.get_mut(topic) else {
                continue;
            };
            if matches!(channel.phase, Phase::Lingering { .. }) {
                self.by_topic.remove(topic);
            } else {
                // it is wanted again, and due
                channel.subscribed = false;
            }
        }
        self.office.state.followed.set(self.by_topic.len());
    }

    pub(super) fn compared(&mut self, compared: Vec<(String, Stands)>, under_way: &Arc<Bound>) {
        for (topic, stands) in compared {
            let live = self.by_topic.get_mut(&topic);
            if let Some(channel) = live.filter(|channel| matches!(channel.phase, Phase::Live)) {
                let step = channel.keeper.compare(stands);
                self.carry_out(&topic, step, under_way);
            }
        }
    }

    pub(super) fn page(&mut self, topic: &str, page: PageText, under_way: &Arc<Bound>) {
        let Some(channel) = self.by_topic.get_mut(topic) else {
            return;
        };
        let PageText { ticket, stands, entries, full } = page;
        let (office, key) = (&self.office, &channel.key);
        let entries = entries.into_iter().map(|(serial, envelope)| {
            let position = place_in(key, stands.map(|(epoch, _)| (epoch, serial)));
            (serial, Item { told: office.read_envelope(key, &envelope), position })
        });
        let page = Page { ticket, stands, entries: entries.collect(), full };
        let step = channel.keeper.answer(page);
        self.carry_out(topic, step, under_way);
    }

    fn carry_out(&mut self, topic: &str, step: Step<Item>, under_way: &Arc<Bound>) {
        let Step { deliver, ask, seen } = step;
        self.office.count(&seen);
        if let Some(channel) = self.by_topic.get(topic) {
            for item in deliver {
                self.office.deliver(&channel.key, item, under_way);
            }
            // whoever counts by positions is to find out that some are missing
            if (seen.lost > 0 || seen.epochs > 0)
                && let Some(position) = place_in(&channel.key, channel.keeper.stands())
            {
                self.office.miss(&channel.key, position, under_way);
            }
        }
        if let Some(question) = ask {
            self.to_ask.push_back((topic.to_owned(), question));
        }
    }
}

/// Returns a position for channels with members and for those that are watched; others do without.
fn place_in(key: &ChannelKey, stands: Option<(Epoch, u64)>) -> Option<Position> {
    let can = key.channel.kind().capabilities();
    let (epoch, serial) = stands.filter(|_| can.members || can.watched)?;
    Some(Position { epoch: epoch.as_str().into(), serial })
}

impl Channel {
    fn is_over(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Lingering { until } if until <= now)
    }

    fn is_lively(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Live) && now.saturating_duration_since(self.last_event) < LIVELY
    }
}
