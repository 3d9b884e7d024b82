//! A program that the world consists of: started, signalled, killed for certain when dropped.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// Where servers listen: below the ports that clients are given, so that a server that comes back finds its own free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How long one that is asked to end may take before it is killed.
const LAST: Duration = Duration::from_secs(3);

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

    /// Asks it to end, so that it ends its own children too, and waits for that for at most [`LAST`].
    pub(crate) fn end(&mut self) {
        let asked = self.signal("-TERM").is_ok();
        let begin = Instant::now();
        while asked && begin.elapsed() < LAST && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) -> Outcome<()> {
        let id = self.child.id().to_string();
        // the shell's own: not every system has a program of that name
        let status =
            Command::new("sh").args(["-c", r#"kill "$@""#, "kill", signal, &id]).status()?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn what_is_asked_to_end_ends_its_children() {
        let folder = std::env::temp_dir().join(format!("lab-process-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let output = folder.join("output");
        let script = "sleep 600 & trap 'kill $!; wait; exit' TERM; echo $!; wait";
        let mut command = Command::new("sh");
        let mut process = Process::start("sh", command.args(["-c", script]), &output).unwrap();
        let begin = Instant::now();
        let child = loop {
            let said = std::fs::read_to_string(&output).unwrap();
            if let Some(id) = said.strip_suffix('\n') {
                break id.to_owned();
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{said}");
            std::thread::yield_now();
        };
        assert!(Path::new("/proc").join(&child).exists());
        process.end();
        drop(process);
        assert!(!Path::new("/proc").join(&child).exists(), "{child} is left");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
