//! Clears what dead nodes have left, so that nobody is shown who is gone.
//!
//! Every node has one, on its membership's arbiter, with a connection of its own: a large death delays no
//! lease. It declares dead whose lease has ended, claims one of the dead, and leaves on its behalf, channel
//! by channel. Each step may be repeated and may stop half-way: the next sweep, of this reaper or another,
//! goes on from what is left. It has no messages; at most one sweep is under way.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context};
use redis::{Cmd, RedisResult, Value};

use super::Task;
use super::answers::{self, Answer, Turn};
use super::calls::Writer;
use super::client::{Client, ConnectError};
use super::keys::read_entry;
use super::row::Said;
use crate::protocol::{ChannelKey, UserId};

/// Lines of an index, or users of a channel, read in one go.
const PAGE: usize = 200;

/// See the module.
pub(super) struct Reaper {
    task: Arc<Task>,
    client: Option<Client>,
}

impl Reaper {
    pub(super) fn new(task: Arc<Task>) -> Self {
        Self { task, client: None }
    }

    fn sweep_later(&mut self, ctx: &mut Context<Self>) {
        // not all nodes at the same moment
        let pause = self.task.options.sweep.mul_f64(rand::random_range(0.75..=1.0));
        ctx.run_later(pause, Self::sweep);
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let (task, client) = (Arc::clone(&self.task), self.client.take());
        let swept = wrap_future(async move { sweep(&task, client).await });
        ctx.spawn(swept.map(|swept, reaper: &mut Self, ctx| {
            match swept {
                Ok(client) => reaper.client = Some(client),
                Err(error) => {
                    reaper.task.counters.failures.add(1);
                    log::warn!(error:% = error; "membership: dead nodes are not cleared now");
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
async fn sweep(task: &Task, client: Option<Client>) -> Result<Client, ConnectError> {
    let client = match client {
        Some(client) => client,
        None => Client::open(&task.connect, Arc::clone(&task.calls), task.options.response).await?,
    };
    loop {
        let sweep = task.calls.sweep(task.options.claim);
        let (declared, claimed) = client.ask(sweep).await.and_then(answers::swept)?;
        task.counters.declared_dead.add(declared);
        let Some(dead) = claimed else {
            return Ok(client);
        };
        log::warn!(incarnation:% = dead; "membership: a dead node is cleared");
        reap(task, &client, &dead).await?;
        task.counters.reaped.add(1);
    }
}

/// Leaves every channel on behalf of a dead incarnation, then forgets it.
async fn reap(task: &Task, client: &Client, dead: &str) -> RedisResult<()> {
    loop {
        let page: (u64, Vec<(Vec<u8>, Value)>) =
            client.ask(task.calls.index_page(dead, PAGE)).await?;
        for (entry, _) in &page.1 {
            let channel = std::str::from_utf8(entry).ok().and_then(read_entry);
            match channel {
                Some(key) => leave(task, client, dead, &key).await?,
                None => client.ask(task.calls.drop_entry(dead, entry)).await?,
            }
        }
        if page.1.is_empty() && client.ask::<bool>(task.calls.forget(dead)).await? {
            return Ok(());
        }
    }
}

/// Lets all users of a dead incarnation leave a channel, then its subscriptions.
async fn leave(task: &Task, client: &Client, dead: &str, key: &ChannelKey) -> RedisResult<()> {
    let mut cursor = 0;
    loop {
        let page = task.calls.rows_page(dead, key, cursor, PAGE);
        let (next, rows): (u64, Vec<(String, Value)>) = client.ask(page).await?;
        let users = rows.iter().filter_map(|(row, _)| user_of(row, dead));
        let commands: Vec<Cmd> = users.map(|user| leaving(task, dead, key, &user)).collect();
        for answer in client.send(&commands).await? {
            let set = on_behalf(answers::member_set(answer?)?)?;
            task.counters.users_expired.add(u64::from(set.user == Turn::Went));
            task.tell(key, set.occupancy, set.roster.counts);
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let rest = task.calls.count(Writer::Reaper(dead), key, 0, &*task.announcer);
    let set = on_behalf(client.ask(rest).await.and_then(answers::count_set)?)?;
    task.tell(key, set.occupancy, set.counts);
    Ok(())
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
fn user_of(row: &str, incarnation: &str) -> Option<UserId> {
    let user = row.strip_prefix(incarnation)?.strip_prefix('|')?;
    UserId::member(user).ok()
}
