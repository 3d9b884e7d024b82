//! A redis-server of a test's own, on a free port, killed when it is dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Commands as _, Connection, IntoConnectionInfo as _, RedisConnectionInfo};

/// How long anything may take that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    process: Child,
    port: u16,
    /// Where a server leaves what it sends to a replica, which it would read when it starts.
    folder: PathBuf,
}

impl Server {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("membership-{}-{port}", std::process::id()));
        let server = Self { process: spawn(port, &folder), port, folder };
        server.wait();
        server
    }

    /// Kills it as a crash would and starts it again, with nothing left in it.
    pub(crate) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.port, &self.folder);
        self.wait();
    }

    /// Makes it the replica of another and waits until it has all that the other has.
    pub(crate) fn follow(&self, master: &Self) {
        self.replicate("127.0.0.1", &master.port.to_string());
        let mut redis = self.connection();
        until("the replica has all", || {
            let info: String = redis::cmd("INFO").arg("replication").query(&mut redis).unwrap();
            info.contains("master_link_status:up")
        });
    }

    /// Makes it the replica of nobody who answers, so that it lags.
    pub(crate) fn lag(&self) {
        self.replicate("127.0.0.1", "1");
    }

    /// Makes it a master.
    pub(crate) fn promote(&self) {
        self.replicate("NO", "ONE");
    }

    fn replicate(&self, host: &str, port: &str) {
        let mut redis = self.connection();
        redis::cmd("REPLICAOF").arg(host).arg(port).exec(&mut redis).unwrap();
    }

    /// Suspends or resumes it.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }

    pub(crate) fn client(&self, user: Option<(&str, &str)>) -> Client {
        let mut settings = RedisConnectionInfo::default();
        if let Some((user, password)) = user {
            settings = settings.set_username(user).set_password(password);
        }
        let address = format!("redis://127.0.0.1:{}", self.port);
        Client::open(address.into_connection_info().unwrap().set_redis_settings(settings)).unwrap()
    }

    pub(crate) fn connection(&self) -> Connection {
        self.client(None).get_connection().unwrap()
    }

    fn wait(&self) {
        until("redis-server answers", || {
            self.client(None).get_connection().is_ok_and(|mut redis| redis.ping::<String>().is_ok())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn spawn(port: u16, folder: &Path) -> Child {
    // with nothing in it
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    std::fs::create_dir(folder).unwrap();
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Waits for something, looking again every few milliseconds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
