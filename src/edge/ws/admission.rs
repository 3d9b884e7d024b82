//! Who may open a connection: bounds on how many there are and how fast they come (reliability: the
//! answer to overload is HTTP 503 before the upgrade, the only one from which clients back off).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use micronotifier_actors::clock::{Clock, Moment};
use micronotifier_actors::config::{App, Apps};
use micronotifier_actors::limits::NodeLimits;
use micronotifier_actors::protocol::AppId;

/// Descriptors kept free for the API, logs and files.
const SPARE_DESCRIPTORS: u64 = 512;

/// Counts the connections of one node, over all its workers.
pub struct Admission {
    max_connections: u64,
    max_per_address: Option<u64>,
    connections: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, u64>>,
    by_app: HashMap<AppId, AtomicU64>,
    bucket: Option<Mutex<Bucket>>,
    clock: Clock,
}

/// Why a connection was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The node is starting or shutting down. HTTP 503.
    #[error("the node does not serve now")]
    NotServing,
    /// The node has all the connections it may have. HTTP 503.
    #[error("too many connections")]
    Full,
    /// The address has. HTTP 503.
    #[error("too many connections from this address")]
    AddressFull,
    /// Connections come faster than allowed. HTTP 503.
    #[error("too many new connections")]
    TooFast,
    /// The application has all the connections it may have. Close 4004.
    #[error("application is over connection quota")]
    AppFull,
}

/// One admitted connection; dropping it frees what it counts for.
pub struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
    app: Option<AppId>,
}

impl Admission {
    /// Counts from nothing, by the limits of a node and its applications.
    pub fn new(limits: &NodeLimits, apps: &Apps) -> Arc<Self> {
        let bucket = limits.handshakes_per_second.map(|rate| Mutex::new(Bucket::full(rate)));
        Arc::new(Self {
            max_connections: limits.max_connections.unwrap_or_else(by_descriptors),
            max_per_address: limits.max_connections_per_address,
            connections: AtomicU64::new(0),
            by_address: Mutex::default(),
            by_app: apps.iter().map(|app| (app.id.clone(), AtomicU64::new(0))).collect(),
            bucket,
            clock: Clock::start(),
        })
    }

    /// Admits a connection from an address to the node. Its application is judged by
    /// [`Admitted::join_app`].
    ///
    /// # Errors
    /// [`NotAdmitted`], but for [`NotAdmitted::AppFull`] and [`NotAdmitted::NotServing`].
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, NotAdmitted> {
        if let Some(bucket) = &self.bucket
            && !lock(bucket).take(self.clock.now())
        {
            return Err(NotAdmitted::TooFast);
        }
        if !count_up(&self.connections, self.max_connections) {
            return Err(NotAdmitted::Full);
        }
        let mut admitted = Admitted { admission: Arc::clone(self), address: None, app: None };
        if let (Some(limit), Some(address)) = (self.max_per_address, address) {
            let mut by_address = lock(&self.by_address);
            let count = by_address.entry(address).or_default();
            if *count >= limit {
                return Err(NotAdmitted::AddressFull);
            }
            *count += 1;
            admitted.address = Some(address);
        }
        Ok(admitted)
    }

    /// Returns how many connections there are.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns how many connections each application has.
    pub fn by_app(&self) -> Vec<(AppId, u64)> {
        let count =
            |(app, count): (&AppId, &AtomicU64)| (app.clone(), count.load(Ordering::Relaxed));
        self.by_app.iter().map(count).collect()
    }

    /// Returns how many connections an application has.
    pub fn connections_of(&self, app: &AppId) -> u64 {
        self.by_app.get(app).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Admitted {
    /// Counts the connection for its application, which has `elsewhere` connections on other nodes.
    ///
    /// # Errors
    /// [`NotAdmitted::AppFull`] when the application is at its quota.
    pub fn join_app(&mut self, app: &App, elsewhere: u64) -> Result<(), NotAdmitted> {
        let Some(count) = self.admission.by_app.get(&app.id) else {
            return Ok(());
        };
        let limit = app.limits.max_connections.unwrap_or(u64::MAX);
        if !count_up(count, limit.saturating_sub(elsewhere)) {
            return Err(NotAdmitted::AppFull);
        }
        self.app = Some(app.id.clone());
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.app.as_ref().and_then(|app| self.admission.by_app.get(app)) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(address) = self.address {
            let mut by_address = lock(&self.admission.by_address);
            if let Some(count) = by_address.get_mut(&address) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

/// How many seconds' handshakes may come at once: when a node is gone, all its clients come to the others a second
/// later, and those who are refused stay away for 15 s.
const AT_ONCE: f64 = 4.0;

/// A token bucket: as many at once as in [`AT_ONCE`], then as fast as it fills.
struct Bucket {
    rate: u32,
    tokens: f64,
    filled: Moment,
}

impl Bucket {
    fn full(rate: u32) -> Self {
        Self { rate, tokens: f64::from(rate) * AT_ONCE, filled: Moment::default() }
    }

    fn take(&mut self, now: Moment) -> bool {
        let rate = f64::from(self.rate);
        let gained = now.since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(rate * AT_ONCE);
        self.filled = now;
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

fn count_up(count: &AtomicU64, limit: u64) -> bool {
    let raise = |count| (count < limit).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how many connections the process has descriptors for.
fn by_descriptors() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    soft.map_or(u64::MAX, |soft| soft.saturating_sub(SPARE_DESCRIPTORS).max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::time::Duration;

    use micronotifier_actors::protocol::sign::Credential;

    use super::*;

    #[test]
    fn what_is_counted_is_given_back() {
        let mut app = App::new("1", Credential::new("k", "s"));
        app.limits.max_connections = Some(1);
        let limits = NodeLimits {
            max_connections: Some(2),
            max_connections_per_address: Some(1),
            handshakes_per_second: None,
            ..NodeLimits::default()
        };
        let admission = Admission::new(&limits, &Apps::new([app.clone()]));
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let mut first = admission.admit(here).unwrap();
        assert_eq!(admission.admit(here).err(), Some(NotAdmitted::AddressFull));
        assert_eq!(admission.connections(), 1, "a refused one is not counted");
        let mut second = admission.admit(None).unwrap();
        assert_eq!(admission.admit(None).err(), Some(NotAdmitted::Full));
        first.join_app(&app, 0).unwrap();
        assert_eq!(second.join_app(&app, 0).err(), Some(NotAdmitted::AppFull));
        drop(first);
        assert_eq!(second.join_app(&app, 1).err(), Some(NotAdmitted::AppFull));
        second.join_app(&app, 0).unwrap();
        drop(second);
        assert_eq!((admission.connections(), admission.connections_of(&app.id)), (0, 0));
        assert!(lock(&admission.by_address).is_empty());
    }

    #[test]
    fn the_bucket_fills_with_time() {
        let at = |millis| Moment::since_start(Duration::from_millis(millis));
        let mut bucket = Bucket::full(2);
        for _ in 0..8 {
            assert!(bucket.take(at(0)));
        }
        assert!(!bucket.take(at(400)));
        assert!(bucket.take(at(500)));
        assert!(!bucket.take(at(600)));
        let later = (0..100).filter(|_| bucket.take(at(60_000)));
        assert_eq!(later.count(), 8, "no more than four seconds' worth is saved up");
    }
}
