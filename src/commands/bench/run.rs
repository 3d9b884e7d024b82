//! The course of a measurement: connect, send on schedule, wait for what is still on its way, account.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hdrhistogram::CreationError;
use tokio::time::{sleep, timeout};

use super::crowd::Crowd;
use super::latency::Latencies;
use super::ledger::Events;
use super::plan::Plan;
use super::progress::Progress;
use super::publisher::Press;
use super::report::{Outcome, Report};
use super::shared::Shared;
use super::stamp::Phase;
use super::subscriber::open;
use super::table::grouped;
use super::tally::Part;
use crate::commands::target::{Target, TargetError};

/// Silence after which deliveries that are outstanding are given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long all is watched after the last delivery: for those that come twice.
const AFTERMATH: Duration = Duration::from_millis(200);
/// How long an interrupted run waits for answers.
const INTERRUPTED: Duration = Duration::from_secs(2);
/// How often arrivals are looked at while the rest is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// The first socket could not be subscribed: none can.
    #[error("{0}")]
    Unusable(String),
    #[error("interrupted before the first connection")]
    Interrupted,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Latencies(#[from] CreationError),
    #[error("no threads for the sockets: {0}")]
    Threads(#[from] std::io::Error),
}

/// Carries out a plan.
pub(super) async fn measure(plan: Plan, target: Target) -> Result<Report, RunError> {
    let mut progress = Progress::start();
    let (shared, target) = (Arc::new(Shared::new(plan)), Arc::new(target));
    let client = target.client()?;
    let mut outcome = Outcome::new()?;

    // A wrong address, key or secret shows with one socket as with a thousand.
    let name = shared.plan.channel(0);
    let first = progress.during(open(&client, &target, &shared, &name), || "connecting".to_owned());
    match first.await {
        Some(Ok(opened)) => drop(opened),
        Some(Err(cause)) => return Err(RunError::Unusable(cause)),
        None => return Err(RunError::Interrupted),
    }

    let begin = shared.now();
    let crowd = Crowd::start(&shared, &target)?;
    progress.during(shared.all_tried(), || connecting(&shared)).await;
    outcome.connecting = shared.now().saturating_sub(begin);

    let press = if shared.sockets().0 > 0 && !progress.is_interrupted() {
        let press =
            Press::begin(Arc::clone(&shared), Arc::clone(&target), client, Latencies::new()?);
        let press = Rc::new(press);
        send(&press, &shared, &mut progress).await?;
        Some(press)
    } else {
        None
    };
    outcome.interrupted = progress.is_interrupted();
    let parts = crowd.end()?;
    if let Some(press) = press {
        account(&mut outcome, &press, &parts);
    }
    for part in &parts {
        outcome.take(part);
    }
    Ok(Report::new(&target, shared.plan.clone(), outcome))
}

/// Sends everything that is due, and waits until it has come or will not come any more.
async fn send(press: &Rc<Press>, shared: &Shared, progress: &mut Progress) -> std::io::Result<()> {
    press.pace()?;
    let publishers = (0..shared.plan.publishers).map(|number| Rc::clone(press).publish(number));
    let mut all = pin!(join_all(publishers.map(actix_rt::spawn)));
    let mut stall = Stall::new(shared);
    let sent = progress
        .during(&mut all, || {
            if stall.lasts(shared) {
                press.give_up_outstanding();
            }
            sending(press, shared)
        })
        .await;
    if sent.is_none() {
        press.stop();
        // Whose answer has not come by then counts as not answered.
        timeout(INTERRUPTED, &mut all).await.map(drop).unwrap_or_default();
    }
    press.ledger.borrow_mut().close();
    let arrivals = arrivals(press, shared);
    if progress.is_interrupted() {
        timeout(INTERRUPTED, arrivals).await.unwrap_or_default();
    } else {
        let line = || format!("waiting for {} deliveries", grouped(press.outstanding()));
        progress.during(arrivals, line).await;
    }
    Ok(())
}

/// Waits until nothing more arrives.
async fn arrivals(press: &Press, shared: &Shared) {
    let (mut outstanding, mut since) = (press.outstanding(), shared.now());
    loop {
        sleep(LOOK).await;
        let now = shared.now();
        // Not whatever arrives: the wait would be as long as a server likes.
        if press.outstanding() != outstanding {
            (outstanding, since) = (press.outstanding(), now);
        }
        let patience = if outstanding == 0 { AFTERMATH } else { PATIENCE };
        if now.saturating_sub(since) >= patience {
            return;
        }
    }
}

/// Notices when nothing arrives.
struct Stall {
    received: u64,
    since: Duration,
}

impl Stall {
    fn new(shared: &Shared) -> Self {
        Self { received: shared.received(), since: shared.now() }
    }

    /// Tells once in each [`PATIENCE`] that nothing has come.
    fn lasts(&mut self, shared: &Shared) -> bool {
        let now = Self::new(shared);
        let lasts = now.received == self.received;
        if lasts && now.since.saturating_sub(self.since) < PATIENCE {
            return false;
        }
        *self = now;
        lasts
    }
}

fn account(outcome: &mut Outcome, press: &Press, parts: &[Part]) {
    let ledger = press.ledger.borrow();
    let schedule = press.schedule.borrow();
    for phase in Phase::ALL {
        outcome.phase(phase, ledger.events(phase).clone(), ledger.settle(parts, phase));
    }
    outcome.hopeless.clone_from(&press.hopeless.borrow());
    outcome.trigger.add(&press.trigger.borrow());
    outcome.unsent = schedule.unsent();
    let (from, until) = schedule.measured();
    let from = press.begin.saturating_add(from);
    let until = press.begin.saturating_add(until);
    let last = parts.iter().map(|part| part.last_arrival).max().unwrap_or_default();
    outcome.measured = until.max(last).saturating_sub(from);
}

fn connecting(shared: &Shared) -> String {
    let asked = grouped(shared.plan.connections.into());
    let made = grouped(shared.sockets().0.into());
    format!("connected {made}/{asked}{}", troubles([(shared.failed().into(), "failed")]))
}

fn sending(press: &Press, shared: &Shared) -> String {
    let plan = &shared.plan;
    let elapsed = press.now().as_secs();
    let (phase, done, of) = match elapsed.checked_sub(plan.warm_up) {
        None => ("warming up", elapsed, plan.warm_up),
        Some(measured) => ("measuring", measured.min(plan.seconds), plan.seconds),
    };
    let ledger = press.ledger.borrow();
    let sum = |count: fn(&Events) -> u64| -> u64 {
        Phase::ALL.iter().map(|phase| count(ledger.events(*phase))).sum()
    };
    let refused = sum(|events| events.refused.values().sum());
    format!(
        "{phase} {done}/{of} s: {} events, {} deliveries, {} on their way{}",
        grouped(sum(|events| events.sent)),
        grouped(shared.received()),
        grouped(press.outstanding()),
        troubles([(refused, "events refused"), (shared.sockets().1.into(), "sockets lost")]),
    )
}

/// Names what has happened at all.
fn troubles<const N: usize>(counts: [(u64, &str); N]) -> String {
    let happened = counts.into_iter().filter(|(count, _)| *count > 0);
    let named = happened.map(|(count, what)| format!(", {} {what}", grouped(count)));
    named.collect::<Vec<_>>().concat()
}
