//! The connection that events go out on: one, pipelined, in the order in which they came.
//!
//! At most [`IN_FLIGHT`] commands have no answer yet; what comes beyond waits for at most [`PATIENCE`],
//! and so does every event while there is no connection. The newest probe waits for as long as that takes: the
//! node is ready when it has come back. An event is never sent twice: a command without an answer may have been
//! carried out. Only what the server said it did not do, for it had forgotten the scripts or the partition is
//! another's now, is done again. Whether an event whose request comes again was sent before, the server finds
//! out ([`Once`]).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, PushInfo, PushKind, RedisResult, ServerErrorKind, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::command::{is_useless, verdict};
use super::office::Office;
use crate::bridge::{BridgeError, Once};
use crate::door::Place;
use crate::protocol::ChannelKey;
use crate::redis::LinkError;

/// Commands without an answer.
const IN_FLIGHT: usize = 1024;
/// How long something may wait to be sent.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often an event is sent that the server says it did not take, for want of the scripts or the partition.
const TRIES: u8 = 8;

/// What goes out.
pub(super) enum Outgoing {
    /// Something of a channel.
    Event(Event),
    /// A probe of the subscriber.
    Probe { topic: String, text: String },
    /// What is sent is not heard: the connection is to be made anew.
    Rebuild,
}

/// Something of a channel, ready to be sent.
pub(super) struct Event {
    pub(super) key: ChannelKey,
    pub(super) envelope: String,
    /// It gets a position, and is kept for nodes that miss it.
    pub(super) is_sequenced: bool,
    /// How long it is remembered as the channel's last; sequenced events only.
    pub(super) remember: Option<Duration>,
    /// It is not sent where it was before; sequenced events only.
    pub(super) once: Option<Once>,
    pub(super) done: Option<oneshot::Sender<Result<(), BridgeError>>>,
    /// How often it was sent, and the server said that it did not take it.
    pub(super) tries: u8,
    /// Held for its drop.
    pub(super) _place: Option<Place>,
}

struct Waiting {
    event: Event,
    until: Instant,
}

/// What was sent on the connection of that generation, and the answer.
type Sent = (Work, u64, RedisResult<Value>);

/// What is sent.
pub(super) enum Work {
    Event(Event),
    Probe { topic: String, text: String },
}

type Sending = Pin<Box<dyn Future<Output = Sent>>>;
type Opening = Pin<Box<dyn Future<Output = Result<MultiplexedConnection, LinkError>>>>;

/// See the module.
pub(super) struct Publisher {
    office: Rc<Office>,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    waiting: VecDeque<Waiting>,
    /// The newest that is not sent.
    probe: Option<Work>,
    in_flight: FuturesOrdered<Sending>,
    /// To be sent again before anything else, once everything under way is answered.
    again: Vec<Event>,
    state: State,
    backoff: Backoff,
    /// Told by the connection that it is gone.
    lost: mpsc::UnboundedReceiver<u64>,
    losing: mpsc::UnboundedSender<u64>,
    /// Tells connections apart.
    generation: u64,
}

enum State {
    Opening(Opening),
    Open(MultiplexedConnection),
    /// The server has forgotten the scripts: they are loaded once everything under way is answered.
    Reloading(MultiplexedConnection),
}

impl Publisher {
    pub(super) fn new(office: Rc<Office>, queue: mpsc::UnboundedReceiver<Outgoing>) -> Self {
        let (losing, lost) = mpsc::unbounded_channel();
        let mut publisher = Self {
            office,
            queue,
            waiting: VecDeque::new(),
            probe: None,
            in_flight: FuturesOrdered::new(),
            again: Vec::new(),
            state: State::Opening(Box::pin(std::future::pending())),
            backoff: Backoff::default(),
            lost,
            losing,
            generation: 0,
        };
        publisher.reopen(Duration::ZERO);
        publisher
    }

    /// Works until nobody is left who could send anything.
    pub(super) async fn run(&mut self) {
        loop {
            self.send_all().await;
            let expiry = self.waiting.front().map(|waiting| waiting.until);
            tokio::select! {
                outgoing = self.queue.recv() => match outgoing {
                    Some(outgoing) => self.enqueue(outgoing),
                    None => return,
                },
                Some(sent) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.settle(sent);
                }
                opened = opening(&mut self.state) => self.opened(opened),
                Some(generation) = self.lost.recv() => {
                    if generation == self.generation {
                        self.lose("the connection is gone");
                    }
                }
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {
                    self.expire();
                }
            }
        }
    }

    /// Begins anew after a panic. What has no answer gets none: one that panicked would hold up all behind it.
    pub(super) fn recover(&mut self) {
        self.in_flight = FuturesOrdered::new();
        let wait = self.backoff.next();
        self.reopen(wait);
    }

    fn enqueue(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Event(event) => {
                self.waiting.push_back(Waiting { event, until: Instant::now() + PATIENCE });
            }
            Outgoing::Probe { topic, text } => self.probe = Some(Work::Probe { topic, text }),
            Outgoing::Rebuild => self.lose("what is sent is not heard"),
        }
    }

    /// Sends what waits, as far as there is room.
    async fn send_all(&mut self) {
        if self.in_flight.is_empty() {
            self.wait_again();
            self.reload().await;
        }
        while let State::Open(connection) = &self.state
            && self.again.is_empty()
            && self.in_flight.len() < IN_FLIGHT
            && let Some(what) = self
                .probe
                .take()
                .or_else(|| self.waiting.pop_front().map(|waiting| Work::Event(waiting.event)))
        {
            let command = self.office.command(&what);
            let sending = send(connection.clone(), self.generation, command, what);
            let mut sending: Sending = Box::pin(tokio::task::unconstrained(sending));
            // polled at once, so that it has its place in the pipeline before the next
            match poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await {
                Poll::Ready(sent) => self.settle(sent),
                Poll::Pending => self.in_flight.push_back(sending),
            }
        }
    }

    fn settle(&mut self, (work, generation, result): Sent) {
        let is_latest = generation == self.generation;
        let result = result.and_then(Value::extract_error);
        let Work::Event(mut event) = work else {
            if is_latest && result.is_err_and(|error| is_useless(&error)) {
                self.lose("the server takes no probe");
            }
            return;
        };
        let error = match result {
            Ok(told) => return self.office.confirm(event, &told),
            Err(error) => error,
        };
        event.tries += 1;
        // over a connection that was given up for something else, later events may be out already
        let keeps_order = is_latest || !self.again.is_empty();
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) if keeps_order && event.tries < TRIES => {
                self.again.push(event);
                return self.reload_later();
            }
            ErrorKind::Server(ServerErrorKind::Moved) if keeps_order && event.tries < TRIES => {
                self.again.push(event);
                if is_latest {
                    self.lose("the partition is another server's");
                }
                return;
            }
            _ => {}
        }
        self.office.watch.refused.add(1);
        answer(event, Err(verdict(&error)));
        if is_useless(&error) && is_latest {
            self.lose("the server takes no events");
        } else if !error.is_timeout() {
            log::debug!(error:% = error.category(); "an event was not taken");
        }
    }

    fn reload_later(&mut self) {
        if let State::Open(connection) = &self.state {
            self.state = State::Reloading(connection.clone());
        }
    }

    /// Loads the scripts, if the server has forgotten them.
    async fn reload(&mut self) {
        let State::Reloading(connection) = &self.state else {
            return;
        };
        let mut connection = connection.clone();
        match self.office.link.scripts().load(&mut connection).await {
            Ok(()) => self.state = State::Open(connection),
            Err(error) => {
                log::warn!(error:% = error; "redis does not take the scripts");
                let wait = self.backoff.next();
                self.reopen(wait);
            }
        }
    }

    /// Puts events back before all others, in the order in which they came.
    fn wait_again(&mut self) {
        let until = Instant::now() + PATIENCE;
        for event in std::mem::take(&mut self.again).into_iter().rev() {
            self.waiting.push_front(Waiting { event, until });
        }
    }

    fn opened(&mut self, opened: Result<MultiplexedConnection, LinkError>) {
        match opened {
            Ok(connection) => {
                self.backoff.reset();
                self.office.watch.connections.add(1);
                self.office.state.set_publishes(true);
                self.state = State::Open(connection);
                log::info!(partition = self.office.partition.index(); "events go out by redis");
            }
            Err(error) => {
                self.backoff.complain(&error, self.office.partition);
                let wait = self.backoff.next();
                self.reopen(wait);
            }
        }
    }

    fn lose(&mut self, cause: &str) {
        if matches!(self.state, State::Opening(_)) {
            return;
        }
        log::warn!(partition = self.office.partition.index(); "events do not go out by redis: {cause}");
        let wait = self.backoff.next();
        self.reopen(wait);
    }

    fn reopen(&mut self, wait: Duration) {
        self.office.state.set_publishes(false);
        self.generation += 1;
        let (office, losing, generation) =
            (Rc::clone(&self.office), self.losing.clone(), self.generation);
        self.state = State::Opening(Box::pin(async move {
            tokio::time::sleep(wait).await;
            let pushes = move |push: PushInfo| match push.kind {
                PushKind::Disconnection => losing.send(generation).map_err(|_| ()),
                _ => Ok(()),
            };
            office.link.open(pushes).await
        }));
    }

    /// Answers what has waited too long.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(Waiting { until, .. }) = self.waiting.front()
            && *until <= now
        {
            if let Some(Waiting { event, .. }) = self.waiting.pop_front() {
                self.office.watch.refused.add(1);
                answer(event, Err(BridgeError::Unreachable));
            }
        }
    }
}

async fn send(
    mut connection: MultiplexedConnection,
    generation: u64,
    command: Cmd,
    work: Work,
) -> Sent {
    let result = connection.send_packed_command(&command).await;
    (work, generation, result)
}

/// Waits for a connection; for ever when none is being opened.
async fn opening(state: &mut State) -> Result<MultiplexedConnection, LinkError> {
    match state {
        State::Opening(opening) => opening.await,
        State::Open(_) | State::Reloading(_) => std::future::pending().await,
    }
}

pub(super) fn answer(event: Event, result: Result<(), BridgeError>) {
    if let Some(done) = event.done {
        // who has given up waiting was told so by the deadline
        done.send(result).unwrap_or_default();
    }
}
