//! What the measuring of mailboxes costs a delivery, in processor time: the same event in two halls, one whose
//! mailboxes are measured and one whose are not, in turns, by one thread of one process.
//!
//! `cargo bench --bench measured`. Turns go on, off, off, on, so that what drifts falls on both. Where memory comes to
//! lie makes halls differ, so both are opened anew many times, and the interval is over these openings. The control
//! compares two halls whose mailboxes are not measured: what it shows is what this method cannot tell apart.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may stop, and tells figures"
)]

#[path = "support/hall.rs"]
mod hall;

use std::time::Duration;

use actix_rt::System;
use rustix::time::{ClockId, clock_gettime};

use hall::Hall;

/// Openings of both halls.
const OPENINGS: u32 = 21;
/// Rounds of four turns in each.
const ROUNDS: u32 = 5;
/// What a turn takes, about.
const TURN: Duration = Duration::from_millis(15);
/// Events before anything is timed.
const WARM_UP: u32 = 50;
/// Of Student's distribution: 95 % for as many openings.
const QUANTILE: f64 = 2.086;

fn main() {
    println!("| subscribers | ns of a delivery, off | on / off | off / off |\n|---|---|---|---|");
    for sockets in [1, 10, 100, 1_000] {
        let (cost, ratio) = compare(sockets, true);
        let (_, control) = compare(sockets, false);
        println!("| {sockets} | {cost:.0} | {} | {} |", ratio.text(), control.text());
    }
}

/// A ratio, and how far it may be off either way.
struct Ratio {
    mean: f64,
    margin: f64,
}

impl Ratio {
    fn text(&self) -> String {
        format!("{:.4} ± {:.4}", self.mean, self.margin)
    }
}

/// Returns what a delivery takes, in nanoseconds, where nothing is measured, and by how much that differs from the
/// other hall.
fn compare(sockets: u32, measured: bool) -> (f64, Ratio) {
    let openings: Vec<_> = (0..OPENINGS).map(|number| open(sockets, measured, number)).collect();
    let count = f64::from(OPENINGS);
    let mean = openings.iter().map(|(_, ratio)| ratio).sum::<f64>() / count;
    let squares = openings.iter().map(|(_, ratio)| (ratio - mean).powi(2)).sum::<f64>();
    let margin = QUANTILE * (squares / (count - 1.0) / count).sqrt();
    (openings.iter().map(|(cost, _)| cost).sum::<f64>() / count, Ratio { mean, margin })
}

/// Opens both halls and has them take turns.
fn open(sockets: u32, measured: bool, number: u32) -> (f64, f64) {
    let system = System::new();
    system.block_on(async {
        // now the one lies first in memory, now the other
        let (one, other) = if number.is_multiple_of(2) {
            let one = Hall::open_with(sockets, measured).await;
            (one, Hall::open_with(sockets, false).await)
        } else {
            let other = Hall::open_with(sockets, false).await;
            (Hall::open_with(sockets, measured).await, other)
        };
        one.publish(WARM_UP).await;
        let each = turn(&other, WARM_UP).await / WARM_UP;
        let events = u32::try_from(TURN.as_nanos() / each.as_nanos().max(1)).unwrap().max(1);
        let (mut of_one, mut of_other) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            of_one += turn(&one, events).await;
            of_other += turn(&other, events).await;
            of_other += turn(&other, events).await;
            of_one += turn(&one, events).await;
        }
        let deliveries = f64::from(2 * ROUNDS) * f64::from(events) * f64::from(sockets);
        let cost = of_other.as_secs_f64() * 1e9 / deliveries;
        (cost, of_one.as_secs_f64() / of_other.as_secs_f64())
    })
}

/// Publishes events one after another, and returns the processor time of it.
async fn turn(hall: &Hall, events: u32) -> Duration {
    let begin = processor_time();
    for _ in 0..events {
        hall.publish(1).await;
    }
    processor_time().saturating_sub(begin)
}

/// Returns the processor time that this thread has had.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
