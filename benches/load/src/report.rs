//! The line that is printed: every figure of a measurement, as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::churn::Stays;
use crate::crowd::Crowd;
use crate::options::Options;
use crate::run::Measured;
use crate::usage::Usage;

pub(crate) const KIB_PER_MIB: f64 = 1024.0;
const BYTES_PER_MIB: f64 = 1_048_576.0;

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    Idle(Idle),
    Load(Load),
    Churn(Stays),
}

/// Figures of sockets that are subscribed and quiet.
#[derive(Serialize)]
pub(crate) struct Idle {
    mode: &'static str,
    ready: usize,
    closed: usize,
    connect_per_s: f64,
    server_cpu_us_per_connect: f64,
    rss_before_mib: f64,
    rss_after_mib: f64,
    kib_per_conn: f64,
    server_cpu_cores: f64,
    heartbeats: u64,
    server_cpu_us_per_heartbeat: f64,
    errs: BTreeMap<String, u64>,
}

/// Figures of events under way.
#[derive(Serialize)]
pub(crate) struct Load {
    mode: &'static str,
    conns: usize,
    closed: usize,
    channels: usize,
    secs: f64,
    published: u64,
    pub_ok: u64,
    pub_bad: u64,
    delivered: u64,
    deliveries_per_s: f64,
    publish_per_s: f64,
    mib_in_per_s: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
    pub_p50_us: u64,
    pub_p99_us: u64,
    ping_p50_us: u64,
    ping_p99_us: u64,
    ping_max_us: u64,
    server_cpu_cores: f64,
    server_cpu_us_per_delivery: f64,
    user_share: f64,
    rss_mib: f64,
    kib_per_conn: f64,
    connect_per_s: f64,
    errs: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) fn idle(
        options: &Options,
        crowd: &Crowd,
        connect_seconds: f64,
        before: Usage,
        connected: Usage,
        idle: Usage,
    ) -> Self {
        let (seconds, heartbeats) = (options.seconds, crowd.tally.heartbeats);
        let idle_cpu = idle.seconds() - connected.seconds();
        let per_heartbeat = if heartbeats > 0 { per(idle_cpu * 1e6, heartbeats) } else { 0.0 };
        let connect_cpu = connected.seconds() - before.seconds();
        Self::Idle(Idle {
            mode: "idle",
            ready: crowd.ready,
            closed: crowd.closed,
            connect_per_s: round(crowd.ready as f64 / connect_seconds, 0),
            server_cpu_us_per_connect: round(per(connect_cpu * 1e6, crowd.ready as u64), 1),
            rss_before_mib: round(before.resident as f64 / KIB_PER_MIB, 1),
            rss_after_mib: round(idle.resident as f64 / KIB_PER_MIB, 1),
            kib_per_conn: memory_per_connection(crowd, before, idle),
            server_cpu_cores: round(per(idle_cpu, seconds), 4),
            heartbeats,
            server_cpu_us_per_heartbeat: round(per_heartbeat, 1),
            errs: crowd.tally.errors.clone(),
        })
    }

    pub(crate) fn load(
        options: &Options,
        crowd: &Crowd,
        measured: &Measured,
        connect_seconds: f64,
        before: Usage,
        connected: Usage,
    ) -> Self {
        let Measured { seconds, from, to, triggers, pings } = measured;
        let delivered = to.delivered - from.delivered;
        let published = to.published - from.published;
        let cpu = to.usage.seconds() - from.usage.seconds();
        let latency = &crowd.tally.latency;
        Self::Load(Load {
            mode: options.mode.name(),
            conns: crowd.ready,
            closed: crowd.closed,
            channels: options.channels,
            secs: round(*seconds, 1),
            published,
            pub_ok: triggers.accepted,
            pub_bad: triggers.refused,
            delivered,
            deliveries_per_s: round(delivered as f64 / seconds, 0),
            publish_per_s: round(published as f64 / seconds, 0),
            mib_in_per_s: round((to.bytes_in - from.bytes_in) as f64 / seconds / BYTES_PER_MIB, 1),
            p50_us: microseconds(latency, 0.5),
            p99_us: microseconds(latency, 0.99),
            p999_us: microseconds(latency, 0.999),
            max_us: latency.max() / 1000,
            pub_p50_us: microseconds(&triggers.latency, 0.5),
            pub_p99_us: microseconds(&triggers.latency, 0.99),
            ping_p50_us: microseconds(pings, 0.5),
            ping_p99_us: microseconds(pings, 0.99),
            ping_max_us: pings.max() / 1000,
            server_cpu_cores: round(cpu / seconds, 2),
            server_cpu_us_per_delivery: round(per(cpu * 1e6, delivered), 3),
            user_share: round((to.usage.user - from.usage.user) / cpu.max(1e-9), 2),
            rss_mib: round(to.usage.resident as f64 / KIB_PER_MIB, 1),
            kib_per_conn: memory_per_connection(crowd, before, connected),
            connect_per_s: round(crowd.ready as f64 / connect_seconds, 0),
            errs: crowd.tally.errors.clone(),
        })
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

fn memory_per_connection(crowd: &Crowd, before: Usage, after: Usage) -> f64 {
    let grown = after.resident.saturating_sub(before.resident);
    round(per(grown as f64, crowd.ready as u64), 2)
}

fn per(sum: f64, count: u64) -> f64 {
    sum / count.max(1) as f64
}

fn microseconds(latency: &Histogram<u64>, quantile: f64) -> u64 {
    latency.value_at_quantile(quantile) / 1000
}

pub(crate) fn round(figure: f64, digits: i32) -> f64 {
    let shift = 10_f64.powi(digits);
    (figure * shift).round() / shift
}
