//! One connection to Redis that knows the scripts. Every exchange has an end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::calls::Calls;
use crate::redis::Partition;

/// Why a connection could not be opened.
pub type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Opens a connection to the master of a partition, wherever it is now.
pub type Connect = Arc<
    dyn Fn(Partition) -> BoxFuture<'static, Result<MultiplexedConnection, ConnectError>>
        + Send
        + Sync,
>;

/// See the module. Clones share the connection.
#[derive(Clone)]
pub(super) struct Client {
    connection: MultiplexedConnection,
    calls: Arc<Calls>,
    patience: Duration,
}

impl Client {
    /// Opens a connection and has the server know the scripts.
    pub(super) async fn open(
        connect: &Connect,
        partition: Partition,
        calls: Arc<Calls>,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let connection = timeout(patience, connect(partition)).await??;
        let client = Self { connection, calls, patience };
        timeout(patience, client.load()).await??;
        Ok(client)
    }

    /// Makes a client of a connection that may lead to a server that does not know the scripts yet.
    pub(super) fn over(
        connection: MultiplexedConnection,
        calls: Arc<Calls>,
        patience: Duration,
    ) -> Self {
        Self { connection, calls, patience }
    }

    /// Sends commands in one go. Returns their answers in the same order; an error is the connection's.
    pub(super) async fn send(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let exchange = timeout(self.patience, self.exchange(commands));
        exchange.await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends one command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: Cmd) -> RedisResult<T> {
        let answer = self.send(&[command]).await?.pop().unwrap_or_else(|| Err(late()))?;
        Ok(redis::from_redis_value(answer)?)
    }

    /// Sends commands and tells the server the scripts anew where it has forgotten them.
    async fn exchange(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut answers = self.pipeline(commands.iter()).await?;
        let forgotten = |answer: &RedisResult<Value>| {
            answer.as_ref().is_err_and(|error| is(error, ServerErrorKind::NoScript))
        };
        if !answers.iter().any(forgotten) {
            return Ok(answers);
        }
        self.load().await?;
        let again = answers.iter_mut().zip(commands).filter(|(answer, _)| forgotten(answer));
        let (places, commands): (Vec<_>, Vec<_>) = again.unzip();
        let second = self.pipeline(commands.into_iter()).await?;
        for (place, answer) in places.into_iter().zip(second) {
            *place = answer;
        }
        Ok(answers)
    }

    async fn load(&self) -> RedisResult<()> {
        for answer in self.pipeline(self.calls.load().iter()).await? {
            answer?;
        }
        Ok(())
    }

    async fn pipeline(
        &self,
        commands: impl Iterator<Item = &Cmd>,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        pipeline.ignore_errors().query_async(&mut self.connection.clone()).await
    }
}

/// Tells whether an error says that this server takes no writes, now or any more.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    let kinds = [
        ServerErrorKind::ReadOnly,
        ServerErrorKind::MasterDown,
        ServerErrorKind::BusyLoading,
        ServerErrorKind::Moved,
        ServerErrorKind::ClusterDown,
    ];
    kinds.into_iter().any(|kind| is(error, kind))
}

/// Tells whether an error says that this server takes no commands of ours for now, or none that write.
pub(super) fn is_closed(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOREPLICAS" | "MISCONF" | "BUSY" | "NOAUTH" | "NOPERM"))
}

fn is(error: &RedisError, kind: ServerErrorKind) -> bool {
    error.kind() == ErrorKind::Server(kind)
}

fn late() -> RedisError {
    (ErrorKind::Io, "no answer in time").into()
}
