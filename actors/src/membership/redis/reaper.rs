//! Clears what dead nodes have left, so that nobody is shown who is gone.
//!
//! Every node has one, on its membership's arbiter, with a connection of its own: a large death delays no
//! lease. It declares dead whose lease has ended, claims one of the dead, and leaves on its behalf, channel
//! by channel. Each step may be repeated and may stop half-way: the next sweep, of this reaper or another,
//! goes on from what is left. It has no messages; at most one sweep is under way.

use std::collections::HashSet;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context};
use redis::{Cmd, RedisResult, Value};

use super::Task;
use super::answers::{self, Answer, Swept, Turn};
use super::calls::{Writer, milliseconds};
use super::client::{Client, ConnectError, is_closed, is_elsewhere};
use super::keeper::news;
use super::row::Said;
use crate::lifeline::{contain, contain_task};
use crate::membership::Counts;
use crate::protocol::{ChannelKey, UserId};
use crate::redis::read_entry;

/// Who it is in the log.
const WHO: &str = "membership reaper";
/// Lines of an index, or users of a channel, read in one go.
const PAGE: usize = 200;

/// See the module.
pub(super) struct Reaper {
    task: Arc<Task>,
    client: Option<Client>,
    looks: Looks,
    /// The last sweep failed, and the log says so.
    failed: bool,
}

/// Since when a reaper has looked for dead nodes without a longer pause, in milliseconds by the clock of Redis.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Looks {
    fn note(&mut self, at: u64, longest_pause: u64) {
        // a clock that was put back begins anew
        if at < self.last || at - self.last > longest_pause {
            self.first = at;
        }
        self.last = at;
    }
}

impl Reaper {
    pub(super) fn new(task: Arc<Task>) -> Self {
        Self { task, client: None, looks: Looks::default(), failed: false }
    }

    fn sweep_later(&mut self, ctx: &mut Context<Self>) {
        // not all nodes at the same moment
        let pause = self.task.options.sweep.mul_f64(rand::random_range(0.75..=1.0));
        ctx.run_later(pause, Self::sweep);
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let (task, client) = (Arc::clone(&self.task), self.client.take());
        let mut looks = self.looks;
        let swept = wrap_future(contain_task(WHO, async move {
            let swept = sweep(&task, client, &mut looks).await;
            (swept, looks)
        }));
        ctx.spawn(swept.map(|done, reaper: &mut Self, ctx| {
            let swept = done.map(|(swept, looks)| {
                reaper.looks = looks;
                swept
            });
            match swept {
                None => reaper.task.counters.reaper_panics.add(1),
                Some(Ok(client)) => {
                    reaper.client = Some(client);
                    reaper.failed = false;
                }
                Some(Err(error)) => {
                    reaper.task.counters.failures.add(1);
                    if !std::mem::replace(&mut reaper.failed, true) {
                        log::warn!(error:% = error; "membership: dead nodes are not cleared now");
                    }
                }
            }
            reaper.sweep_later(ctx);
        }));
    }
}

impl Actor for Reaper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep_later(ctx);
    }
}

/// Clears the dead, one after another, as long as there is one to claim. Returns the connection.
async fn sweep(
    task: &Task,
    client: Option<Client>,
    looks: &mut Looks,
) -> Result<Client, ConnectError> {
    let client = match client {
        Some(client) => client,
        None => task.open_client().await?,
    };
    // only at the first: a later one follows at once, and the living may be about to connect again
    let mut declaring = *looks;
    loop {
        let sweep = task.calls.sweep(&std::mem::take(&mut declaring), &task.options);
        let Swept { at, declared, claimed } = client.ask(sweep).await.and_then(answers::swept)?;
        looks.note(at, milliseconds(task.options.longest_look_away()));
        task.counters.declared_dead.add(declared);
        let Some(dead) = claimed else {
            return Ok(client);
        };
        log::warn!(incarnation:% = dead; "membership: a dead node is cleared");
        // what stays is tried again when the claim has ended
        if reap(task, &client, &dead).await? {
            task.counters.reaped.add(1);
        }
    }
}

/// Leaves every channel on behalf of a dead incarnation, then forgets it; `false` if something of it stays.
async fn reap(task: &Task, client: &Client, dead: &str) -> RedisResult<bool> {
    let (mut cursor, mut stays) = (0, false);
    loop {
        let page = task.calls.index_page(dead, cursor, PAGE);
        let (next, lines): Page = client.ask(page).await?;
        let mut channels = Vec::with_capacity(lines.len());
        for (line, _) in lines {
            match std::str::from_utf8(&line).ok().and_then(read_entry) {
                Some(key) => channels.push(key),
                None => client.ask(task.calls.drop_entry(dead, &line)).await?,
            }
        }
        for channels in channels.chunks(PAGE) {
            stays |= !leave(task, client, dead, channels).await?;
        }
        cursor = next;
        if cursor != 0 {
            continue;
        }
        if client.ask(task.calls.forget(dead)).await? {
            return Ok(true);
        }
        if stays {
            log::warn!(incarnation:% = dead; "membership: redis refused to clear something of a dead node");
            return Ok(false);
        }
    }
}

/// Lets all users of a dead incarnation leave these channels, then its subscriptions in them. What Redis refuses
/// costs its own channel, which stays in the index; `false` if there was one.
async fn leave(
    task: &Task,
    client: &Client,
    dead: &str,
    channels: &[ChannelKey],
) -> RedisResult<bool> {
    let mut kept = HashSet::new();
    let have_members = |key: &&ChannelKey| key.channel.kind().capabilities().members;
    let mut unread: Vec<_> = channels.iter().filter(have_members).map(|key| (key, 0)).collect();
    while !unread.is_empty() {
        let page = |(key, cursor): &(&_, _)| task.calls.rows_page(dead, key, *cursor, PAGE);
        let pages: Vec<Cmd> = unread.iter().map(page).collect();
        let (mut users, mut rest) = (Vec::new(), Vec::new());
        for ((key, _), page) in unread.into_iter().zip(client.send(&pages).await?) {
            let Some((next, rows)) = granted(task, page.and_then(page_of))? else {
                kept.insert(key);
                continue;
            };
            users.extend(rows.iter().filter_map(|(row, _)| Some((key, user_of(row, dead)?))));
            rest.extend((next != 0).then_some((key, next)));
        }
        for users in users.chunks(task.options.batch) {
            let leaving: Vec<Cmd> =
                users.iter().map(|(key, user)| leaving(task, dead, key, user)).collect();
            for ((key, _), answer) in users.iter().zip(client.send(&leaving).await?) {
                let Some(set) = granted(task, answer.and_then(answers::member_set))? else {
                    kept.insert(key);
                    continue;
                };
                let set = on_behalf(set)?;
                task.counters.users_expired.add(u64::from(set.user == Turn::Went));
                tell(task, key, set.occupancy, set.roster.counts);
            }
        }
        unread = rest;
    }
    let left: Vec<_> = channels.iter().filter(|key| !kept.contains(key)).collect();
    let count = |key: &&_| task.calls.count(Writer::Reaper(dead), key, 0, &*task.announcer);
    let counts: Vec<Cmd> = left.iter().map(count).collect();
    for (key, answer) in left.into_iter().zip(client.send(&counts).await?) {
        let Some(set) = granted(task, answer.and_then(answers::count_set))? else {
            kept.insert(key);
            continue;
        };
        let set = on_behalf(set)?;
        tell(task, key, set.occupancy, set.counts);
    }
    Ok(kept.is_empty())
}

/// Returns what Redis has answered; `None` if it refused this one command, the error if it takes no others either.
fn granted<T>(task: &Task, answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_elsewhere(&error) || is_closed(&error) => Err(error),
        Err(error) => {
            task.counters.failures.add(1);
            log::debug!(error:% = error; "membership: a command for a dead node is refused");
            Ok(None)
        }
    }
}

/// An answer to `HSCAN`: where it goes on, names and values.
type Page = (u64, Vec<(Vec<u8>, Value)>);

fn page_of(answer: Value) -> RedisResult<Page> {
    Ok(redis::from_redis_value(answer)?)
}

/// Tells the node what is left of a channel. A panic there costs what is told.
fn tell(task: &Task, key: &ChannelKey, occupancy: Turn, counts: Counts) {
    for event in news(key, occupancy, counts) {
        if contain(WHO, || (task.sink)(event)).is_none() {
            task.counters.reaper_panics.add(1);
        }
    }
}

/// A script leaves on behalf of nobody who lives.
fn on_behalf<T>(answer: Answer<T>) -> RedisResult<T> {
    match answer {
        Answer::Done(done) => Ok(done),
        Answer::Full | Answer::Gone | Answer::Refused => {
            Err((redis::ErrorKind::Client, "a node that was declared dead lives").into())
        }
    }
}

fn leaving(task: &Task, dead: &str, key: &ChannelKey, user: &UserId) -> Cmd {
    let said = Said { connections: 0, info: "{}".into(), limit: None, roster: false };
    task.calls.member(Writer::Reaper(dead), key, user, &said, &*task.announcer)
}

/// Returns the user of a row of this incarnation.
fn user_of(row: &[u8], incarnation: &str) -> Option<UserId> {
    let user = std::str::from_utf8(row).ok()?.strip_prefix(incarnation)?.strip_prefix('|')?;
    UserId::member(user).ok()
}
