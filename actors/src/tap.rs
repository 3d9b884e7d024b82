//! Shows what passes through the node to whoever looks on: events, connections, subscriptions, errors.
//!
//! The node never waits for an onlooker. Each has a queue of its own with a bound; what does not fit is
//! dropped for this onlooker alone, and counted. With nobody looking on, something that passes costs one
//! relaxed load.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::App;
use crate::metrics::Counter;
use crate::protocol::{AppId, SocketId, UserId};

/// Onlookers at once.
const ONLOOKERS: usize = 16;
/// What may wait for one onlooker.
const WAITING: usize = 1024;
/// Bytes of names, texts and data that may wait for one onlooker.
const WAITING_BYTES: usize = 1024 * 1024;

/// What something is that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event that this node accepted from a backend.
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
    fn weight(&self) -> usize {
        let Details { event, data, text, .. } = &self.details;
        let texts = [&self.channel, event, data, text];
        texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() + size_of::<Self>()
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
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.app.as_ref().is_none_or(|wanted| app == Some(wanted))
            && self.channel.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => channel.is_some_and(|name| name.starts_with(prefix)),
                None => channel == Some(wanted),
            })
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use super::*;
    use crate::protocol::sign::Credential;

    fn numbered(tap: &Tap, numbers: std::ops::Range<u16>) {
        let app = AppId::new("1");
        for code in numbers {
            tap.show(Kind::Event, Some(&app), Some("c"), || Details {
                code: Some(code),
                ..Details::default()
            });
        }
    }

    fn number(seen: Option<Seen>) -> u16 {
        match seen {
            Some(Seen::Sighting(sighting)) => sighting.details.code.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_made_for_nobody() {
        let tap = Arc::new(Tap::default());
        tap.show(Kind::Event, None, None, || panic!("nobody looks on"));
        let wanted = Wanted { kinds: vec![Kind::Error], ..Wanted::default() };
        let view = tap.watch(wanted).unwrap();
        tap.show(Kind::Event, None, None, || panic!("nobody wants it"));
        assert!(tap.is_watched());
        drop(view);
        assert!(!tap.is_watched());
    }

    #[test]
    fn who_is_slow_misses_something_and_is_told_how_much_and_where() {
        let tap = Arc::new(Tap::default());
        let mut slow = tap.watch(Wanted::default()).unwrap();
        let over = u16::try_from(WAITING).unwrap();
        numbered(&tap, 0..over + 5);
        assert_eq!(tap.dropped(), 5);
        assert_eq!(number(slow.try_next()), 0);
        numbered(&tap, over + 5..over + 6);
        for expected in 1..over {
            assert_eq!(number(slow.try_next()), expected);
        }
        assert_eq!(slow.try_next(), Some(Seen::Dropped(5)));
        assert_eq!(number(slow.try_next()), over + 5);
        assert_eq!(slow.try_next(), None);
        numbered(&tap, 0..1);
        assert_eq!(number(slow.try_next()), 0);
    }

    #[test]
    fn what_was_dropped_last_is_told_too() {
        let tap = Arc::new(Tap::default());
        let mut slow = tap.watch(Wanted::default()).unwrap();
        let over = u16::try_from(WAITING).unwrap();
        numbered(&tap, 0..over + 3);
        for expected in 0..over {
            assert_eq!(number(slow.try_next()), expected);
        }
        assert_eq!(slow.try_next(), Some(Seen::Dropped(3)));
        assert_eq!(slow.try_next(), None);
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_too() {
        let tap = Arc::new(Tap::default());
        let mut view = tap.watch(Wanted::default()).unwrap();
        let mut app = App::new("1", Credential::new("k", "s"));
        app.tap_payloads = true;
        let data = "x".repeat(WAITING_BYTES / 4);
        for _ in 0..5 {
            tap.show(Kind::Event, Some(&app.id), Some("c"), || Details::of_event(&app, "e", &data));
        }
        assert_eq!(tap.dropped(), 2);
        while view.try_next().is_some() {}
        tap.show(Kind::Event, Some(&app.id), Some("c"), || Details::of_event(&app, "e", &data));
        assert_eq!(tap.dropped(), 2);
        assert!(matches!(view.try_next(), Some(Seen::Sighting(_))));
    }

    #[test]
    fn data_is_seen_only_where_the_application_shows_it() {
        let mut app = App::new("1", Credential::new("k", "s"));
        let hidden = Details::of_event(&app, "e", "data");
        assert_eq!((hidden.bytes, hidden.data), (Some(4), None));
        app.tap_payloads = true;
        assert_eq!(Details::of_event(&app, "e", "data").data.as_deref(), Some("data"));
    }

    #[test]
    fn everybody_sees_what_fits() {
        let (one, two) = (AppId::new("1"), AppId::new("2"));
        let wanted = |app: Option<&AppId>, channel: Option<&str>, kinds: &[Kind]| Wanted {
            app: app.cloned(),
            channel: channel.map(Into::into),
            kinds: kinds.to_vec(),
        };
        for (wanted, fits) in [
            (wanted(None, None, &[]), true),
            (wanted(Some(&one), None, &[]), true),
            (wanted(Some(&two), None, &[]), false),
            (wanted(None, Some("private-a"), &[]), true),
            (wanted(None, Some("private-*"), &[]), true),
            (wanted(None, Some("*"), &[]), true),
            (wanted(None, Some("private-"), &[]), false),
            (wanted(None, None, &[Kind::Error, Kind::Event]), true),
            (wanted(None, None, &[Kind::Error]), false),
        ] {
            assert_eq!(wanted.fits(Kind::Event, Some(&one), Some("private-a")), fits, "{wanted:?}");
        }
        assert!(!wanted(Some(&one), None, &[]).fits(Kind::Error, None, None));
        assert!(!wanted(None, Some("*"), &[]).fits(Kind::Connection, Some(&one), None));
    }

    #[test]
    fn only_so_many_look_on() {
        let tap = Arc::new(Tap::default());
        let mut views: Vec<_> =
            (0..ONLOOKERS).map(|_| tap.watch(Wanted::default()).unwrap()).collect();
        assert!(tap.watch(Wanted::default()).is_none());
        views.pop();
        assert_eq!(tap.watching(), ONLOOKERS - 1);
        assert!(tap.watch(Wanted::default()).is_some());
    }

    #[test]
    fn every_kind_has_a_name() {
        for (kind, name) in KINDS {
            assert_eq!(Kind::of_name(name), Some(kind));
            assert_eq!(kind.name(), name);
        }
        assert_eq!(Kind::of_name("other"), None);
    }

    #[actix_rt::test]
    async fn a_view_wakes_up() {
        let tap = Arc::new(Tap::default());
        let mut view = tap.watch(Wanted::default()).unwrap();
        let waiting = actix_rt::spawn(async move { view.next().await });
        tokio::task::yield_now().await;
        numbered(&tap, 7..8);
        let seen = tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await;
        assert_eq!(number(Some(seen.unwrap().unwrap())), 7);
    }
}
