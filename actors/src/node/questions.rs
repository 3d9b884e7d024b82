//! Questions about channels: answered by the channels of this node, and by the membership for all nodes.

use std::sync::Arc;

use futures_util::future::join;
use tokio::sync::oneshot;

use super::NodeHandle;
use crate::channel::{Answer, Command, Route};
use crate::config::App;
use crate::door::Place;
use crate::facts::{ChannelFacts, Listed, NodeError};
use crate::membership::{Counts, Described, MembershipError, MembershipHandle};
use crate::protocol::{ChannelKey, ChannelName, UserId};
use crate::registry::DescribeAll;

impl NodeHandle {
    /// Returns what is known of a channel over all nodes; of an unknown one, the default.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn describe(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<ChannelFacts, NodeError> {
        let key = ChannelKey { app: app.id.clone(), channel: channel.clone() };
        let (facts, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::Describe(facts))?;
        let (facts, all) = join(self.wait(answer), self.everywhere(|all| all.describe(key))).await;
        let facts = facts?;
        Ok(match all {
            None => facts,
            Some(Err(_)) => ChannelFacts { partial: true, ..facts },
            Some(Ok(Described { counts, cached })) => {
                // the newest subscriptions of this node may still be on their way
                let subscriptions = counts.subscriptions.max(facts.subscriptions);
                ChannelFacts { subscriptions, users: counts.users, cached, partial: false }
            }
        })
    }

    /// Returns the occupied, listed channels of all nodes whose names start with `prefix`; how many
    /// users they have, too, if `users`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn channels(
        &self,
        app: &Arc<App>,
        prefix: &str,
        users: bool,
    ) -> Result<Listed<(ChannelName, ChannelFacts)>, NodeError> {
        self.check_answering()?;
        let _place = self.shared.registries.reserve_command(&app.id)?;
        let listed = self.everywhere(|all| all.occupied(app.id.clone(), prefix, users)).await;
        let Some(Ok(channels)) = listed else {
            let items = self.channels_here(app, prefix).await?;
            return Ok(Listed { items, partial: listed.is_some() });
        };
        let is_listed = |channel: &ChannelName| channel.kind().capabilities().listed;
        let channels = channels.into_iter().filter(|(channel, _)| is_listed(channel));
        let facts = |(channel, counts): (ChannelName, Counts)| {
            let Counts { subscriptions, users, .. } = counts;
            (channel, ChannelFacts { subscriptions, users, ..ChannelFacts::default() })
        };
        Ok(Listed { items: channels.map(facts).collect(), partial: false })
    }

    async fn channels_here(
        &self,
        app: &Arc<App>,
        prefix: &str,
    ) -> Result<Vec<(ChannelName, ChannelFacts)>, NodeError> {
        let shards = self.shared.registries.ask_all(|| {
            let (answer, waiting) = Answer::expected();
            (DescribeAll { app: app.id.clone(), prefix: prefix.to_owned(), answer }, waiting)
        })?;
        let mut channels = Vec::new();
        for (_place, answer) in shards {
            for (channel, facts) in self.wait(answer).await? {
                // a channel that ends meanwhile is not occupied
                let facts = self.wait(facts).await.unwrap_or_default();
                if facts.subscriptions > 0 {
                    channels.push((channel, facts));
                }
            }
        }
        Ok(channels)
    }

    /// Returns the users of a presence channel on all nodes.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn members(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<Listed<UserId>, NodeError> {
        let key = ChannelKey { app: app.id.clone(), channel: channel.clone() };
        self.check_answering()?;
        let place = self.shared.registries.reserve_command(&key)?;
        let roster = self.everywhere(|all| all.members(key)).await;
        drop(place);
        if let Some(Ok(roster)) = roster {
            let items = roster.members.into_iter().map(|member| member.user).collect();
            return Ok(Listed { items, partial: false });
        }
        let (members, answer) = Answer::expected();
        let _place = self.ask(app, channel, Command::ListMembers(members))?;
        let items = self.wait(answer).await?;
        Ok(Listed { items, partial: roster.is_some() })
    }

    /// Asks the membership; `None` for a node alone. Who asks holds a place.
    async fn everywhere<'s, T, F>(
        &'s self,
        question: impl FnOnce(&'s MembershipHandle) -> F,
    ) -> Option<Result<T, MembershipError>>
    where
        F: Future<Output = Result<T, MembershipError>>,
    {
        let membership = self.shared.crew.membership()?;
        let answer = tokio::time::timeout(self.shared.limits.ask, question(membership)).await;
        Some(answer.unwrap_or(Err(MembershipError::Unreachable)))
    }

    /// Sends a question to a channel. The place is to be kept until the answer is there.
    pub(super) fn ask(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
        command: Command,
    ) -> Result<Place, NodeError> {
        self.check_answering()?;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.registries.reserve_command(&key)?;
        self.shared.registries.route(Route { key, app: Arc::clone(app), command });
        Ok(place)
    }

    pub(super) async fn wait<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, NodeError> {
        match tokio::time::timeout(self.shared.limits.ask, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NodeError::Stopped),
            Err(_) => Err(NodeError::TimedOut),
        }
    }
}
