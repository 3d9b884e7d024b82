//! Where there are several partitions: makes their keepers one membership to the node.
//!
//! The router hands what concerns a channel to the keeper of its partition, and asks all keepers where
//! something concerns an application. Connections are told to the first alone. Started by
//! [`RedisMembership`](super::RedisMembership) beside the keepers. It keeps nothing: what bounds that which
//! it is told bounds what it tells.

use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, Addr, Context, Handler};
use futures_util::future::try_join_all;
use hashbrown::HashSet;
use tokio::sync::oneshot;

use super::keeper::Keeper;
use crate::lifeline::{contain, contain_task};
use crate::mailbox::{Letter, Named, Postbox};
use crate::membership::counters::Counters;
use crate::membership::{
    Count, CountChannel, Enter, Leave, ListMembers, ListOccupied, MembershipError, MembershipEvent,
    MembershipSink, ReportConnections, Vacate,
};
use crate::metrics::Alive;
use crate::protocol::ChannelKey;
use crate::redis::{ByPartition, Partition};

/// Who it is in the log.
const WHO: &str = "membership router";

/// See the module.
pub(super) struct Router {
    keepers: Arc<ByPartition<Postbox<Addr<Keeper>>>>,
    /// The most channels in the answer to [`ListOccupied`].
    listed: usize,
    counters: Arc<Counters>,
    _alive: Alive,
}

impl Router {
    pub(super) fn new(
        keepers: Arc<ByPartition<Postbox<Addr<Keeper>>>>,
        listed: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self { keepers, listed, _alive: counters.living_routers.enter(), counters }
    }

    /// Takes a message, and counts it. A panic costs what was asked.
    fn take<M: Named>(&self, letter: Letter<M>, work: impl FnOnce(&Self, M)) {
        let taken = self.counters.router.open(&letter);
        if contain(WHO, || work(self, letter.message)).is_none() {
            self.counters.router_panics.add(1);
        }
        self.counters.router.done(taken);
    }

    /// Asks all keepers, and answers with what all of them have.
    fn list(&self, list: ListOccupied) {
        let ListOccupied { app, prefix, users, mut answer } = list;
        let listed = self.listed;
        let parts: Vec<_> = self
            .keepers
            .iter()
            .map(|keeper| {
                let (answer, answered) = oneshot::channel();
                let (app, prefix) = (app.clone(), prefix.clone());
                keeper.post(ListOccupied { app, prefix, users, answer });
                async { answered.await.unwrap_or(Err(MembershipError::Unreachable)) }
            })
            .collect();
        let answering = async move {
            let parts = tokio::select! {
                parts = try_join_all(parts) => parts,
                // the keepers find out by it that nobody waits
                () = answer.closed() => return,
            };
            let all = parts.map(|parts| parts.into_iter().flatten().collect::<Vec<_>>());
            let all = all.and_then(|all| {
                if all.len() > listed { Err(MembershipError::TooMany) } else { Ok(all) }
            });
            // who has given up waiting was told so by the deadline
            answer.send(all).unwrap_or_default();
        };
        let counters = Arc::clone(&self.counters);
        // not in the context of the actor, which polls all that is in it whenever anything happens
        actix_rt::spawn(async move {
            if contain_task(WHO, answering).await.is_none() {
                counters.router_panics.add(1);
            }
        });
    }
}

/// Returns what makes the sink of each keeper, so that the node hears of one membership: it can be reached
/// when every partition can, and is told of a change of any of them, for rosters settle after each.
pub(super) fn sinks(
    partitions: usize,
    sink: MembershipSink,
) -> impl Fn(Partition) -> MembershipSink {
    let reached = Arc::new(Mutex::new(HashSet::new()));
    move |partition| {
        if partitions == 1 {
            return Arc::clone(&sink);
        }
        let (sink, reached, index) = (Arc::clone(&sink), Arc::clone(&reached), partition.index());
        Arc::new(move |event| match event {
            MembershipEvent::Reachable(is_there) => {
                let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
                if is_there {
                    reached.insert(index);
                } else {
                    reached.remove(&index);
                }
                sink(MembershipEvent::Reachable(reached.len() == partitions));
            }
            // the other partitions are told of none
            MembershipEvent::Connections(_) if index != 0 => {}
            event => sink(event),
        })
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

/// What concerns one channel.
trait OfChannel {
    fn channel(&self) -> &ChannelKey;
}

impl OfChannel for Enter {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

impl OfChannel for Leave {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

impl OfChannel for Count {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

impl OfChannel for Vacate {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

impl OfChannel for ListMembers {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

impl OfChannel for CountChannel {
    fn channel(&self) -> &ChannelKey {
        &self.key
    }
}

// === Handlers ===

impl<M> Handler<Letter<M>> for Router
where
    M: OfChannel + Named,
    Keeper: Handler<Letter<M>>,
{
    type Result = ();

    fn handle(&mut self, letter: Letter<M>, _ctx: &mut Self::Context) {
        self.take(letter, |router, message| {
            router.keepers.of(message.channel()).post(message);
        });
    }
}

impl Handler<Letter<ReportConnections>> for Router {
    type Result = ();

    fn handle(&mut self, report: Letter<ReportConnections>, _ctx: &mut Self::Context) {
        self.take(report, |router, report| router.keepers.first().post(report));
    }
}

impl Handler<Letter<ListOccupied>> for Router {
    type Result = ();

    fn handle(&mut self, list: Letter<ListOccupied>, _ctx: &mut Self::Context) {
        self.take(list, Self::list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::AppId;
    use crate::redis::Topology;

    #[test]
    fn the_node_hears_of_one_membership() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let heard_by = Arc::clone(&heard);
        let take =
            move || std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let sink = sinks(
            16,
            Arc::new(move |event| {
                heard_by.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }),
        );
        let sinks: Vec<_> =
            Partition::all(&Topology::Cluster).iter().map(|partition| sink(*partition)).collect();
        for (index, sink) in sinks.iter().enumerate() {
            sink(MembershipEvent::Reachable(true));
            assert_eq!(take(), [MembershipEvent::Reachable(index == 15)]);
        }
        for (index, sink) in sinks.iter().enumerate() {
            let connections = MembershipEvent::Connections(vec![(AppId::new("a"), 1)]);
            sink(connections.clone());
            assert_eq!(take(), if index == 0 { vec![connections] } else { Vec::new() });
        }
        if let Some(last) = sinks.last() {
            last(MembershipEvent::Reachable(false));
            last(MembershipEvent::Reachable(true));
        }
        assert_eq!(take(), [MembershipEvent::Reachable(false), MembershipEvent::Reachable(true)]);
    }
}
