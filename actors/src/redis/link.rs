//! Opens connections to Redis: a single server, or the master that Sentinels or a cluster name.
//!
//! Where the server is, is asked anew for every connection, and each is checked to be a master's.
//! A connection speaks RESP3, gives up after fixed times and is never reopened behind anybody's back.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    ServerErrorKind, TlsCertificates, Value,
};

use super::keys::Keys;
use super::options::{Address, RedisOptions, Topology};
use super::partition::Partition;
use super::script::Scripts;

/// How long a connection may take to open, its greeting included.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a command may take.
const RESPONSE: Duration = Duration::from_secs(2);
/// What the client library says of a database that it cannot select.
const NO_SUCH_DATABASE: &str = "refused to switch database";
/// Commands that may wait to be written: more than are ever in flight, so that none waits for room and order holds.
const PIPELINE: usize = 4096;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody answers, or not in time, or who answers is no master now. Worth another try.
    #[error("redis at {place} cannot be reached: {cause}")]
    Away {
        /// Whom was asked.
        place: String,
        /// What went wrong.
        cause: String,
    },
    /// It answered, and will answer the same again: the configuration must change.
    #[error("redis at {place} cannot be used: {cause}")]
    Refused {
        /// Whom was asked.
        place: String,
        /// What it said. Never holds a secret.
        cause: String,
    },
}

/// Opens connections to the master of one partition.
pub(crate) struct Link {
    pub(super) options: RedisOptions,
    pub(super) partition: Partition,
    scripts: Scripts,
    /// Which of the addresses is asked first: another one after each failure, lest one that knows only
    /// what was be asked for ever.
    pub(super) turn: AtomicUsize,
}

impl Link {
    pub(crate) fn new(options: RedisOptions, partition: Partition) -> Self {
        if options.secure {
            // an error means that one is installed already
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        Self { options, partition, scripts: Scripts::new(partition), turn: AtomicUsize::new(0) }
    }

    /// Opens a connection to the master, which is told the scripts; what it sends unasked goes to `pushes`.
    ///
    /// # Errors
    /// [`LinkError`] says whether another try makes sense.
    pub(crate) async fn open(
        &self,
        pushes: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection, LinkError> {
        let opened = self.open_once(pushes).await;
        if opened.is_err() {
            self.ask_another_first();
        }
        opened
    }

    async fn open_once(
        &self,
        pushes: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection, LinkError> {
        let address = self.master().await?;
        let info = self.greeting();
        let config = config().set_push_sender(pushes);
        let mut connection = self.connect(&address, info, &config).await?;
        let role: Value = ask(&address, &mut connection, &redis::cmd("ROLE")).await?;
        if !is_master(&role) {
            let cause = "it is a replica, not a master".to_owned();
            return Err(LinkError::Away { place: address.to_string(), cause });
        }
        if self.options.topology == Topology::Cluster {
            self.check_partition(&address, &mut connection).await?;
        } else {
            check_is_no_cluster(&address, &mut connection).await?;
        }
        let loaded = self.scripts.load(&mut connection).await;
        loaded.map_err(|error| judge(&address, &error))?;
        Ok(connection)
    }

    /// Finds the master, for who opens connections of its own: how to reach and how to greet it. To be called
    /// again when that was of no use: then another address is asked first.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn locate(&self) -> Result<ConnectionInfo, LinkError> {
        let address = self.master().await?;
        self.ask_another_first();
        let client = self.client(&address, self.greeting());
        let client = client.map_err(|error| judge(&address, &error))?;
        Ok(client.get_connection_info().clone())
    }

    /// Asks something in the partition, which only its master answers, and only while the cluster is up;
    /// and publishes something that nobody hears, which shows whether the server knows how.
    async fn check_partition(
        &self,
        address: &Address,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), LinkError> {
        let keys = Keys::new(&self.options.prefix, self.partition);
        let mut command = redis::cmd("HGET");
        command.arg(keys.nodes()).arg("");
        let answer = command.query_async::<Value>(connection).await;
        match answer {
            // it is the master's, which is giving it away now
            Err(error) if is_server(&error, ServerErrorKind::Ask) => {}
            Err(error) => return Err(judge(address, &error)),
            Ok(_) => {}
        }
        let mut command = redis::cmd(self.partition.publish());
        command.arg(keys.probe("")).arg("");
        ask::<Value>(address, connection, &command).await?;
        Ok(())
    }

    /// Returns the scripts, which every server that a connection leads to has been told.
    pub(crate) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// Returns how to greet the server.
    fn greeting(&self) -> RedisConnectionInfo {
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name()
            .set_db(i64::from(self.options.database));
        self.authenticated(info)
    }

    pub(super) fn authenticated(&self, mut info: RedisConnectionInfo) -> RedisConnectionInfo {
        if !self.options.username.is_empty() {
            info = info.set_username(&self.options.username);
        }
        if !self.options.password.is_empty() {
            info = info.set_password(&self.options.password);
        }
        info
    }

    pub(super) async fn connect(
        &self,
        address: &Address,
        info: RedisConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, LinkError> {
        let client = self.client(address, info).map_err(|error| judge(address, &error))?;
        let connection = client.get_multiplexed_async_connection_with_config(config).await;
        connection.map_err(|error| self.judge_greeting(address, &error))
    }

    /// As [`judge`], for a connection that does not open: here its options may be at fault.
    fn judge_greeting(&self, address: &Address, error: &RedisError) -> LinkError {
        let mut judged = judge(address, error);
        let (LinkError::Away { cause, .. } | LinkError::Refused { cause, .. }) = &mut judged;
        if error.to_string().contains(NO_SUCH_DATABASE) {
            let said = error.detail().unwrap_or("it says no more");
            let is_missing = said.contains("out of range");
            let what = if is_missing { "is not there" } else { "cannot be selected" };
            *cause = format!("redis.database: {} {what} ({said})", self.options.database);
        } else if self.options.secure && error.is_timeout() {
            cause.push_str(" (redis.secure is on: does that port speak TLS?)");
        }
        judged
    }

    fn client(&self, address: &Address, info: RedisConnectionInfo) -> Result<Client, RedisError> {
        let Address { host, port } = address.clone();
        let addr = if self.options.secure {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info: ConnectionInfo =
            addr.into_connection_info()?.set_tcp_settings(tcp).set_redis_settings(info);
        match &self.options.authority {
            Some(pem) if self.options.secure => {
                let certificates =
                    TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        }
    }
}

/// Asks a server that belongs to a cluster where `cluster` was not said: it would answer for a part of all.
async fn check_is_no_cluster(
    address: &Address,
    connection: &mut MultiplexedConnection,
) -> Result<(), LinkError> {
    let mut command = redis::cmd("INFO");
    command.arg("cluster");
    let info: RedisResult<String> = command.query_async(connection).await;
    match info {
        Ok(info) if info.contains("cluster_enabled:1") => Err(LinkError::Refused {
            place: address.to_string(),
            cause: "it is a node of a Redis Cluster, and redis.cluster is not true".to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::Io => Err(judge(address, &error)),
        // a server that cannot tell is none
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Carries a command out.
pub(super) async fn ask<T: FromRedisValue>(
    address: &Address,
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<T, LinkError> {
    command.query_async(connection).await.map_err(|error| judge(address, &error))
}

fn is_server(error: &RedisError, kind: ServerErrorKind) -> bool {
    error.kind() == ErrorKind::Server(kind)
}

/// Returns how long a connection waits for what.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(RESPONSE))
        .set_pipeline_buffer_size(PIPELINE)
}

/// Reads the answer to `ROLE`.
pub(crate) fn is_master(role: &Value) -> bool {
    let Value::Array(parts) = role else {
        return false;
    };
    match parts.first() {
        Some(Value::BulkString(name)) => name == b"master",
        Some(Value::SimpleString(name)) => name == "master",
        _ => false,
    }
}

/// Tells an outage from a mistake of the configuration.
fn judge(address: &Address, error: &RedisError) -> LinkError {
    let place = address.to_string();
    let passing = match error.kind() {
        ErrorKind::Io => !is_untrusted(error),
        _ if is_overload(error) => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ReadOnly
        ),
        _ => false,
    };
    let cause = match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => format!(
            "it refuses the user or the password ({}): check redis.username and redis.password",
            without_arguments(error)
        ),
        (_, Some("NOAUTH")) => "it asks for a password: set redis.password-file".to_owned(),
        (ErrorKind::Parse, _) => "what answers there is not Redis".to_owned(),
        _ => without_arguments(error),
    };
    if passing { LinkError::Away { place, cause } } else { LinkError::Refused { place, cause } }
}

/// Tells whether the server has no room or no time now: for a connection, a write, or anything but its script.
fn is_overload(error: &RedisError) -> bool {
    matches!(error.code(), Some("OOM" | "BUSY" | "MISCONF" | "NOREPLICAS"))
        || error.to_string().contains("max number of clients")
}

/// Returns what is wrong, but for the arguments that a server repeats when it does not know a command: the
/// greeting has the password among them.
pub(crate) fn without_arguments(error: &RedisError) -> String {
    let text = error.to_string();
    text.split_once(", with args").map_or(text.as_str(), |(text, _)| text).to_owned()
}

/// Tells whether TLS failed for who the server is, and not for a broken connection.
fn is_untrusted(error: &RedisError) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[actix::test]
    async fn a_server_that_never_greets_back_is_asked_about_tls() {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let options = RedisOptions::single(Address { host: "127.0.0.1".to_owned(), port });
        let told = async |secure| {
            let link = Link::new(RedisOptions { secure, ..options.clone() }, Partition::WHOLE);
            link.open(|_| Ok::<(), ()>(())).await.err().unwrap()
        };
        let (plain, secure) = tokio::join!(told(false), told(true));
        assert!(
            matches!(plain, LinkError::Away { .. }) && matches!(secure, LinkError::Away { .. })
        );
        let question = "(redis.secure is on: does that port speak TLS?)";
        assert!(secure.to_string().ends_with(question), "{secure}");
        assert!(!plain.to_string().contains("TLS"), "{plain}");
    }

    #[test]
    fn what_a_server_repeats_of_the_greeting_is_not_told() {
        let text = "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'the-secret'";
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        let error =
            RedisError::from((kind, "An error was signalled by the server", text.to_owned()));
        let address = Address { host: "h".to_owned(), port: 1 };
        let told = judge(&address, &error).to_string();
        assert!(told.contains("unknown command 'HELLO'") && !told.contains("the-secret"), "{told}");
    }
}
