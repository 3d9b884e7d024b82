//! redis-servers and Sentinels of the world's own: nothing on disk, the node's user with no more rights than it needs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue};

use super::process::{Process, free_port};
use super::until;
use crate::Outcome;

/// Who the nodes are to Redis.
pub(crate) const USER: &str = "lab";
/// Their password.
pub(crate) const PASSWORD: &str = "redis-password-of-the-lab";
/// What a node may do, as it is published.
const ACL: &str = include_str!("../../../../docker/redis.acl");
/// After how long without an answer Sentinels believe that a master is down.
const DOWN_AFTER: Duration = Duration::from_secs(2);

/// A redis-server.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server and waits until it answers; a replica if it is given a master's port.
    pub(crate) async fn start(folder: &Path, master: Option<u16>) -> Outcome<Self> {
        let mut arguments = Vec::new();
        if let Some(master) = master {
            arguments.extend(["--replicaof".into(), "127.0.0.1".into(), master.to_string()]);
        }
        let (port, folder) = (free_port()?, folder.to_owned());
        let mut server = Self { port, folder, arguments, process: None };
        server.restart().await?;
        Ok(server)
    }

    /// Starts it again on its port, with nothing of what it had.
    pub(crate) async fn restart(&mut self) -> Outcome<()> {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(&self.folder)
            .args(["--user", USER, "on", &format!(">{PASSWORD}")])
            .args(rights())
            .args(&self.arguments);
        let output = self.folder.join(format!("redis-{}.log", self.port));
        self.process = Some(Process::start("redis-server", &mut command, &output)?);
        until("redis answers", async || self.ask::<String>(&["PING"]).await.is_ok()).await
    }

    /// Kills it; returns the signal that it ended by.
    pub(crate) fn kill(&mut self) -> Outcome<i32> {
        self.process.take().ok_or("it runs")?.kill()
    }

    /// Returns its process.
    pub(crate) fn process(&self) -> Outcome<&Process> {
        self.process.as_ref().ok_or_else(|| "redis does not run".into())
    }

    /// Returns how many lines of its log say this.
    pub(crate) fn said(&self, text: &str) -> Outcome<u64> {
        let log = std::fs::read_to_string(self.folder.join(format!("redis-{}.log", self.port)))?;
        Ok(log.lines().filter(|line| line.contains(text)).count() as u64)
    }

    /// Carries one command out.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Outcome<T> {
        ask(self.port, words).await
    }
}

/// Connects as the operator.
pub(crate) async fn connect(port: u16) -> Outcome<MultiplexedConnection> {
    let client = Client::open(("127.0.0.1", port))?;
    let connection = client.get_multiplexed_async_connection();
    Ok(tokio::time::timeout(Duration::from_secs(2), connection).await??)
}

/// Carries one command out, on a connection of its own.
pub(crate) async fn ask<T: FromRedisValue>(port: u16, words: &[&str]) -> Outcome<T> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    let mut connection = connect(port).await?;
    Ok(tokio::time::timeout(Duration::from_secs(5), command.query_async(&mut connection)).await??)
}

/// Returns the rules of the published list, without its names and passwords.
fn rights() -> Vec<&'static str> {
    let mut lines = ACL.lines().filter(|line| !line.trim_start().starts_with('#'));
    let line = lines.rfind(|line| line.contains("&mn:")).unwrap_or_default();
    line.split_whitespace().filter(|rule| rule.starts_with(['+', '-', '~', '&'])).collect()
}

/// A Sentinel.
#[derive(Debug)]
pub(crate) struct Sentinel {
    pub(crate) port: u16,
    _process: Process,
}

impl Sentinel {
    /// Starts one of those that watch a master; two must agree that it is down.
    pub(crate) async fn start(folder: &Path, master: u16) -> Outcome<Self> {
        let port = free_port()?;
        let file = folder.join(format!("sentinel-{port}.conf"));
        let down_after = DOWN_AFTER.as_millis();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds mymaster {down_after}\n\
             sentinel failover-timeout mymaster 3000\nsentinel parallel-syncs mymaster 1\n"
        );
        std::fs::write(&file, text)?;
        let output = folder.join(format!("sentinel-{port}.log"));
        let mut command = Command::new("redis-sentinel");
        let process = Process::start("redis-sentinel", command.arg(&file), &output)?;
        until("a Sentinel answers", async || ask::<String>(port, &["PING"]).await.is_ok()).await?;
        Ok(Self { port, _process: process })
    }

    /// Tells what it knows of the master.
    pub(crate) async fn knows(&self, field: &str) -> Outcome<String> {
        let facts: std::collections::HashMap<String, String> =
            ask(self.port, &["SENTINEL", "MASTER", "mymaster"]).await?;
        Ok(facts.get(field).cloned().ok_or("the Sentinel does not tell it")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_are_those_that_are_published() {
        let rights = rights();
        assert!(rights.contains(&"-@all") && rights.contains(&"+evalsha"), "{rights:?}");
        assert!(rights.contains(&"~mn:*") && rights.contains(&"&mn:*"), "{rights:?}");
    }
}
