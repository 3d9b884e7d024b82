//! A redis-server of its own for each test: any free port, nothing on disk, killed when dropped.

use std::process::{Child, Command, Stdio};

use micronotifier_actors::redis::{Address, RedisOptions};
use redis::{Client, Connection, FromRedisValue};

use super::until;
use crate::support::process::free_port;

/// A running redis-server.
pub(crate) struct Redis {
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// Starts a server and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    /// As [`Self::start_with`], on a given port.
    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { port, arguments, child: None };
        server.restart();
        server
    }

    /// Starts it again on its port, after [`Self::kill`].
    pub(crate) fn restart(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            // a replica that is brought in step writes a file all the same
            .args(["--dir", env!("CARGO_TARGET_TMPDIR")])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
        let address = ("127.0.0.1", self.port);
        until("redis listens", || std::net::TcpStream::connect(address).is_ok());
    }

    /// Kills it: nothing is said good-bye to.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It fails only for a server that has ended.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Makes it stand still, its connections open.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Describes it to a node.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::single(local(self.port))
    }

    /// Opens a connection of the test's own.
    pub(crate) fn connection(&self) -> Connection {
        Client::open(("127.0.0.1", self.port)).unwrap().get_connection().unwrap()
    }

    /// Carries one command out.
    pub(crate) fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        command(&mut self.connection(), words)
    }
}

/// Carries one command out.
pub(crate) fn command<T: FromRedisValue>(connection: &mut Connection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// Returns an address of this machine.
pub(crate) fn local(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
