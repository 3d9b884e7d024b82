//! A program that the world consists of: started, signalled, killed for certain when dropped.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Outcome;

/// Where servers listen: below the ports that clients are given, so that a server that comes back finds its own free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Returns a port that is free, another one each time.
///
/// # Errors
/// None is.
pub(crate) fn free_port() -> Outcome<u16> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // worlds beside this one begin elsewhere
    let span = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id() % u32::from(span))?;
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first.wrapping_mul(7) % span + step % span) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program whose output goes to a file, after what is there already.
    ///
    /// # Errors
    /// It is not installed, or the file cannot be written.
    pub(crate) fn start(name: &str, command: &mut Command, output: &Path) -> Outcome<Self> {
        let file = File::options().create(true).append(true).open(output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Kills it without a word; returns the signal that it ended by.
    ///
    /// # Errors
    /// It had ended already, by itself.
    pub(crate) fn kill(&mut self) -> Outcome<i32> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("{} had ended by itself: {status}", self.name).into());
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        status.signal().ok_or_else(|| format!("{} ended with {status}", self.name).into())
    }

    /// Makes it stand still, its connections open.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub(crate) fn pause(&self) -> Outcome<()> {
        self.signal("-STOP")
    }

    /// Tells whether it stands still.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn stands_still(&self) -> Outcome<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
        Ok(state == Some('T'))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub(crate) fn resume(&self) -> Outcome<()> {
        self.signal("-CONT")
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// With its status.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("{} has ended: {status}", self.name).into()),
            None => Ok(()),
        }
    }

    fn signal(&self, signal: &str) -> Outcome<()> {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status()?;
        if status.success() { Ok(()) } else { Err(format!("no {signal} for {}", self.name).into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // They fail only for a program that has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
