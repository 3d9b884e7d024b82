//! The addresses of a membership, and how it is told and asked.

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Recipient};
use tokio::sync::oneshot;

use super::counters::Counters;
use super::{
    Count, CountChannel, Counts, Described, Enter, Leave, ListMembers, ListOccupied,
    MembershipError, ReportConnections, Roster, Vacate,
};
use crate::mailbox::{Letter, Mail, Postbox};
use crate::protocol::{AppId, ChannelKey, ChannelName};

/// Where a message of this kind is posted.
type Post<M> = Postbox<Recipient<Letter<M>>>;

/// The addresses of a membership.
#[derive(Clone)]
pub struct MembershipHandle {
    enter: Post<Enter>,
    leave: Post<Leave>,
    count: Post<Count>,
    vacate: Post<Vacate>,
    connections: Post<ReportConnections>,
    list_members: Post<ListMembers>,
    count_channel: Post<CountChannel>,
    list_occupied: Post<ListOccupied>,
    /// Says what it has done.
    pub counters: Arc<Counters>,
}

impl MembershipHandle {
    /// Makes the handle of whoever takes all that concerns a membership, and opens it in that mailbox.
    pub(crate) fn new<A>(taker: &Addr<A>, mail: &Mail, counters: &Arc<Counters>) -> Self
    where
        A: Actor<Context = Context<A>>
            + Handler<Letter<Enter>>
            + Handler<Letter<Leave>>
            + Handler<Letter<Count>>
            + Handler<Letter<Vacate>>
            + Handler<Letter<ReportConnections>>
            + Handler<Letter<ListMembers>>
            + Handler<Letter<CountChannel>>
            + Handler<Letter<ListOccupied>>,
    {
        Self {
            enter: Postbox::new(taker.clone().recipient(), mail.clone()),
            leave: Postbox::new(taker.clone().recipient(), mail.clone()),
            count: Postbox::new(taker.clone().recipient(), mail.clone()),
            vacate: Postbox::new(taker.clone().recipient(), mail.clone()),
            connections: Postbox::new(taker.clone().recipient(), mail.clone()),
            list_members: Postbox::new(taker.clone().recipient(), mail.clone()),
            count_channel: Postbox::new(taker.clone().recipient(), mail.clone()),
            list_occupied: Postbox::new(taker.clone().recipient(), mail.clone()),
            counters: Arc::clone(counters),
        }
    }

    /// Sends [`Enter`]. Bounded by the place that a join holds.
    pub fn enter(&self, enter: Enter) {
        self.enter.tell(enter);
    }

    /// Sends [`Leave`]. Bounded by live subscriptions.
    pub fn leave(&self, leave: Leave) {
        self.leave.tell(leave);
    }

    /// Sends [`Count`]. Bounded by live subscriptions.
    pub fn count(&self, key: ChannelKey, subscriptions: u64) {
        self.count.tell(Count { key, subscriptions });
    }

    /// Sends [`Vacate`]. Bounded by live channels.
    pub fn vacate(&self, key: ChannelKey) {
        self.vacate.tell(Vacate { key });
    }

    /// Sends [`ReportConnections`]. To be sent by a clock.
    pub fn report_connections(&self, connections: Vec<(AppId, u64)>) {
        self.connections.tell(ReportConnections { connections });
    }

    /// Asks who is in a presence channel. Bounded by the place that the question holds.
    ///
    /// # Errors
    /// [`MembershipError::Unreachable`].
    pub async fn members(&self, key: ChannelKey) -> Result<Roster, MembershipError> {
        let (answer, answered) = oneshot::channel();
        self.list_members.tell(ListMembers { key, answer });
        answered.await.unwrap_or(Err(MembershipError::Unreachable))
    }

    /// Asks how many are in a channel, and what it remembers. Bounded as [`Self::members`].
    ///
    /// # Errors
    /// [`MembershipError::Unreachable`].
    pub async fn describe(&self, key: ChannelKey) -> Result<Described, MembershipError> {
        let (answer, answered) = oneshot::channel();
        self.count_channel.tell(CountChannel { key, answer });
        answered.await.unwrap_or(Err(MembershipError::Unreachable))
    }

    /// Asks which channels of an application are occupied. Bounded as [`Self::members`].
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn occupied(
        &self,
        app: AppId,
        prefix: &str,
        users: bool,
    ) -> Result<Vec<(ChannelName, Counts)>, MembershipError> {
        let (answer, answered) = oneshot::channel();
        self.list_occupied.tell(ListOccupied { app, prefix: prefix.to_owned(), users, answer });
        answered.await.unwrap_or(Err(MembershipError::Unreachable))
    }
}
