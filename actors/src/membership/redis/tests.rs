//! Keeper and reaper outlive what panics beside them, and tell of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use futures_util::future::BoxFuture;

use super::*;
use crate::bridge::wire::Wire;
use crate::channel::Member;
use crate::membership::{Enter, MembershipError, Ticket};
use crate::metrics::Counter;
use crate::protocol::{AppId, ChannelKey, ChannelName, UserId};

const DEADLINE: Duration = Duration::from_secs(20);

fn key(channel: &str) -> ChannelKey {
    ChannelKey { app: AppId::new("1"), channel: ChannelName::parse(channel, 164).unwrap() }
}

fn membership(connect: Connect, sink: MembershipSink) -> RedisMembership {
    let options = Options {
        reconnect: Duration::from_millis(5),
        sweep: Duration::from_millis(5),
        refine: Duration::from_millis(5),
        patience: Duration::ZERO,
        ..Options::default()
    };
    RedisMembership::start(
        options,
        connect,
        Arc::new(|_| Box::pin(async { Err("nobody is there".into()) })),
        Arc::new(Wire::new("", "")),
        sink,
    )
}

async fn reaches(counter: &Counter, count: u64) {
    let reached = async {
        while counter.get() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.unwrap();
}

#[actix_rt::test]
async fn a_connection_that_panics_is_tried_again_and_the_mailbox_goes_on() {
    let trap: Connect =
        Arc::new(|_| -> BoxFuture<'static, Result<MultiplexedConnection, ConnectError>> {
            panic!("the way to redis is a trap")
        });
    let membership = membership(trap, Arc::new(|_| {}));
    let counters = membership.counters();
    reaches(&counters.keeper_panics, 3).await;
    reaches(&counters.reaper_panics, 3).await;
    let handle = membership.handle();
    handle.count(key("c"), 1);
    let answer = tokio::time::timeout(DEADLINE, handle.describe(key("c"))).await.unwrap();
    assert_eq!(answer.unwrap_err(), MembershipError::Unreachable);
    let mail = counters.keepers.figures().unwrap();
    assert_eq!((mail.depth(), mail.undeliverable()), (0, 0));
    let handled: u64 = mail.handled().map(|(_, count)| count).sum();
    assert_eq!((handled, counters.incarnations.get()), (2, 0));
}

#[actix_rt::test]
async fn a_node_that_panics_when_it_is_told_costs_the_keeper_nothing() {
    let told = Arc::new(Counter::default());
    let heard = Arc::clone(&told);
    let nowhere: Connect = Arc::new(|_| Box::pin(async { Err("nobody is there".into()) }));
    let membership = membership(
        nowhere,
        Arc::new(move |_| {
            heard.add(1);
            panic!("sprung");
        }),
    );
    for number in 1..=2 {
        let member = Member { user: UserId::member("u").unwrap(), info: "{}".into() };
        let ticket = Ticket { life: 1, number };
        let key = key("presence-c");
        membership.handle().enter(Enter { key, ticket, member, limit: 10, roster: false });
        // it is not admitted in time, and the node is told so
        reaches(&told, number).await;
    }
    let counters = membership.counters();
    reaches(&counters.keeper_panics, 2).await;
    reaches(&counters.failures, counters.failures.get() + 3).await;
    assert_eq!((counters.keeper_panics.get(), counters.incarnations.get()), (2, 0));
}
