//! What the subscriber asks Redis, and the answers as values: nothing here knows a channel's state.

use futures_util::future::join;
use redis::aio::MultiplexedConnection;
use redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerError, ServerErrorKind,
    ToRedisArgs, Value,
};

use super::office::Office;
use super::position::Question;
use super::topic::Epoch;
use crate::redis::{Partition, Scripts};

/// Events in one answer about a hole.
const PAGE: usize = 100;
/// Bytes of them.
const PAGE_BYTES: usize = 1 << 20;

/// A channel to be followed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) topic: String,
    pub(super) meta: String,
    pub(super) cached: String,
}

/// Keys of a channel's positions.
#[derive(Debug)]
pub(super) struct History {
    pub(super) meta: String,
    pub(super) stream: String,
}

/// Epoch and serial.
type Position = (Option<String>, Option<u64>);
/// What `lua/follow.lua` returns: epoch, serial, envelope, milliseconds.
type Found = (Option<String>, Option<u64>, Option<Vec<u8>>, i64);
/// What `lua/repair.lua` returns: epoch, serial, ids and envelopes by turns, whether it was cut short.
type Kept = (Option<String>, Option<u64>, Vec<Vec<u8>>, bool);

/// Something to ask.
#[derive(Debug)]
pub(super) enum Query {
    /// Subscribe, and then say where each channel stands and what it remembers.
    Follow(Vec<Wanted>),
    /// Unsubscribe from these topics.
    Unfollow(Vec<String>),
    /// Say where each channel stands: topic and key of its position.
    Compare(Vec<(String, String)>),
    /// Say what a channel's history has.
    Page { topic: String, history: History, question: Question },
}

/// Where a channel stands: epoch and last serial.
pub(super) type Stands = Option<(Epoch, u64)>;

/// What is known of a channel at the moment of its subscription.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) topic: String,
    pub(super) stands: Stands,
    /// The envelope that it remembers, and for how many milliseconds.
    pub(super) remembered: Option<(String, u64)>,
}

/// A page of a history.
#[derive(Debug)]
pub(super) struct PageText {
    pub(super) ticket: u64,
    pub(super) stands: Stands,
    pub(super) entries: Vec<(u64, Vec<u8>)>,
    pub(super) full: bool,
}

/// What was answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// What was found, and topics whose keys are on their way to another server: to be asked for again.
    Followed(Vec<Followed>, Vec<String>),
    Unfollowed(Vec<String>),
    Compared(Vec<(String, Stands)>),
    Page {
        topic: String,
        page: PageText,
    },
    Failed(RedisError),
}

impl Query {
    /// Asks. What is to be sent is sent at the first poll.
    pub(super) async fn ask(self, connection: MultiplexedConnection, office: &Office) -> Answer {
        let (scripts, partition) = (office.link.scripts(), office.partition);
        let answer = match self {
            Self::Follow(wanted) => follow(connection, partition, scripts, wanted).await,
            Self::Unfollow(topics) => unfollow(connection, partition, topics).await,
            Self::Compare(wanted) => compare(connection, wanted).await,
            Self::Page { topic, history, question } => {
                page(connection, scripts, topic, history, question).await
            }
        };
        answer.unwrap_or_else(Answer::Failed)
    }
}

/// Subscribes, and asks right behind it on the same connection: whatever comes after the answer is on the topic.
async fn follow(
    mut connection: MultiplexedConnection,
    partition: Partition,
    scripts: &Scripts,
    wanted: Vec<Wanted>,
) -> RedisResult<Answer> {
    let topics: Vec<&str> = wanted.iter().map(|wanted| wanted.topic.as_str()).collect();
    let mut pipeline = redis::pipe();
    for channel in &wanted {
        pipeline.add_command(scripts.follow.call(&[&channel.meta, &channel.cached]));
    }
    let mut reader = connection.clone();
    let (subscribed, read) = join(
        subscribe(&mut connection, partition, &topics),
        run(&mut reader, scripts, &mut pipeline),
    )
    .await;
    subscribed?;
    let mut followed = Vec::with_capacity(wanted.len());
    let mut later = Vec::new();
    for (wanted, value) in wanted.into_iter().zip(read?) {
        if is_on_its_way(&value) {
            later.push(wanted.topic);
            continue;
        }
        let Some((epoch, serial, envelope, left)) = ours::<Found>(value)? else {
            log::warn!(topic = wanted.topic; "redis has something else than ours of a channel: it is not followed");
            continue;
        };
        let envelope = envelope.and_then(|envelope| String::from_utf8(envelope).ok());
        let left = u64::try_from(left).ok().filter(|left| *left > 0);
        let (topic, stands) = (wanted.topic, stands(epoch, serial));
        followed.push(Followed { topic, stands, remembered: envelope.zip(left) });
    }
    Ok(Answer::Followed(followed, later))
}

async fn unfollow(
    mut connection: MultiplexedConnection,
    partition: Partition,
    topics: Vec<String>,
) -> RedisResult<Answer> {
    if partition.is_sharded() {
        one_by_one(&mut connection, "SUNSUBSCRIBE", &topics).await?;
    } else {
        connection.unsubscribe(&topics).await?;
    }
    Ok(Answer::Unfollowed(topics))
}

/// Subscribes to topics.
pub(super) async fn subscribe(
    connection: &mut MultiplexedConnection,
    partition: Partition,
    topics: &[&str],
) -> RedisResult<()> {
    if partition.is_sharded() {
        one_by_one(connection, "SSUBSCRIBE", topics).await
    } else {
        connection.subscribe(topics).await
    }
}

/// Sends a command for each topic, for each of them is confirmed by itself.
async fn one_by_one(
    connection: &mut MultiplexedConnection,
    command: &str,
    topics: &[impl ToRedisArgs],
) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    for topic in topics {
        pipeline.cmd(command).arg(topic);
    }
    pipeline.query_async::<Vec<Value>>(connection).await?;
    Ok(())
}

async fn compare(
    mut connection: MultiplexedConnection,
    wanted: Vec<(String, String)>,
) -> RedisResult<Answer> {
    let mut pipeline = redis::pipe();
    for (_, meta) in &wanted {
        pipeline.cmd("HMGET").arg(meta).arg("e").arg("s");
    }
    let values: Vec<Value> = pipeline.ignore_errors().query_async(&mut connection).await?;
    let mut compared = Vec::with_capacity(values.len());
    for ((topic, _), value) in wanted.into_iter().zip(values) {
        if is_on_its_way(&value) {
            // it is compared again in a while
            continue;
        }
        if let Some((epoch, serial)) = ours::<Position>(value)? {
            compared.push((topic, stands(epoch, serial)));
        }
    }
    Ok(Answer::Compared(compared))
}

async fn page(
    mut connection: MultiplexedConnection,
    scripts: &Scripts,
    topic: String,
    history: History,
    question: Question,
) -> RedisResult<Answer> {
    let mut command = scripts.repair.call(&[&history.meta, &history.stream]);
    command.arg(question.from).arg(PAGE).arg(PAGE_BYTES);
    let mut pipeline = redis::pipe();
    pipeline.add_command(command);
    let value = run(&mut connection, scripts, &mut pipeline).await?.pop().unwrap_or(Value::Nil);
    let (epoch, serial, flat, cut) = ours::<Kept>(value)?.unwrap_or_default();
    let mut flat = flat.into_iter();
    let mut entries = Vec::with_capacity(flat.len() / 2);
    while let (Some(id), Some(envelope)) = (flat.next(), flat.next()) {
        entries.extend(serial_of(&id).map(|serial| (serial, envelope)));
    }
    let full = cut || entries.len() >= PAGE;
    let page = PageText { ticket: question.ticket, stands: stands(epoch, serial), entries, full };
    Ok(Answer::Page { topic, page })
}

/// Runs calls of scripts that only read, and returns an answer or an error of each; a server that has
/// forgotten the scripts is told again.
async fn run(
    connection: &mut MultiplexedConnection,
    scripts: &Scripts,
    pipeline: &mut Pipeline,
) -> RedisResult<Vec<Value>> {
    let pipeline = pipeline.ignore_errors();
    let values: Vec<Value> = pipeline.query_async(connection).await?;
    if !values.iter().any(is_forgotten) {
        return Ok(values);
    }
    scripts.load(connection).await?;
    pipeline.query_async(connection).await
}

fn is_forgotten(value: &Value) -> bool {
    let is_unknown = |error: &ServerError| error.kind() == Some(ServerErrorKind::NoScript);
    matches!(value, Value::ServerError(error) if is_unknown(error))
}

/// Reads an answer about one channel; `None` where its keys hold what no node writes, so that they do no
/// harm to other channels.
fn ours<T: FromRedisValue>(value: Value) -> RedisResult<Option<T>> {
    match value {
        // the server ended a subscription unasked: this is the answer to nothing, and the next to another question
        Value::Push { .. } => {
            Err((ErrorKind::UnexpectedReturnType, "what came is no answer").into())
        }
        Value::ServerError(error) if is_about_keys(&error) => Ok(None),
        value => Ok(T::from_redis_value(value.extract_error()?).ok()),
    }
}

/// Tells whether some of the keys are with this server and some with the one that the partition is moved to.
fn is_on_its_way(value: &Value) -> bool {
    let kinds = [ServerErrorKind::Ask, ServerErrorKind::TryAgain].map(Some);
    matches!(value, Value::ServerError(error) if kinds.contains(&error.kind()))
}

/// Tells whether a command or script stumbled over what a key holds.
fn is_about_keys(error: &ServerError) -> bool {
    error.code() == "WRONGTYPE" || error.kind() == Some(ServerErrorKind::ResponseError)
}

fn stands(epoch: Option<String>, serial: Option<u64>) -> Stands {
    let epoch = Epoch::parse(&epoch?)?;
    Some((epoch, serial?))
}

/// Returns the serial in the id of an entry, `⟨serial⟩-0`.
fn serial_of(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id).ok()?.strip_suffix("-0")?.parse().ok()
}
