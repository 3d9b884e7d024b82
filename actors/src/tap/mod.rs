//! Shows what passes through the node to whoever looks on: events, connections, subscriptions, errors.
//!
//! The node never waits for an onlooker. Each has a queue of its own with a bound; what does not fit is
//! dropped for this onlooker alone, and counted. With nobody looking on, something that passes costs one
//! relaxed load.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::App;
use crate::metrics::Counter;
use crate::protocol::{AppId, SocketId, UserId};

/// Onlookers at once.
const ONLOOKERS: usize = 16;
/// What may wait for one onlooker.
const WAITING: usize = 1024;
/// Bytes of names, texts and data that may wait for one onlooker. What another has had written of them is not
/// counted.
const WAITING_BYTES: usize = 1024 * 1024;

/// What something is that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event of a backend that this node has a place for. It is shown before a bridge to other nodes has taken
    /// it: if that fails, an error follows.
    Event,
    /// An event that a channel of this node has sent to its subscribers here.
    Delivery,
    /// An event that a client of this node sent to the others in its channel.
    ClientEvent,
    /// A connection was established.
    Connection,
    /// An established connection has ended.
    Disconnection,
    /// A connection has joined a channel.
    Subscription,
    /// A connection has left a channel.
    Unsubscription,
    /// A client or a backend was told that something went wrong.
    Error,
}

/// Every kind and its name.
const KINDS: [(Kind, &str); 8] = [
    (Kind::Event, "event"),
    (Kind::Delivery, "delivery"),
    (Kind::ClientEvent, "client-event"),
    (Kind::Connection, "connection"),
    (Kind::Disconnection, "disconnection"),
    (Kind::Subscription, "subscription"),
    (Kind::Unsubscription, "unsubscription"),
    (Kind::Error, "error"),
];

impl Kind {
    /// Returns the kind of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Returns all names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(_, name)| *name)
    }
}

/// Something that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When, in milliseconds since 1970.
    pub at_unix_millis: u64,
    /// What it is.
    pub kind: Kind,
    /// The application; `None` where it is not known, as of a client with a wrong key.
    pub app: Option<AppId>,
    /// The channel; for an error the name that the client gave.
    pub channel: Option<Box<str>>,
    /// What else is known.
    pub details: Details,
    written: OnceLock<Bytes>,
}

/// What is known of something that passes, as far as its kind has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The event's name.
    pub event: Option<Box<str>>,
    /// The size of the event's data, in bytes.
    pub bytes: Option<usize>,
    /// The event's data, where the application shows it ([`App::tap_payloads`]).
    pub data: Option<Box<str>>,
    /// The connection: who sent, came, went or was refused; of a delivery, who gets no copy.
    pub socket: Option<SocketId>,
    /// The user that the connection stands for in the channel.
    pub user: Option<UserId>,
    /// Of deliveries and client events, how many here get it; else how many are in the channel here now.
    pub subscribers: Option<usize>,
    /// The code of an error or of a close, or an HTTP status.
    pub code: Option<u16>,
    /// What the client or the backend was told.
    pub text: Option<Box<str>>,
}

impl Details {
    /// Describes an event; its data only if the application shows it.
    pub fn of_event(app: &App, event: &str, data: &str) -> Self {
        Self {
            event: Some(event.into()),
            bytes: Some(data.len()),
            data: app.tap_payloads.then(|| data.into()),
            ..Self::default()
        }
    }
}

impl Sighting {
    /// Returns it as it is sent to onlookers: written for the first who asks, and the same for all.
    pub fn written(&self, write: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.written.get_or_init(|| write(self))
    }

    fn weight(&self) -> usize {
        let Details { event, data, user, text, .. } = &self.details;
        let texts = [&self.channel, event, data, text].into_iter().flatten().map(|text| text.len());
        let app = self.app.as_ref().map_or(0, |app| app.as_str().len());
        let user = user.as_ref().map_or(0, |user| user.as_str().len());
        texts.sum::<usize>() + app + user + size_of::<Self>()
    }
}

/// What an onlooker wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Of this application alone.
    pub app: Option<AppId>,
    /// Of channels of this name alone; with a `*` at its end, of all that begin so.
    pub channel: Option<Box<str>>,
    /// Of these kinds alone; none = of all.
    pub kinds: Vec<Kind>,
}

impl Wanted {
    fn fits(&self, kind: Kind, app: Option<&AppId>, channel: Option<&str>) -> bool {
        self.may_fit(kind, app)
            && self.channel.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => channel.is_some_and(|name| name.starts_with(prefix)),
                None => channel == Some(wanted),
            })
    }

    /// Tells whether something fits if its channel does.
    fn may_fit(&self, kind: Kind, app: Option<&AppId>) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.app.as_ref().is_none_or(|wanted| app == Some(wanted))
    }
}

/// Where onlookers stand. One for each node.
#[derive(Debug, Default)]
pub struct Tap {
    watching: AtomicUsize,
    onlookers: RwLock<Vec<Arc<Onlooker>>>,
    dropped: Counter,
}

/// One who looks on.
#[derive(Debug)]
struct Onlooker {
    wanted: Wanted,
    queue: Sender<Queued>,
    bytes: AtomicUsize,
    /// Dropped since something last fitted.
    dropped: AtomicU64,
}

/// Something that waits for an onlooker.
#[derive(Debug)]
struct Queued {
    sighting: Arc<Sighting>,
    /// Dropped between the one before and this one.
    dropped_before: u64,
}

impl Tap {
    /// Tells whether somebody looks on: one relaxed load.
    pub fn is_watched(&self) -> bool {
        self.watching.load(Ordering::Relaxed) > 0
    }

    /// Returns how many look on.
    pub fn watching(&self) -> usize {
        self.watching.load(Ordering::Relaxed)
    }

    /// Returns how much onlookers have missed since the start because they were too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Tells whether somebody may want to see something, for what it costs to find out what there is to show.
    pub fn wants(&self, kind: Kind, app: Option<&AppId>) -> bool {
        self.is_watched() && self.wants_any(kind, app)
    }

    #[cold]
    fn wants_any(&self, kind: Kind, app: Option<&AppId>) -> bool {
        let onlookers = self.onlookers.read().unwrap_or_else(PoisonError::into_inner);
        onlookers.iter().any(|onlooker| onlooker.wanted.may_fit(kind, app))
    }

    /// Shows something to those who want to see it. `details` is asked for if there is one.
    pub fn show(
        &self,
        kind: Kind,
        app: Option<&AppId>,
        channel: Option<&str>,
        details: impl FnOnce() -> Details,
    ) {
        if self.is_watched() {
            self.show_all(kind, app, channel, details);
        }
    }

    #[cold]
    fn show_all(
        &self,
        kind: Kind,
        app: Option<&AppId>,
        channel: Option<&str>,
        details: impl FnOnce() -> Details,
    ) {
        let onlookers = self.onlookers.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |onlooker: &&Arc<Onlooker>| onlooker.wanted.fits(kind, app, channel);
        let mut fitting = onlookers.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let sighting = Arc::new(Sighting {
            at_unix_millis: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            kind,
            app: app.cloned(),
            channel: channel.map(Into::into),
            details: details(),
            written: OnceLock::new(),
        });
        for onlooker in fitting {
            if !onlooker.offer(&sighting) {
                self.dropped.add(1);
            }
        }
    }

    /// Lets somebody look on; `None` when as many do as may.
    pub fn watch(self: &Arc<Self>, wanted: Wanted) -> Option<View> {
        let (queue, sightings) = channel(WAITING);
        let (bytes, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        let onlooker = Arc::new(Onlooker { wanted, queue, bytes, dropped });
        let mut onlookers = self.onlookers.write().unwrap_or_else(PoisonError::into_inner);
        if onlookers.len() >= ONLOOKERS {
            return None;
        }
        onlookers.push(Arc::clone(&onlooker));
        self.watching.store(onlookers.len(), Ordering::Relaxed);
        Some(View { tap: Arc::clone(self), onlooker, sightings, held: None })
    }

    fn forget(&self, gone: &Arc<Onlooker>) {
        let mut onlookers = self.onlookers.write().unwrap_or_else(PoisonError::into_inner);
        onlookers.retain(|onlooker| !Arc::ptr_eq(onlooker, gone));
        self.watching.store(onlookers.len(), Ordering::Relaxed);
    }
}

impl Onlooker {
    /// Puts something into the queue; `false` if it was dropped.
    fn offer(&self, sighting: &Arc<Sighting>) -> bool {
        let weight = sighting.weight();
        let before = self.bytes.fetch_add(weight, Ordering::Relaxed);
        let dropped_before = self.dropped.swap(0, Ordering::Relaxed);
        let fits = before + weight <= WAITING_BYTES;
        let queued = Queued { sighting: Arc::clone(sighting), dropped_before };
        if fits && self.queue.try_send(queued).is_ok() {
            return true;
        }
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
        self.dropped.fetch_add(dropped_before + 1, Ordering::Relaxed);
        false
    }
}

/// What an onlooker sees. Nobody looks on any more when it is dropped.
#[derive(Debug)]
pub struct View {
    tap: Arc<Tap>,
    onlooker: Arc<Onlooker>,
    sightings: Receiver<Queued>,
    /// To be given after the news that others before it were dropped.
    held: Option<Arc<Sighting>>,
}

/// The next thing in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Something passed.
    Sighting(Arc<Sighting>),
    /// So many were dropped here: the onlooker was too slow.
    Dropped(u64),
}

impl View {
    /// Waits for the next thing. May be dropped while it waits.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.try_next() {
                return seen;
            }
            // the view holds a sender itself, so the queue does not end before it
            if let Some(queued) = self.sightings.recv().await {
                return self.take(queued);
            }
        }
    }

    /// Returns the next thing, if it is there already.
    pub fn try_next(&mut self) -> Option<Seen> {
        if let Some(sighting) = self.held.take() {
            return Some(Seen::Sighting(sighting));
        }
        match self.sightings.try_recv() {
            Ok(queued) => Some(self.take(queued)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                let dropped = self.onlooker.dropped.swap(0, Ordering::Relaxed);
                (dropped > 0).then_some(Seen::Dropped(dropped))
            }
        }
    }

    fn take(&mut self, Queued { sighting, dropped_before }: Queued) -> Seen {
        self.onlooker.bytes.fetch_sub(sighting.weight(), Ordering::Relaxed);
        if dropped_before == 0 {
            return Seen::Sighting(sighting);
        }
        self.held = Some(sighting);
        Seen::Dropped(dropped_before)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.tap.forget(&self.onlooker);
    }
}

#[cfg(test)]
mod tests;
