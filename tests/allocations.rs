//! Memory that a delivery asks for: none. An event asks for some, however many listen to it.
//!
//! A binary of its own, for its allocator counts what each thread asks for.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "../benches/support/hall.rs"]
mod hall;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_rt::System;
use allocation_counter::measure;
use tokio::time::timeout;

use hall::{Audience, Hall, Stage};

/// Rounds before counting begins: queues and buffers grow to what they need.
const WARM_UP: u32 = 8;
/// Rounds that are counted.
const ROUNDS: u32 = 64;
/// All of them: those that are counted come after one that is not.
const EVENTS: u32 = WARM_UP + 1 + (1 + ROUNDS);
/// Allocations of an event on its whole way, among them its data and place, the messages between actors, and
/// the frame. Fewer are welcome.
const PER_EVENT: u64 = 14;
/// How long deliveries may take before they are given up.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_delivery_allocates_nothing() {
    let few = whole_way(10, 1);
    assert!(few > 0, "nothing is counted");
    for sockets in [1_000, 10_000] {
        assert_eq!(whole_way(sockets, 1), few, "{ROUNDS} events to {sockets} sockets and to 10");
    }
}

#[test]
fn an_event_allocates_no_more_than_it_did() {
    assert!(whole_way(10, 1) <= PER_EVENT * u64::from(ROUNDS));
}

#[test]
fn a_delivery_of_events_that_wait_together_allocates_nothing() {
    let few = whole_way(10, 8);
    assert_eq!(whole_way(1_000, 8), few, "8 × {ROUNDS} events to 1,000 sockets and to 10");
}

#[test]
fn a_courier_allocates_once_for_each_event() {
    for sockets in [1, 1_000] {
        let count = courier_alone(sockets);
        assert!(count <= u64::from(ROUNDS), "{count} for {ROUNDS} events to {sockets} sockets");
    }
}

/// Returns what rounds of `events` that wait together allocate, from the publisher to the sockets.
fn whole_way(sockets: u32, events: u32) -> u64 {
    let system = System::new();
    let hall = system.block_on(Hall::open(sockets));
    let rounds = |count| {
        let rounds = async {
            for _ in 0..count {
                hall.publish(events).await;
            }
        };
        system.block_on(async { timeout(PATIENCE, rounds).await }).unwrap();
    };
    rounds(WARM_UP);
    count(rounds)
}

/// Returns what this thread allocates in the rounds that are counted. What running any costs is not of
/// them: they are the difference to one round.
fn count(rounds: impl Fn(u32)) -> u64 {
    let one = measure(|| rounds(1)).count_total;
    measure(|| rounds(1 + ROUNDS)).count_total - one
}

/// Returns what the thread of a courier allocates where there are listeners alone: publisher, registry
/// and channel are on another.
fn courier_alone(sockets: u32) -> u64 {
    let stage = Stage::build(2);
    let system = System::new();
    let _worker = system.block_on(async { stage.node.attach_worker().unwrap() });
    let (to_courier, from_publisher) = mpsc::channel::<Stage>();
    let wanted = Arc::new(AtomicU32::new(0));
    let courier = thread::spawn({
        let (stage, wanted) = (stage.clone(), Arc::clone(&wanted));
        move || listen(&stage, &from_publisher, sockets, &wanted)
    });
    let publishing = async {
        while !stage.node.is_serving() {
            tokio::task::yield_now().await;
        }
        let stage = channel_of_first_worker(&stage).await;
        to_courier.send(stage.clone()).unwrap();
        for event in 1..=EVENTS {
            reach(&wanted, event).await;
            stage.publish().await;
        }
        // registry and channel run until the last event is taken
        reach(&wanted, EVENTS + 1).await;
    };
    system.block_on(async { timeout(PATIENCE, publishing).await }).unwrap();
    courier.join().unwrap()
}

async fn reach(number: &AtomicU32, goal: u32) {
    while number.load(Ordering::Acquire) < goal {
        tokio::task::yield_now().await;
    }
}

/// Seats an audience on the thread of a second worker, and counts what its rounds allocate.
fn listen(
    node: &Stage,
    from_publisher: &mpsc::Receiver<Stage>,
    sockets: u32,
    wanted: &AtomicU32,
) -> u64 {
    let system = System::new();
    let worker = system.block_on(async { node.node.attach_worker().unwrap() });
    let stage = from_publisher.recv().unwrap();
    let audience = system.block_on(Audience::seat(&stage, &worker, sockets));
    let rounds = |count| {
        let rounds = async {
            for _ in 0..count {
                wanted.fetch_add(1, Ordering::Release);
                audience.take(1).await;
            }
        };
        system.block_on(async { timeout(PATIENCE, rounds).await }).unwrap();
    };
    rounds(WARM_UP);
    let count = count(rounds);
    wanted.fetch_add(1, Ordering::Release);
    count
}

/// Returns the stage with a channel whose place is on the thread that was attached first.
async fn channel_of_first_worker(stage: &Stage) -> Stage {
    for number in 0_u32.. {
        let stage = stage.with_channel(&format!("room-{number}"));
        stage.publish().await;
        // nobody listens yet: all that is left of the event is the mark in its shard's queue
        if stage.node.event_queues().first().unwrap().highest > 0 {
            return stage;
        }
    }
    unreachable!("half of all names are there")
}
