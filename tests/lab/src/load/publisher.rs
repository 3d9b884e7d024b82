//! A backend: triggers events at its node, one after the other, and writes down what it was answered.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Stage;
use super::http::Http;
use crate::log::Record;

/// How often one that insists tries an event.
const ATTEMPTS: u32 = 6;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(500);

/// What a backend does.
#[derive(Debug, Clone)]
pub(crate) struct Duty {
    pub(crate) node: u32,
    /// From one event to the next; late ones are left out.
    pub(crate) every: Duration,
    pub(crate) channels: Vec<u32>,
    /// Tries again with the same `Idempotency-Key` until it is told that the event was taken.
    pub(crate) insists: bool,
}

/// Triggers events while that is allowed.
pub(crate) async fn publish(stage: Arc<Stage>, duty: Duty, mut rng: StdRng) {
    let Some(address) = stage.address(duty.node) else {
        return;
    };
    let mut http = Http::to(address);
    let mut ticks = interval(duty.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut publishing = stage.publishing.clone();
    while publishing.wait_for(|publishing| *publishing).await.is_ok() {
        ticks.tick().await;
        if duty.channels.is_empty() || !*publishing.borrow() {
            continue;
        }
        let index = rng.random_range(0..duty.channels.len());
        let Some(channel) = duty.channels.get(index).copied() else {
            continue;
        };
        let seat = if rng.random_range(0..10) == 0 { stage.seat(channel, &mut rng) } else { None };
        trigger(&stage, &mut http, duty.node, channel, seat, duty.insists).await;
    }
}

/// Triggers one event; returns its status.
pub(crate) async fn trigger(
    stage: &Stage,
    http: &mut Http,
    node: u32,
    channel: u32,
    seat: Option<(u32, String)>,
    insists: bool,
) -> u16 {
    let log = &stage.log;
    let event = log.event();
    let name = stage.names.of(channel);
    let mut body = json!({"name": "lab", "channels": [name], "data": event.to_string()});
    if let (Some((_, socket)), Some(body)) = (&seat, body.as_object_mut()) {
        body.insert("socket_id".to_owned(), json!(socket));
    }
    let (body, except) = (body.to_string(), seat.map(|(conn, _)| conn));
    let key = insists.then(|| format!("lab-{event}"));
    log.note(Record::Sent { at: log.now(), event, channel, node, except });
    let (mut attempts, mut status) = (0, 0);
    while attempts < if insists { ATTEMPTS } else { 1 } {
        if attempts > 0 {
            sleep(PAUSE).await;
        }
        attempts += 1;
        let answer = http.trigger(&stage.app, &body, key.as_deref()).await;
        status = answer.map_or(0, |answer| answer.status);
        if status == 200 {
            break;
        }
    }
    log.note(Record::Answered { at: log.now(), event, status, attempts });
    status
}
