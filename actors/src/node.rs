//! The node: the one value that owns everything, and the door through which the edge reaches it.
//!
//! The door keeps the bounds: an event or a command takes a [`Place`](crate::door::Place) here, or is
//! answered [`NodeError::Busy`], and is never refused afterwards.

mod publishing;
mod questions;

use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Actor as _;

use crate::bridge::watch::BridgeWatch;
use crate::bridge::{BridgeHandle, BridgeSink};
use crate::config::{Apps, NodeConfig};
use crate::courier::Courier;
use crate::desk::{Desk, TICK};
use crate::door::Usage;
use crate::errand::Errand;
use crate::facts::NodeError;
use crate::limits::NodeLimits;
use crate::mailbox::Mailboxes;
use crate::membership::counters::Counters;
use crate::membership::reach::Reach;
use crate::membership::{MembershipHandle, MembershipSink};
use crate::metrics::{Metrics, Tables};
use crate::protocol::AppId;
use crate::registry::Registry;
use crate::session::effect::Close;
use crate::shared::Shared;
use crate::tap::Tap;
use crate::users::Users;
use crate::worker::Worker;

/// A running node. It lives as long as this value and its handles.
pub struct Node {
    handle: NodeHandle,
}

impl Node {
    /// Makes a node of one process alone. It serves once `config.workers` threads have called
    /// [`NodeHandle::attach_worker`].
    pub fn start(config: NodeConfig) -> Self {
        Self { handle: NodeHandle { shared: Shared::new(config) } }
    }

    /// Makes a node that shares its channels with others: `connect` starts its bridge.
    pub fn start_with(
        config: NodeConfig,
        connect: impl FnOnce(BridgeSink) -> BridgeHandle,
    ) -> Self {
        let node = Self::start(config);
        let shared = Arc::downgrade(&node.handle.shared);
        let bridge = connect(Arc::new(move |event| {
            if let Some(shared) = Weak::upgrade(&shared) {
                shared.on_bridge_event(event);
            }
        }));
        node.handle.shared.crew.set_bridge(bridge);
        node
    }

    /// As [`Self::start_with`], for nodes that also share who is where: `share` starts its membership.
    pub fn start_sharing(
        config: NodeConfig,
        connect: impl FnOnce(BridgeSink) -> BridgeHandle,
        share: impl FnOnce(MembershipSink) -> MembershipHandle,
    ) -> Self {
        let node = Self::start_with(config, connect);
        let shared = Arc::downgrade(&node.handle.shared);
        let membership = share(Arc::new(move |event| {
            if let Some(shared) = Weak::upgrade(&shared) {
                shared.on_membership_event(event);
            }
        }));
        node.handle.shared.crew.set_membership(membership);
        node
    }

    /// Returns a door to the node.
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }
}

/// The typed door of a node. Cheap to clone; may travel between threads.
#[derive(Clone)]
pub struct NodeHandle {
    shared: Arc<Shared>,
}

impl NodeHandle {
    /// Starts this thread's courier, registry shard and users. Call it once on each worker thread, inside
    /// its actix arbiter.
    ///
    /// # Errors
    /// [`NodeError::Stopped`] when as many threads are attached as the configuration says.
    pub fn attach_worker(&self) -> Result<Worker, NodeError> {
        let Shared { crew, registries, limits, .. } = &*self.shared;
        let index = self.shared.next_worker();
        let worker = u16::try_from(index).map_err(|_| NodeError::Stopped)?;
        let desk = Desk::new(
            worker,
            crew.clock(),
            limits.clone(),
            Arc::clone(crew.metrics()),
            crew.mail_of(index),
        );
        let users = Users::new(index, Arc::clone(registries), crew, limits.offline_delay);
        let attached = crew.set_courier(index, Courier::start_beside(&desk))
            && registries.set(
                index,
                Registry::new(index, Arc::clone(crew)).start(),
                crew.mail_of(index).registry,
            )
            && self.shared.set_users(index, users.start());
        if attached {
            desk.tell_ran(crew.now());
            Ok(Worker::new(desk, Arc::clone(&self.shared)))
        } else {
            Err(NodeError::Stopped)
        }
    }

    /// Tells whether every worker is attached and the node is not shutting down.
    pub fn is_serving(&self) -> bool {
        self.shared.check_serving().is_ok()
    }

    /// Tells whether [`Self::shut`] was called.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Returns how long ago the node was made.
    pub fn uptime(&self) -> Duration {
        self.shared.crew.now().elapsed()
    }

    /// Returns how long ago each worker's event loop should have been seen to run, and was not: nothing for one
    /// that is well. Those that are not attached are left out.
    pub fn behind(&self) -> Vec<Duration> {
        let crew = &self.shared.crew;
        let now = crew.now().elapsed();
        let ran_at = |tables: &Tables| Duration::from_millis(tables.ran_at.get());
        let attached = crew.metrics().tables.iter().take(self.shared.attached());
        attached.map(|tables| now.saturating_sub(ran_at(tables) + TICK)).collect()
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &Metrics {
        self.shared.crew.metrics()
    }

    /// Returns what is counted of mailboxes, by worker.
    pub fn mailboxes(&self) -> &[Mailboxes] {
        self.shared.crew.mail()
    }

    /// Returns where onlookers stand.
    pub fn tap(&self) -> &Arc<Tap> {
        self.shared.crew.tap()
    }

    /// Returns the applications.
    pub fn apps(&self) -> &Apps {
        &self.shared.apps
    }

    /// Returns the limits.
    pub fn limits(&self) -> &NodeLimits {
        &self.shared.limits
    }

    /// Returns how full the event queues of the shards are.
    pub fn event_queues(&self) -> Vec<Usage> {
        self.shared.registries.event_queues()
    }

    /// Returns how full the command queues of the shards are: joins, sign-ins and questions.
    pub fn command_queues(&self) -> Vec<Usage> {
        self.shared.registries.command_queues()
    }

    /// Returns what is known of the bridge to the other nodes; `None` for a node alone.
    pub fn bridge(&self) -> Option<&BridgeWatch> {
        self.shared.crew.bridge().map(|bridge| &*bridge.watch)
    }

    /// Returns whether who is where can be told to and asked of the other nodes; `None` where that is not shared.
    pub fn membership(&self) -> Option<&Reach> {
        self.shared.crew.membership().map(|_| self.shared.crew.reach())
    }

    /// Returns what the membership has done; `None` where that is not shared.
    pub fn membership_counters(&self) -> Option<&Counters> {
        self.shared.crew.membership().map(|membership| &*membership.counters)
    }

    /// Tells the other nodes how many connections each application has here. To be called by a clock.
    pub fn report_connections(&self, connections: Vec<(AppId, u64)>) {
        if let Some(membership) = self.shared.crew.membership() {
            membership.report_connections(connections);
        }
    }

    /// Returns how many connections an application has on the other nodes, as they last told.
    pub fn connections_elsewhere(&self, app: &AppId) -> u64 {
        self.shared.crew.elsewhere().of(app)
    }

    /// Shuts the node: every connection is closed with `close`, and nothing is accepted any more. With other
    /// nodes beside it, it goes on publishing for them and answering questions about all of them.
    pub fn shut(&self, close: Close) {
        self.shared.stop();
        let crew = &self.shared.crew;
        for worker in 0..crew.workers() {
            crew.send(worker, Errand::DismissAll { close });
        }
    }

    /// Fails where nobody is served. A node that ends goes on handing requests to those that stay.
    fn check_answering(&self) -> Result<(), NodeError> {
        if self.is_stopping() && self.shared.crew.bridge().is_some() {
            return Ok(());
        }
        self.shared.check_serving()
    }
}
