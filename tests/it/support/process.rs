//! The program itself, run with a configuration file, its log kept.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use super::stream::Stream;
use super::{eventually, unique};

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Returns a path in the target directory that no other test uses.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("{}-{}", std::process::id(), unique(name)))
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_micronotifier"))
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Configured {
    child: Child,
    port: u16,
    file: PathBuf,
    log: Option<JoinHandle<String>>,
}

impl Configured {
    /// Starts the program with a configuration file and waits until its port answers.
    pub(crate) fn start(file: &Value, environment: &[(&str, &str)], port: u16) -> Self {
        let mut program = Self::spawn(program(), file, environment, port, Stdio::piped());
        program.read_log();
        program.listening()
    }

    /// As [`Self::start`], with a log that goes elsewhere; through a pipe, it is not read before [`Self::read_log`].
    pub(crate) fn start_logging(file: &Value, port: u16, log: Stdio) -> Self {
        Self::spawn(program(), file, &[], port, log).listening()
    }

    /// Starts the program with a configuration file and so many file descriptors. It is not waited for.
    pub(crate) fn start_confined(file: &Value, port: u16, descriptors: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"ulimit -n "$0" && exec "$@""#]);
        shell.arg(descriptors.to_string()).arg(program().get_program());
        let mut program = Self::spawn(shell, file, &[], port, Stdio::piped());
        program.read_log();
        program
    }

    fn spawn(
        mut program: Command,
        file: &Value,
        environment: &[(&str, &str)],
        port: u16,
        log: Stdio,
    ) -> Self {
        let path = scratch("config.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let child = program
            .arg("-c")
            .arg(&path)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port, file: path, log: None }
    }

    /// Begins to read the pipe that the program logs to.
    pub(crate) fn read_log(&mut self) {
        let mut stderr = self.child.stderr.take().unwrap();
        self.log = Some(std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        }));
    }

    fn listening(mut self) -> Self {
        eventually("the program listens", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{status}: {}", self.take_log());
            }
            TcpStream::connect(self.address()).is_ok()
        });
        self
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Opens a TCP connection.
    pub(crate) fn stream(&self) -> Stream {
        Stream::connect(self.address())
    }

    /// Asks the program to end, as an operator does.
    pub(crate) fn terminate(&self) {
        let status =
            Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; returns how it ended and what was read of its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut ended = None;
        eventually("the program ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        let log = self.take_log();
        (ended.unwrap(), log)
    }

    fn take_log(&mut self) -> String {
        self.log.take().map(|log| log.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // They fail only for a program that has ended and a file that is gone.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.file).ok();
    }
}
