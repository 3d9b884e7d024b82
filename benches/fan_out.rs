//! What a node does for an event beside system calls: from `NodeHandle::publish` by registry, channel,
//! courier and desk into 1,000 outboxes, and out to sockets that take everything at once.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop")]

#[path = "support/hall.rs"]
mod hall;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use hall::Hall;

const SOCKETS: u32 = 1000;
/// Events that wait together when the sockets are slower than the publishers.
const BURST: u32 = 8;

fn fan_out(criterion: &mut Criterion) {
    let system = actix_rt::System::new();
    let hall = system.block_on(Hall::open(SOCKETS));
    let mut group = criterion.benchmark_group("fan-out to 1,000 outboxes");
    for (name, events) in [("one event", 1), ("8 events that wait together", BURST)] {
        group.throughput(Throughput::Elements(u64::from(SOCKETS * events)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| system.block_on(hall.publish(events)));
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
