//! Answers questions about channels from Redis. Whoever asks has a bound of its own on how many are asked
//! at once; no answer is larger than [`Options::listed`](super::Options::listed) channels.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{AsyncContext as _, Context, Handler};
use hashbrown::HashMap;
use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use super::answers;
use super::client::Client;
use super::keeper::Keeper;
use crate::membership::{CountChannel, Counts, ListMembers, ListOccupied, MembershipError};
use crate::protocol::{ChannelKey, ChannelName};

/// Channels read in one go.
const PAGE: usize = 1000;
/// Questions under way. After an outage every presence channel asks at the same moment, and what this node
/// has to say goes over the same connection.
pub(super) const UNDER_WAY: usize = 64;

type Answer<T> = oneshot::Sender<Result<T, MembershipError>>;

impl Keeper {
    /// Asks beside the actor, until there is an answer or nobody waits for it any more. Without a
    /// connection the answer is there at once.
    fn ask<T, F>(
        &self,
        mut answer: Answer<T>,
        ctx: &mut Context<Self>,
        question: impl FnOnce(Client) -> F,
    ) where
        T: 'static,
        F: Future<Output = Result<T, MembershipError>> + 'static,
    {
        let Some(client) = self.client.clone() else {
            // who has given up waiting was told so by the deadline
            return answer.send(Err(MembershipError::Unreachable)).unwrap_or_default();
        };
        let (asked, places) = (question(client), Arc::clone(&self.questions));
        let asked = async move {
            // it fails when nobody may ask any more, which never is
            let _place = places.acquire().await;
            asked.await
        };
        ctx.spawn(wrap_future(async move {
            let found = tokio::select! {
                found = asked => found,
                () = answer.closed() => return,
            };
            answer.send(found).unwrap_or_default();
        }));
    }
}

impl Handler<ListMembers> for Keeper {
    type Result = ();

    fn handle(&mut self, ListMembers { key, answer }: ListMembers, ctx: &mut Self::Context) {
        let roster = self.task.calls.roster(&key);
        self.ask(answer, ctx, |client| async move {
            reached(client.ask(roster).await.and_then(answers::roster))
        });
    }
}

impl Handler<CountChannel> for Keeper {
    type Result = ();

    fn handle(&mut self, CountChannel { key, answer }: CountChannel, ctx: &mut Self::Context) {
        let calls = &self.task.calls;
        let commands = [calls.subscriptions(&key), calls.users(&key), redis::cmd("TIME")];
        self.ask(answer, ctx, |client| async move {
            reached(client.send(&commands).await.and_then(counts))
        });
    }
}

impl Handler<ListOccupied> for Keeper {
    type Result = ();

    fn handle(&mut self, list: ListOccupied, ctx: &mut Self::Context) {
        let ListOccupied { app, prefix, users, answer } = list;
        let task = self.task.clone();
        self.ask(answer, ctx, |client| async move {
            let mut found: HashMap<ChannelName, Counts> = HashMap::new();
            let mut cursor = 0;
            loop {
                let page = task.calls.list_page(&app, cursor, PAGE);
                let (next, rows): (u64, Vec<(Vec<u8>, Value)>) = reached(client.ask(page).await)?;
                for (name, subscriptions) in rows {
                    // a line that no node of ours has written is left out
                    if let Ok(name) = std::str::from_utf8(&name)
                        && name.starts_with(&prefix)
                        && let Ok(name) = ChannelName::parse(name, usize::MAX)
                        && let Ok(subscriptions) = redis::from_redis_value(subscriptions)
                    {
                        found.insert(name, Counts { subscriptions, ..Counts::default() });
                    }
                }
                if found.len() > task.options.listed {
                    return Err(MembershipError::TooMany);
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            let mut channels: Vec<_> = found.into_iter().collect();
            if users {
                for page in channels.chunks_mut(PAGE) {
                    let count = |(channel, _): &(ChannelName, Counts)| {
                        let (app, channel) = (app.clone(), channel.clone());
                        task.calls.users(&ChannelKey { app, channel })
                    };
                    let commands: Vec<_> = page.iter().map(count).collect();
                    let answers = reached(client.send(&commands).await)?;
                    for ((_, counts), answer) in page.iter_mut().zip(answers) {
                        counts.users = reached(
                            answer.and_then(|answer| Ok(redis::from_redis_value(answer)?)),
                        )?;
                    }
                }
            }
            Ok(channels)
        });
    }
}

fn counts(answers: Vec<RedisResult<Value>>) -> RedisResult<Counts> {
    let answers = answers.into_iter().collect::<RedisResult<Vec<_>>>()?;
    let (subscriptions, users, (seconds, micros)): (Option<u64>, u64, (u64, u64)) =
        redis::from_redis_value(Value::Array(answers))?;
    let subscriptions = subscriptions.unwrap_or_default();
    Ok(Counts {
        subscriptions,
        users,
        at: seconds.saturating_mul(1_000_000).saturating_add(micros),
    })
}

fn reached<T>(answer: RedisResult<T>) -> Result<T, MembershipError> {
    answer.map_err(|error| {
        log::warn!(error:% = error; "membership: a question has no answer");
        MembershipError::Unreachable
    })
}
