//! The connection that events come in on, and the channels that are followed.
//!
//! One ordered reader. A connection that is lost is made anew for ever; then every channel is followed
//! again and compared with where it stands, so that what went by meanwhile is read from the history. All
//! that is known of a channel outlives connections.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::backoff::Backoff;
use super::channels::{Channels, Due};
use super::inbox::{self, Inbox, Incoming};
use super::office::Office;
use super::probe::Probe;
use super::publisher::Outgoing;
use super::query::{Answer, Query, subscribe};
use crate::door::Bound;
use crate::protocol::ChannelKey;

/// How often due work is looked for: ends of lingering, comparisons.
const LOOK: Duration = Duration::from_millis(250);
/// How often a probe is sent.
const PROBE: Duration = Duration::from_secs(2);
/// Events handed to channels and not yet to the workers, in all partitions. Over it nothing more is taken in, and no answer
/// either, for that takes in whatever came before it: at most what the inbox holds goes over the bound.
const UNDER_WAY: usize = 4096;
/// How long the reader rests when channels cannot keep up.
const REST: Duration = Duration::from_millis(1);
/// Questions under way about holes.
const QUESTIONS: usize = 16;

/// What the subscriber is told.
pub(super) enum Wish {
    /// Follow a channel.
    Follow { key: ChannelKey, wish: u64 },
    /// Stop following it.
    Unfollow { key: ChannelKey },
}

type Asking = std::pin::Pin<Box<dyn Future<Output = Answer>>>;

/// See the module.
pub(super) struct Subscriber {
    office: Rc<Office>,
    wishes: mpsc::UnboundedReceiver<Wish>,
    publisher: mpsc::WeakUnboundedSender<Outgoing>,
    channels: Channels,
    under_way: std::sync::Arc<Bound>,
    backoff: Backoff,
}

/// Why a connection is not served any more.
enum Ended {
    /// Nobody is left who could follow anything.
    Done,
    /// To be made anew.
    Lost(&'static str),
}

/// What belongs to one connection.
struct Line {
    connection: MultiplexedConnection,
    inbox: Inbox,
    asking: FuturesUnordered<Asking>,
    /// Subscriptions are changed one batch after the other.
    is_changing: bool,
    is_comparing: bool,
    questions: usize,
    probe: Probe,
}

impl Subscriber {
    pub(super) fn new(
        office: Rc<Office>,
        wishes: mpsc::UnboundedReceiver<Wish>,
        publisher: mpsc::WeakUnboundedSender<Outgoing>,
    ) -> Self {
        Self {
            channels: Channels::new(Rc::clone(&office)),
            wishes,
            publisher,
            under_way: Bound::new(UNDER_WAY / office.partitions),
            backoff: Backoff::default(),
            office,
        }
    }

    /// Works until nobody is left who could follow anything.
    pub(super) async fn run(&mut self) {
        loop {
            let (sender, inbox) = inbox::open(&self.office.probe, self.office.partitions);
            let ended = match self.office.link.open(sender).await {
                Ok(connection) => self.serve(connection, inbox).await,
                Err(error) => {
                    self.backoff.complain(&error, self.office.partition);
                    Ended::Lost("")
                }
            };
            self.disconnected();
            match ended {
                Ended::Done => return,
                Ended::Lost("") => {}
                Ended::Lost(cause) => {
                    let partition = self.office.partition.index();
                    log::warn!(partition; "events do not come in by redis: {cause}");
                }
            }
            let wait = self.backoff.next();
            if self.wait(wait).await.is_none() {
                return;
            }
        }
    }

    /// Begins anew after a panic: what is known of channels may be half changed, so all are compared.
    pub(super) async fn recover(&mut self) {
        self.disconnected();
        let wait = self.backoff.next();
        // that nobody is left shows in the next run too
        self.wait(wait).await.unwrap_or_default();
    }

    fn disconnected(&mut self) {
        self.office.state.set_subscribes(false);
        self.office.state.set_hears(false);
        self.channels.disconnected();
    }

    /// Waits, and notes wishes meanwhile; `None` when nobody is left who has any.
    async fn wait(&mut self, wait: Duration) -> Option<()> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                wish = self.wishes.recv() => self.channels.note(wish?),
                () = tokio::time::sleep_until(until) => return Some(()),
            }
        }
    }

    async fn serve(&mut self, connection: MultiplexedConnection, inbox: Inbox) -> Ended {
        let mut line = Line {
            connection,
            inbox,
            asking: FuturesUnordered::new(),
            is_changing: false,
            is_comparing: false,
            questions: 0,
            probe: Probe::default(),
        };
        let probe = [self.office.probe.as_str()];
        if subscribe(&mut line.connection, self.office.partition, &probe).await.is_err() {
            return Ended::Lost("the server takes no subscription");
        }
        self.office.watch.connections.add(1);
        self.office.state.set_subscribes(true);
        log::info!(partition = self.office.partition.index(); "events come in by redis");
        let (mut look, mut probe) = (interval(LOOK), interval(PROBE));
        // a thread that was held up has not lost a probe
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask_what_is_due(&mut line);
            let has_room = self.under_way.has_room();
            let ended = tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(wish) => { self.channels.note(wish); None }
                    None => Some(Ended::Done),
                },
                Some(answer) = line.asking.next(), if has_room && !line.asking.is_empty() => {
                    self.answered(&mut line, answer)
                }
                _ = probe.tick(), if has_room => self.probe(&mut line),
                _ = look.tick() => { self.look(&mut line); None }
                incoming = line.inbox.next(), if has_room => self.take(&mut line, incoming),
                () = sleep(REST), if !has_room => None,
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    fn take(&mut self, line: &mut Line, incoming: Incoming) -> Option<Ended> {
        match incoming {
            Incoming::Message { topic, text } => {
                self.channels.message(&topic, &text, &self.under_way);
                None
            }
            Incoming::Probe { text, at } => {
                if let Some(trip) = line.probe.returned(&text, at) {
                    self.office.state.heard(trip, self.office.watch.now());
                    self.backoff.reset();
                }
                None
            }
            Incoming::Lost => Some(Ended::Lost("the connection is gone")),
        }
    }

    /// Takes in everything that came before an answer, for answers are told by another way.
    fn catch_up(&mut self, line: &mut Line) -> Option<Ended> {
        while let Some(incoming) = line.inbox.try_next() {
            if let Some(ended) = self.take(line, incoming) {
                return Some(ended);
            }
        }
        None
    }

    fn answered(&mut self, line: &mut Line, answer: Answer) -> Option<Ended> {
        if let Some(ended) = self.catch_up(line) {
            return Some(ended);
        }
        match answer {
            Answer::Followed(followed, later) => {
                line.is_changing = false;
                self.channels.followed(followed, &self.under_way);
                self.channels.follow_later(later);
            }
            Answer::Unfollowed(topics) => {
                line.is_changing = false;
                self.channels.unfollowed(&topics);
            }
            Answer::Compared(compared) => {
                line.is_comparing = false;
                self.channels.compared(compared, &self.under_way);
            }
            Answer::Page { topic, page } => {
                line.questions -= 1;
                self.channels.page(&topic, page, &self.under_way);
            }
            Answer::Failed(error) => {
                log::warn!(error:% = error.category(); "redis does not answer a question");
                return Some(Ended::Lost("a question was not answered"));
            }
        }
        None
    }

    /// Asks whatever is due, as far as its kind has room.
    fn ask_what_is_due(&mut self, line: &mut Line) {
        if !line.is_changing
            && let Some(due) = self.channels.due_changes()
        {
            line.is_changing = true;
            let query = match due {
                Due::Follow(wanted) => Query::Follow(wanted),
                Due::Unfollow(topics) => Query::Unfollow(topics),
            };
            self.ask(line, query);
        }
        if !line.is_comparing
            && let Some(wanted) = self.channels.due_comparisons()
        {
            line.is_comparing = true;
            self.ask(line, Query::Compare(wanted));
        }
        while line.questions < QUESTIONS
            && let Some((topic, history, question)) = self.channels.due_question()
        {
            line.questions += 1;
            self.ask(line, Query::Page { topic, history, question });
        }
    }

    /// Sends a question at once, so that its place among others is that of the call.
    fn ask(&self, line: &Line, query: Query) {
        let office = Rc::clone(&self.office);
        let connection = line.connection.clone();
        let asking = async move { query.ask(connection, &office).await };
        let mut asking: Asking = Box::pin(tokio::task::unconstrained(asking));
        // nothing is ever ready at once: the wake-up that is thrown away here is asked for again below
        match (&mut asking).now_or_never() {
            Some(answer) => line.asking.push(Box::pin(std::future::ready(answer))),
            None => line.asking.push(asking),
        }
    }

    fn look(&mut self, line: &mut Line) {
        let (dirty, dropped) = line.inbox.take_dirty();
        self.office.watch.dropped.overload.add(dropped);
        self.channels.look(&dirty);
    }

    fn probe(&mut self, line: &mut Line) -> Option<Ended> {
        if let Some(ended) = self.catch_up(line) {
            return Some(ended);
        }
        match line.probe.missed() {
            0 => {}
            1 => self.office.state.set_hears(false),
            _ => {
                self.publish(Outgoing::Rebuild);
                return Some(Ended::Lost("what is sent is not heard"));
            }
        }
        let text = line.probe.sent(Instant::now());
        self.publish(Outgoing::Probe { topic: self.office.probe.clone(), text });
        None
    }

    fn publish(&self, outgoing: Outgoing) {
        if let Some(publisher) = self.publisher.upgrade() {
            // it fails when the node is at its end
            publisher.send(outgoing).unwrap_or_default();
        }
    }
}
