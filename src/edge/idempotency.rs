//! Answers remembered by `Idempotency-Key`, so that a request repeated after a lost answer is carried out once.
//!
//! Keys belong to an application and live for [`LIFE`]. Only answers of success are remembered: what
//! was refused may be tried again with its key. Where nobody knows whether a request was carried out, its key
//! is kept, so that it is never carried out twice: it comes again only to a node that can find that out. A key that
//! comes again with another request is refused (422). What is remembered here is this node's alone; what all nodes
//! know of a key is in their broker (`Repeatable`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use hashbrown::HashMap;
use micronotifier_actors::Repeatable;
use micronotifier_actors::clock::Moment;
use micronotifier_actors::protocol::AppId;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::error::ApiError;

/// How long a key is remembered, from its first request.
pub const LIFE: Duration = Duration::from_mins(2);
/// Keys of one application; over it the oldest are forgotten.
pub const MAX_KEYS: usize = 10_000;
/// Bytes of remembered answers of one application; over it the oldest are forgotten.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The longest key, in characters.
pub const MAX_KEY_CHARS: usize = 255;

const HEADER: &str = "idempotency-key";

/// Returns the key of a request, if it has one.
///
/// # Errors
/// 400 unless it is one header of 1 to [`MAX_KEY_CHARS`] visible ASCII characters.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<Arc<str>>, ApiError> {
    let mut given = headers.get_all(HEADER);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
        .filter(|_| given.next().is_none())
        .map(|key| Some(key.into()))
        .ok_or(ApiError::invalid("Invalid Idempotency-Key"))
}

/// What makes two requests the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Digests the name of an endpoint and a body.
    pub fn of(endpoint: &str, body: &[u8]) -> Self {
        let mut digest = Sha256::new();
        digest.update(endpoint.as_bytes());
        digest.update([0]);
        digest.update(body);
        Self(digest.finalize().into())
    }

    /// Makes the request known by its key to all nodes.
    pub(crate) fn repeatable(self, key: &str) -> Repeatable {
        Repeatable { key: Sha256::digest(key).into(), request: self.0 }
    }
}

/// What is known of a key when a request brings it.
#[derive(Debug)]
pub enum Known {
    /// Nothing: carry the request out, and tell the ticket the answer.
    New(Ticket),
    /// The first request is being carried out: wait until it ends, then ask again.
    Running(Running),
    /// The answer.
    Answered(Bytes),
    /// Nobody knows whether the request was carried out: try again only where that is found out, or tell the
    /// ticket that it is still lost.
    Unknown(Ticket),
    /// Another request came with this key.
    Different,
}

/// A request that another one is waiting for.
#[derive(Debug)]
pub struct Running(watch::Receiver<()>);

impl Running {
    /// Waits until the request ended, well or not.
    pub async fn ended(mut self) {
        // The sender never sends: its drop is the news.
        while self.0.changed().await.is_ok() {}
    }
}

/// The right to answer for a key. Dropped without a word, the key is free again.
#[derive(Debug)]
pub struct Ticket {
    store: Arc<Idempotency>,
    app: AppId,
    serial: u64,
    _running: watch::Sender<()>,
}

impl Ticket {
    /// Remembers the answer.
    pub fn answer(self, answer: Bytes) {
        self.store.lock().settle(&self.app, self.serial, Outcome::Answered(answer));
    }

    /// Remembers that the request may have been carried out, or not.
    pub fn lose(self) {
        self.store.lock().settle(&self.app, self.serial, Outcome::Unknown);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.store.lock().abandon(&self.app, self.serial);
    }
}

/// The keys of all applications on this node, shared by all workers. Its lock is held for a few
/// look-ups and never across a wait.
#[derive(Debug, Default)]
pub struct Idempotency {
    inner: Mutex<Inner>,
}

impl Idempotency {
    /// Asks for a key, and takes it if it is new.
    pub fn ask(
        self: &Arc<Self>,
        app: &AppId,
        key: &Arc<str>,
        request: Fingerprint,
        now: Moment,
    ) -> Known {
        let mut inner = self.lock();
        let next_serial = inner.next_serial;
        let keys = inner.apps.entry(app.clone()).or_default();
        keys.forget_expired(now);
        let (sender, receiver) = watch::channel(());
        let ticket =
            |serial| Ticket { store: Arc::clone(self), app: app.clone(), serial, _running: sender };
        if let Some((serial, entry)) = keys.find(key) {
            return match &entry.outcome {
                _ if entry.request != request => Known::Different,
                Outcome::Answered(answer) => Known::Answered(answer.clone()),
                Outcome::Running(running) => Known::Running(Running(running.clone())),
                Outcome::Unknown => {
                    entry.outcome = Outcome::Running(receiver);
                    Known::Unknown(ticket(serial))
                }
            };
        }
        keys.insert(
            next_serial,
            Entry {
                key: Arc::clone(key),
                since: now,
                request,
                outcome: Outcome::Running(receiver),
            },
        );
        inner.next_serial += 1;
        Known::New(ticket(next_serial))
    }

    /// Forgets what has expired, and returns how many keys are left.
    pub fn keys(&self, now: Moment) -> usize {
        let keys_left = |keys: &mut Keys| {
            keys.forget_expired(now);
            keys.by_age.len()
        };
        self.lock().apps.values_mut().map(keys_left).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Inner {
    apps: HashMap<AppId, Keys>,
    next_serial: u64,
}

impl Inner {
    fn settle(&mut self, app: &AppId, serial: u64, outcome: Outcome) {
        if let Some(keys) = self.apps.get_mut(app) {
            keys.settle(serial, outcome);
        }
    }

    fn abandon(&mut self, app: &AppId, serial: u64) {
        let Some(keys) = self.apps.get_mut(app) else {
            return;
        };
        let is_running = keys
            .by_age
            .get(&serial)
            .is_some_and(|entry| matches!(entry.outcome, Outcome::Running(_)));
        if is_running {
            keys.remove(serial);
        }
    }
}

/// The keys of one application.
#[derive(Debug, Default)]
struct Keys {
    /// Serials grow, so the first is the oldest.
    by_age: BTreeMap<u64, Entry>,
    serials: HashMap<Arc<str>, u64>,
    answer_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    since: Moment,
    request: Fingerprint,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Running(watch::Receiver<()>),
    Answered(Bytes),
    Unknown,
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Running(_) | Self::Unknown => 0,
            Self::Answered(answer) => answer.len(),
        }
    }
}

impl Keys {
    fn find(&mut self, key: &str) -> Option<(u64, &mut Entry)> {
        let serial = *self.serials.get(key)?;
        Some((serial, self.by_age.get_mut(&serial)?))
    }

    fn insert(&mut self, serial: u64, entry: Entry) {
        self.serials.insert(Arc::clone(&entry.key), serial);
        self.by_age.insert(serial, entry);
        self.forget_over_bounds();
    }

    fn settle(&mut self, serial: u64, outcome: Outcome) {
        if let Some(entry) = self.by_age.get_mut(&serial) {
            self.answer_bytes += outcome.bytes();
            entry.outcome = outcome;
            self.forget_over_bounds();
        }
    }

    fn remove(&mut self, serial: u64) {
        if let Some(entry) = self.by_age.remove(&serial) {
            self.answer_bytes -= entry.outcome.bytes();
            self.serials.remove(&entry.key);
        }
    }

    fn forget_expired(&mut self, now: Moment) {
        while let Some((&oldest, entry)) = self.by_age.first_key_value()
            && now.since(entry.since) >= LIFE
        {
            self.remove(oldest);
        }
    }

    fn forget_over_bounds(&mut self) {
        while (self.by_age.len() > MAX_KEYS || self.answer_bytes > MAX_ANSWER_BYTES)
            && let Some((&oldest, _)) = self.by_age.first_key_value()
        {
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
