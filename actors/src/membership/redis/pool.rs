//! Connections for questions: a long list never stands before a join.
//!
//! They lead to the master that was found last. When one of them cannot be had, or its server says that it is
//! no master any more, the master is looked for anew.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, Hook, HookError, Manager, PoolError, Runtime, TimeoutType};
use futures_util::future::BoxFuture;
use redis::{ConnectionInfo, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::client::ConnectError;
use crate::redis::{Partition, connection_config, is_master, without_arguments};

/// The most connections. Each is opened when it is needed first.
const SIZE: usize = 4;
/// How long a question waits for one that is free.
const WAIT: Duration = Duration::from_secs(2);
/// How long the master may take to be found, a connection to open, or to show that it is still there.
const OPEN: Duration = Duration::from_secs(2);

/// Says how to reach the Redis that takes the writes of a partition, wherever it is now.
pub type Locate = Arc<
    dyn Fn(Partition) -> BoxFuture<'static, Result<ConnectionInfo, ConnectError>> + Send + Sync,
>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum LendError {
    /// None was free in time.
    #[error("too many questions at once")]
    Busy,
    /// None can be opened.
    #[error(transparent)]
    Away(#[from] ConnectError),
}

/// See the module.
pub(super) struct Pool {
    partition: Partition,
    locate: Locate,
    /// To the master that was found last.
    found: Mutex<Option<deadpool_redis::Pool>>,
}

impl Pool {
    pub(super) fn new(partition: Partition, locate: Locate) -> Self {
        Self { partition, locate, found: Mutex::new(None) }
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// [`LendError`].
    pub(super) async fn lend(&self) -> Result<Connection, LendError> {
        match self.of_master().await?.get().await {
            Ok(lent) => Ok(lent),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(LendError::Busy),
            Err(error) => {
                self.forget().await;
                Err(LendError::Away(match error {
                    PoolError::Backend(error) => without_arguments(&error).into(),
                    error => error.into(),
                }))
            }
        }
    }

    /// Has the master looked for by the next question.
    pub(super) async fn forget(&self) {
        *self.found.lock().await = None;
    }

    async fn of_master(&self) -> Result<deadpool_redis::Pool, ConnectError> {
        let mut found = self.found.lock().await;
        if let Some(pool) = &*found {
            return Ok(pool.clone());
        }
        let place = timeout(OPEN, (self.locate)(self.partition)).await??;
        let manager = Manager::new_with_config(place, connection_config())?;
        let pool = deadpool_redis::Pool::builder(manager)
            .max_size(SIZE)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(OPEN))
            .recycle_timeout(Some(OPEN))
            .runtime(Runtime::Tokio1)
            .post_create(only_masters())
            .build()?;
        *found = Some(pool.clone());
        Ok(pool)
    }
}

/// Refuses a connection to a replica.
fn only_masters() -> Hook {
    Hook::async_fn(|connection, _| {
        Box::pin(async move {
            let role = redis::cmd("ROLE").query_async::<Value>(connection).await;
            let role = role.map_err(HookError::Backend)?;
            let refusal = "it is a replica, not a master";
            if is_master(&role) { Ok(()) } else { Err(HookError::message(refusal)) }
        })
    })
}
