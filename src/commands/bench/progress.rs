//! What a person sees while a measurement runs: one line a second on standard error, in its place on a terminal.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

const STEP: Duration = Duration::from_secs(1);

/// The line, and whether somebody wants the end of it all.
pub(super) struct Progress {
    is_terminal: bool,
    /// Something stands in the line that is overwritten.
    is_open: bool,
    interrupted: watch::Receiver<bool>,
}

impl Progress {
    /// Begins to listen for interrupts. A second one ends the process at once.
    pub(super) fn start() -> Self {
        let (interrupt, interrupted) = watch::channel(false);
        actix_rt::spawn(async move {
            // Without signals nobody can interrupt.
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupt.send_replace(true);
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(1);
                }
            }
            std::future::pending::<()>().await;
        });
        Self { is_terminal: io::stderr().is_terminal(), is_open: false, interrupted }
    }

    /// Tells whether an interrupt has come.
    pub(super) fn is_interrupted(&self) -> bool {
        *self.interrupted.borrow()
    }

    /// Waits for some work and tells each second how it goes. Returns `None` when interrupted.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        mut line: impl FnMut() -> String,
    ) -> Option<T> {
        let mut interrupted = self.interrupted.clone();
        let mut work = pin!(work);
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        steps.tick().await;
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break Some(outcome),
                _ = interrupted.wait_for(|interrupted| *interrupted) => break None,
                _ = steps.tick() => self.tell(line()),
            }
        };
        self.finish();
        outcome
    }

    fn tell(&mut self, line: impl Display) {
        let mut out = io::stderr().lock();
        // There is nobody to tell that standard error is closed.
        if self.is_terminal {
            write!(out, "\r{line}\x1b[K").and_then(|()| out.flush()).unwrap_or_default();
            self.is_open = true;
        } else {
            writeln!(out, "{line}").unwrap_or_default();
        }
    }

    /// Leaves the line for what comes next.
    fn finish(&mut self) {
        if std::mem::take(&mut self.is_open) {
            write!(io::stderr(), "\r\x1b[K").unwrap_or_default();
        }
    }
}
