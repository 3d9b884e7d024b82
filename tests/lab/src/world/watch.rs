//! Looks at the world while it runs and writes down what it sees: readiness, figures, positions in Redis.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use redis::Value;
use tokio::time::{sleep, timeout};

use super::redis::connect;
use super::until;
use crate::Outcome;
use crate::check::OF_NOBODY;
use crate::load::http::Http;
use crate::log::{Record, Recorder};
use crate::names::Names;

/// How often readiness is asked for.
const LOOK: Duration = Duration::from_millis(100);
/// How often `/up` is.
const UP: Duration = Duration::from_millis(250);
/// How often the lab looks whether it runs itself, and what is too long from one look to the next.
const BEAT: Duration = Duration::from_millis(20);
const STALL: Duration = Duration::from_millis(250);
/// How often figures are read, and positions.
const READ: Duration = Duration::from_secs(1);
/// Longest wait for an answer about them.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is written down of a node's metrics, and under which name.
const FIGURES: [(&str, &str); 15] = [
    ("micronotifier_connections{", "connections"),
    (r#"micronotifier_table_entries{table="subscriptions"}"#, "subscriptions"),
    (r#"micronotifier_table_entries{table="channels"}"#, "channels"),
    (r#"micronotifier_table_entries{table="seats"}"#, "seats"),
    (r#"micronotifier_table_entries{table="watched_sockets"}"#, "watched_sockets"),
    (r#"micronotifier_actors{kind="session"}"#, "sessions"),
    (r#"micronotifier_actors{kind="channel"}"#, "channel_actors"),
    ("micronotifier_outbox_bytes", "outbox"),
    ("micronotifier_bridge_events_repaired_total", "repaired"),
    ("micronotifier_bridge_events_lost_total", "lost"),
    ("micronotifier_bridge_epoch_changes_total", "epochs"),
    ("micronotifier_bridge_connections_total", "bridge_connections"),
    ("micronotifier_bridge_duplicates_total", "duplicates"),
    ("micronotifier_membership_incarnations_total", "incarnations"),
    ("micronotifier_membership_users_expired_total", "users_expired"),
];

/// Writes down when a node's readiness changes.
pub(crate) async fn readiness(log: Recorder, node: u32, admin: SocketAddr) {
    let (mut http, mut known) = (Http::to(admin), None);
    loop {
        let is = http.get("/ready").await.is_ok_and(|answer| answer.status == 200);
        if known.replace(is) != Some(is) {
            log.note(Record::Ready { at: log.now(), node, is });
        }
        sleep(LOOK).await;
    }
}

/// Writes down when a node takes long to say that it is up. One that does not run does not count.
pub(crate) async fn liveliness(log: Recorder, node: u32, address: SocketAddr) {
    let mut http = Http::to(address);
    loop {
        let begin = Instant::now();
        let answered = http.get("/up").await.is_ok();
        let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        if millis > 250 && (answered || millis > 2_000) {
            log.note(Record::Slow { at: log.now(), node, millis });
        }
        sleep(UP).await;
    }
}

/// Writes down when the lab itself stood still.
pub(crate) async fn own_pulse(log: Recorder) {
    loop {
        let due = Instant::now() + BEAT;
        sleep(BEAT).await;
        let late = due.elapsed();
        if late > STALL {
            let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            log.note(Record::Stalled { at: log.now(), micros });
        }
    }
}

/// Writes a node's figures down, every second.
pub(crate) async fn figures(log: Recorder, node: u32, admin: SocketAddr) {
    loop {
        // One that does not answer is seen by the others who look.
        note_figures(&log, node, admin, false).await.ok();
        sleep(READ).await;
    }
}

/// Writes a node's figures down once.
pub(crate) async fn note_figures(
    log: &Recorder,
    node: u32,
    admin: SocketAddr,
    still: bool,
) -> Outcome<()> {
    let values = read_figures(admin).await?;
    log.note(Record::Figures { at: log.now(), node, still, values });
    Ok(())
}

/// Waits until nothing is left at a node of all who were there; a node that keeps something is found by its figures.
pub(crate) async fn until_empty(admin: SocketAddr) {
    let is_empty = async || {
        let values = read_figures(admin).await.unwrap_or_default();
        let count = |name: &str| values.get(name).copied().unwrap_or(f64::MAX);
        ["connections", "subscriptions"].iter().chain(&OF_NOBODY).all(|name| count(name) < 0.5)
    };
    until("everybody has gone", is_empty).await.ok();
}

async fn read_figures(admin: SocketAddr) -> Outcome<BTreeMap<String, f64>> {
    let answer = Http::to(admin).get("/metrics").await?;
    let mut values = BTreeMap::new();
    for line in answer.body.lines() {
        let found = FIGURES.iter().find(|(start, _)| line.starts_with(start));
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let (Some((_, name)), Some(value)) = (found, value) {
            *values.entry((*name).to_owned()).or_insert(0.0) += value;
        }
    }
    Ok(values)
}

/// Reads what Redis keeps of each channel, and writes down what is new.
pub(crate) struct Positions {
    log: Recorder,
    /// Where the master listens now.
    master: Arc<AtomicU16>,
    channels: Vec<Channel>,
}

/// A channel in Redis.
struct Channel {
    number: u32,
    meta: String,
    history: String,
    /// The epoch and the serial that were read last.
    last: Option<(String, u64)>,
}

impl Positions {
    pub(crate) fn of(log: Recorder, master: Arc<AtomicU16>, names: &Names, app: &str) -> Self {
        let key = |letter: char, channel: &str| {
            format!("mn:{{0}}:{letter}:{}:{app}:{channel}", app.len())
        };
        let channels = names.channels.iter().zip(0..);
        let channels = channels.map(|(name, number)| {
            let (meta, history) = (key('m', name), key('h', name));
            Channel { number, meta, history, last: None }
        });
        Self { log, master, channels: channels.collect() }
    }

    /// Reads again and again.
    pub(crate) async fn follow(mut self) {
        loop {
            // A server that is down or hangs is read when it is back.
            self.read().await.ok();
            sleep(READ).await;
        }
    }

    /// Reads once; twice where an epoch has changed.
    pub(crate) async fn read(&mut self) -> Outcome<()> {
        while timeout(PATIENCE, self.page()).await?? {}
        Ok(())
    }

    /// Reads a page of each channel; returns whether there is more.
    async fn page(&mut self) -> Outcome<bool> {
        let mut connection = connect(self.master.load(Ordering::SeqCst)).await?;
        let mut more = false;
        for Channel { number, meta, history, last } in &mut self.channels {
            let start = last.as_ref().map_or("-".to_owned(), |(_, serial)| format!("({serial}-0"));
            let mut both = redis::pipe();
            both.atomic().cmd("HGET").arg(&*meta).arg("e");
            both.cmd("XRANGE").arg(&*history).arg(start).arg("+").arg("COUNT").arg(500);
            let (epoch, entries) = read_both(both.query_async(&mut connection).await?)?;
            let Some(epoch) = epoch else { continue };
            if last.as_ref().is_some_and(|(known, _)| *known != epoch) {
                *last = None;
                more = true;
                continue;
            }
            more |= entries.len() == 500;
            for (id, fields) in entries {
                let serial = id.split('-').next().unwrap_or_default().parse()?;
                let envelope = fields.first().map_or("", |(_, value)| value);
                let (at, epoch) = (self.log.now(), epoch.clone());
                *last = Some((epoch.clone(), serial));
                let event = event_in(envelope);
                self.log.note(Record::Kept { at, channel: *number, epoch, serial, event });
            }
        }
        Ok(more)
    }
}

type Entries = Vec<(String, Vec<(String, String)>)>;

fn read_both(value: (Value, Value)) -> Outcome<(Option<String>, Entries)> {
    Ok((redis::from_redis_value(value.0)?, redis::from_redis_value(value.1)?))
}

/// Returns the number of our event in an envelope.
fn event_in(envelope: &str) -> Option<u64> {
    let envelope: serde_json::Value = serde_json::from_str(envelope).ok()?;
    if envelope.get("k")?.as_str()? != "published" {
        return None;
    }
    envelope.get("d")?.as_str()?.parse().ok()
}
