//! Answers questions about channels from Redis, over connections of their own, beside the keeper, which has
//! nothing to do with the answers. After an outage all presence channels and all who watch ask at the same
//! time: [`Line`] lets a few in, the others wait without work for anybody. No answer is larger than
//! [`Options::listed`](super::Options::listed) channels.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Handler;
use hashbrown::HashMap;
use log::Level;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Task;
use super::answers;
use super::client::{Client, is_elsewhere};
use super::keeper::{Keeper, WHO};
use super::pool::LendError;
use crate::channel::Member;
use crate::facts::CachedEvent;
use crate::lifeline::contain_task;
use crate::mailbox::Letter;
use crate::membership::{
    Announcer, CountChannel, Counts, Described, ListMembers, ListOccupied, MembershipError, Roster,
};
use crate::protocol::{ChannelKey, ChannelName};

/// Channels read in one go.
const PAGE: usize = 1000;
/// The most questions that are put to Redis at a time.
const ADMITTED: usize = 32;
/// The most questions without an answer; further ones have none.
const WAITING: usize = 65_536;

type Answer<T> = oneshot::Sender<Result<T, MembershipError>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Redis did not answer, or not as it should.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The answer would be too long.
    #[error("too many channels are occupied")]
    TooMany,
}

/// Where questions wait for their turn, in the order in which they came and as long as Redis is there.
pub(super) struct Line {
    places: Arc<Semaphore>,
    turns: Mutex<Arc<Semaphore>>,
}

impl Default for Line {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING)), turns: Mutex::new(turns()) }
    }
}

impl Line {
    /// Returns a place, to be kept until there is an answer; `None` when all are taken.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Does something when it is its turn; `None` when it was turned away before.
    async fn admit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let turns = Arc::clone(&self.turns.lock().unwrap_or_else(PoisonError::into_inner));
        let _turn = turns.acquire().await.ok()?;
        Some(work.await)
    }

    /// Turns away all who wait, for Redis was lost: they would be tried one after another. Those who come
    /// later wait anew.
    pub(super) fn turn_away(&self) {
        let mut turns_now = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *turns_now, turns()).close();
    }
}

fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ADMITTED))
}

impl Keeper {
    /// Asks beside the actor, until there is an answer or nobody waits for it any more. While Redis is known
    /// to be away, or too many have asked, the answer is there at once.
    fn ask<T, F>(&self, mut answer: Answer<T>, question: impl FnOnce(Client) -> F + 'static)
    where
        T: 'static,
        F: Future<Output = Result<T, Trouble>> + 'static,
    {
        let Some(place) = self.client.as_ref().and_then(|_| self.task.line.place()) else {
            // who has given up waiting was told so by the deadline
            return answer.send(Err(MembershipError::Unreachable)).unwrap_or_default();
        };
        let task = Arc::clone(&self.task);
        // not in the context of the actor, which polls all that is in it whenever anything happens
        actix_rt::spawn(async move {
            let _place = place;
            // apart from this future, so that one that waits is small
            let asking = async { Box::pin(contain_task(WHO, ask(&task, question))).await };
            let found = tokio::select! {
                found = task.line.admit(asking) => found,
                () = answer.closed() => return,
            };
            let found = match found {
                Some(Some(found)) => found,
                Some(None) => {
                    task.counters.keeper_panics.add(1);
                    Err(MembershipError::Unreachable)
                }
                None => Err(MembershipError::Unreachable),
            };
            answer.send(found).unwrap_or_default();
        });
    }
}

async fn ask<T, F>(task: &Task, question: impl FnOnce(Client) -> F) -> Result<T, MembershipError>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let lent = task.pool.lend().await.map_err(|error| {
        // those who asked too much at once need not fill the log as well
        let level = if matches!(error, LendError::Busy) { Level::Debug } else { Level::Warn };
        log::log!(level, error:% = error; "membership: a question cannot be asked");
        MembershipError::Unreachable
    })?;
    let client = Client::over(lent.clone(), Arc::clone(&task.calls), task.options.response);
    match question(client).await {
        Ok(answer) => Ok(answer),
        Err(Trouble::TooMany) => Err(MembershipError::TooMany),
        Err(Trouble::Redis(error)) => {
            log::warn!(error:% = error; "membership: a question has no answer");
            if is_elsewhere(&error) {
                task.pool.forget().await;
            }
            Err(MembershipError::Unreachable)
        }
    }
}

impl Handler<Letter<ListMembers>> for Keeper {
    type Result = ();

    fn handle(&mut self, list: Letter<ListMembers>, _ctx: &mut Self::Context) {
        self.take_question(list, |keeper, ListMembers { key, answer }| {
            let roster = keeper.task.calls.roster(&key);
            keeper.ask(answer, |client| async move {
                Ok(of_user(&key, answers::roster(client.ask(roster).await?)?))
            });
        });
    }
}

/// In the channel of a user, whose subscriptions are only counted, the user is there while there are any.
fn of_user(key: &ChannelKey, roster: Roster) -> Roster {
    let user = key.channel.user().filter(|_| roster.counts.subscriptions > 0);
    match user {
        Some(user) => Roster { members: vec![Member { user, info: "{}".into() }], ..roster },
        None => roster,
    }
}

impl Handler<Letter<CountChannel>> for Keeper {
    type Result = ();

    fn handle(&mut self, count: Letter<CountChannel>, _ctx: &mut Self::Context) {
        self.take_question(count, |keeper, CountChannel { key, answer }| {
            let (calls, announcer) = (&keeper.task.calls, Arc::clone(&keeper.task.announcer));
            let mut commands =
                vec![redis::cmd("TIME"), calls.subscriptions(&key), calls.users(&key)];
            if key.channel.kind().capabilities().caches {
                commands.push(calls.remembered(&key));
            }
            keeper.ask(answer, |client| async move {
                Ok(described(client.send(&commands).await?, &key, &*announcer)?)
            });
        });
    }
}

impl Handler<Letter<ListOccupied>> for Keeper {
    type Result = ();

    fn handle(&mut self, list: Letter<ListOccupied>, _ctx: &mut Self::Context) {
        self.take_question(list, |keeper, ListOccupied { app, prefix, users, answer }| {
            let task = keeper.task.clone();
            keeper.ask(answer, move |client| async move {
                let mut found: HashMap<ChannelName, Counts> = HashMap::new();
                let mut cursor = 0;
                loop {
                    let page = task.calls.list_page(&app, cursor, PAGE);
                    let (next, rows): (u64, Vec<(Vec<u8>, Value)>) = client.ask(page).await?;
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
                        return Err(Trouble::TooMany);
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
                        let answers = client.send(&commands).await?;
                        for ((_, counts), answer) in page.iter_mut().zip(answers) {
                            counts.users = read(answer?)?;
                        }
                    }
                }
                Ok(channels)
            });
        });
    }
}

/// Reads the answers to time, subscriptions, users and, of a cache channel, what it remembers.
fn described(
    answers: Vec<RedisResult<Value>>,
    key: &ChannelKey,
    announcer: &dyn Announcer,
) -> RedisResult<Described> {
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    let (seconds, micros): (u64, u64) = read(next()?)?;
    let at = seconds.saturating_mul(1_000_000).saturating_add(micros);
    let subscriptions: Option<u64> = read(next()?)?;
    let counts =
        Counts { subscriptions: subscriptions.unwrap_or_default(), users: read(next()?)?, at };
    let (told, ends): (Option<String>, Option<u64>) = match next()? {
        Value::Nil => (None, None),
        remembered => read(remembered)?,
    };
    let left = ends.and_then(|ends| ends.checked_sub(at / 1000)).filter(|left| *left > 0);
    let cached = told.zip(left).and_then(|(told, left)| {
        let data = announcer.data_of(key, &told)?;
        Some(CachedEvent { data, expires_in: Duration::from_millis(left) })
    });
    Ok(Described { counts, cached })
}

fn read<T: redis::FromRedisValue>(answer: Value) -> RedisResult<T> {
    Ok(redis::from_redis_value(answer)?)
}

#[cfg(test)]
mod tests;
