//! Who sends: takes events off the schedule and triggers them by signed HTTP requests, each publisher one at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use awc::Client;
use awc::error::{ConnectError, SendRequestError};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::latency::Latencies;
use super::ledger::{Ledger, Stream};
use super::schedule::{Schedule, Slot};
use super::shared::{Channel, Shared};
use super::stamp::{Phase, Stamp};
use super::{EVENT, excerpt};
use crate::commands::target::Target;

/// Most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest sleep of the pacer: how late it hears that nothing more is to be sent.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What all publishers have in common.
pub(super) struct Press {
    shared: Arc<Shared>,
    target: Arc<Target>,
    client: Client,
    /// One permit for each event that is due, where the schedule is paced.
    released: Arc<Semaphore>,
    pub(super) schedule: RefCell<Schedule>,
    pub(super) ledger: RefCell<Ledger>,
    /// From when a measured event was due to its 2xx.
    pub(super) trigger: RefCell<Latencies>,
    /// When the schedule began, on the measurement's clock.
    pub(super) begin: Duration,
    /// Deliveries that the accepted events should bring.
    expected: Cell<u64>,
    /// Those of them that a closed loop does not wait for any more.
    given_up: Cell<u64>,
    /// Whose turn it is.
    turn: Cell<u32>,
    /// Why there is no point in going on.
    pub(super) hopeless: RefCell<Option<String>>,
}

/// How a request ended.
enum Outcome {
    Accepted,
    Refused(String),
    /// It will never be accepted: the identity is wrong.
    Hopeless {
        status: String,
        text: String,
    },
}

impl Press {
    /// Begins the schedule now.
    pub(super) fn begin(
        shared: Arc<Shared>,
        target: Arc<Target>,
        client: Client,
        trigger: Latencies,
    ) -> Self {
        let plan = &shared.plan;
        let begin = shared.now();
        let released = Arc::new(Semaphore::new(0));
        let schedule = Schedule::new(plan.rate, plan.warm_up(), plan.measured());
        if plan.is_closed_loop() {
            let largest = shared.channels.iter().map(Channel::listeners).max();
            let room = u64::from(plan.window) * u64::from(largest.unwrap_or(1).max(1));
            shared.room.add_permits(usize::try_from(room).unwrap_or(usize::MAX >> 4));
        }
        Self {
            client,
            released,
            schedule: RefCell::new(schedule),
            ledger: RefCell::default(),
            trigger: RefCell::new(trigger),
            begin,
            expected: Cell::new(0),
            given_up: Cell::new(0),
            turn: Cell::new(0),
            hopeless: RefCell::new(None),
            shared,
            target,
        }
    }

    /// Starts the thread that releases each event when it is due. It sleeps to fractions of a millisecond, which timers of the
    /// runtime do not.
    pub(super) fn pace(&self) -> std::io::Result<()> {
        let plan = &self.shared.plan;
        let schedule = Schedule::new(plan.rate, plan.warm_up(), plan.measured());
        let Some(total) = schedule.total() else {
            return Ok(());
        };
        let (shared, released) = (Arc::clone(&self.shared), Arc::clone(&self.released));
        let begin = self.begin;
        // Released beyond the last event, each publisher finds that there is none.
        let ends = plan.publishers as usize;
        thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            let mut done = 0;
            while done < total && !shared.is_ending.load(Ordering::Relaxed) {
                let now = shared.now().saturating_sub(begin);
                let due = schedule.due_until(now);
                released.add_permits(usize::try_from(due.saturating_sub(done)).unwrap_or(0));
                done = due.max(done);
                let next = schedule.due(done).saturating_sub(shared.now().saturating_sub(begin));
                thread::sleep(next.min(LONGEST_SLEEP));
            }
            released.add_permits(ends);
        })?;
        Ok(())
    }

    /// Sends events until there are no more.
    pub(super) async fn publish(self: Rc<Self>, publisher: u32) {
        while let Some((slot, index)) = self.next().await {
            let Some(channel) = self.shared.channels.get(index as usize) else {
                return;
            };
            let stream = Stream { phase: slot.phase, publisher, channel: index };
            let number = self.ledger.borrow_mut().begin(stream);
            let due = self.begin.saturating_add(slot.due);
            let stamp = Stamp { phase: slot.phase, publisher, number, due, channel: index };
            let outcome =
                self.post(&channel.name, &stamp.write(self.shared.plan.size as usize)).await;
            let mut ledger = self.ledger.borrow_mut();
            match outcome {
                Outcome::Accepted => {
                    // An answer behind the end is none.
                    if !ledger.accept(publisher) {
                        return;
                    }
                    let listeners = u64::from(channel.listeners());
                    self.expected.set(self.expected.get().saturating_add(listeners));
                    if slot.phase == Phase::Measured {
                        let latency = self.shared.now().saturating_sub(due);
                        self.trigger.borrow_mut().record(latency);
                    }
                }
                Outcome::Refused(cause) => {
                    ledger.refuse(publisher, cause);
                    if self.shared.plan.is_closed_loop() {
                        self.shared.room.add_permits(channel.listeners() as usize);
                    }
                }
                Outcome::Hopeless { status, text } => {
                    let cause = format!("{status}: {text}");
                    ledger.refuse(publisher, status);
                    self.hopeless.borrow_mut().get_or_insert(cause);
                    self.stop();
                }
            }
        }
    }

    /// Nothing more is to be sent.
    pub(super) fn stop(&self) {
        self.schedule.borrow_mut().stop(self.now());
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.released.close();
        self.shared.room.close();
    }

    /// Returns how many deliveries have been due and did not come yet.
    pub(super) fn outstanding(&self) -> u64 {
        self.expected.get().saturating_sub(self.shared.received())
    }

    /// Lets a closed loop go on without the deliveries that are outstanding; the end waits for them all the same.
    pub(super) fn give_up_outstanding(&self) {
        let more = self.outstanding().saturating_sub(self.given_up.get());
        self.given_up.set(self.given_up.get().saturating_add(more));
        if self.shared.plan.is_closed_loop() {
            self.shared.room.add_permits(usize::try_from(more).unwrap_or(0));
        }
    }

    /// Waits for the next event and says to which channel it goes.
    async fn next(&self) -> Option<(Slot, u32)> {
        let Some(index) = self.next_channel() else {
            self.stop();
            return None;
        };
        if self.shared.plan.is_closed_loop() {
            let listeners = self.shared.channels.get(index as usize)?.listeners();
            let (_, end) = self.schedule.borrow().measured();
            let left = end.saturating_sub(self.now());
            let room = timeout(left, self.shared.room.acquire_many(listeners)).await;
            room.ok()?.ok()?.forget();
        } else {
            self.released.acquire().await.ok()?.forget();
        }
        let slot = self.schedule.borrow_mut().take(self.now())?;
        Some((slot, index))
    }

    /// Channels in turn, but for those that nobody listens to any more.
    fn next_channel(&self) -> Option<u32> {
        let channels = &self.shared.channels;
        for _ in 0..channels.len() {
            let index = self.turn.get();
            self.turn.set(index.saturating_add(1) % self.shared.plan.channels);
            if channels.get(index as usize)?.listeners() > 0 {
                return Some(index);
            }
        }
        None
    }

    /// Returns the time since the start of the schedule.
    pub(super) fn now(&self) -> Duration {
        self.shared.now().saturating_sub(self.begin)
    }

    async fn post(&self, channel: &str, data: &str) -> Outcome {
        let body = json!({ "name": EVENT, "channels": [channel], "data": data }).to_string();
        let path = self.target.signed_path("events", &body);
        let request = self.client.post(self.target.http(&path));
        let mut answer = match request.content_type("application/json").send_body(body).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Refused(cause(&error)),
        };
        let status = answer.status();
        // Read to its end, so that the connection can be used again.
        let body = answer.body().limit(MAX_ANSWER).await.unwrap_or_default();
        if status.is_success() {
            return Outcome::Accepted;
        }
        match status.as_u16() {
            401 | 403 | 404 => {
                let text = excerpt(String::from_utf8_lossy(&body).trim_end());
                Outcome::Hopeless { status: status.to_string(), text }
            }
            _ => Outcome::Refused(status.to_string()),
        }
    }
}

/// Says why there is no answer, in the same words for all requests that have the cause.
fn cause(error: &SendRequestError) -> String {
    match error {
        SendRequestError::Connect(ConnectError::Io(error)) => format!("no connection: {error}"),
        SendRequestError::Timeout => "no answer in time".to_owned(),
        SendRequestError::Send(error) => format!("connection lost: {error}"),
        other => other.to_string(),
    }
}
