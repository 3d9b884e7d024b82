//! Drives any Pusher-protocol server with raw sockets from one thread, and prints one JSON line: deliveries
//! per second, latencies, and what they cost the server in processor time and memory.
//!
//! Nothing of the node is in here: what is measured cannot measure itself.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded for people"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement is of real time, whatever the node's clock says"
)]

mod answer;
mod churn;
mod crowd;
mod frame;
mod link;
mod options;
mod probe;
mod publisher;
mod report;
mod run;
mod subscriber;
mod tally;
mod target;
mod usage;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use churn::Churn;
use crowd::Crowd;
use options::{Mode, Options};
use report::Report;
use run::Run;
use usage::Usage;

/// How long the server may come to rest after the last connection, before its memory is read.
const REST: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match measure(&Options::parse()).and_then(|report| report.print(&mut io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // when standard error is gone too, the exit code still tells
            drop(writeln!(io::stderr(), "load: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> io::Result<Report> {
    let before = Usage::of(&options.pids)?;
    let mut crowd = Crowd::new(options)?;
    if options.mode == Mode::Churn {
        return Ok(Report::Churn(Churn::new(options, crowd)?.run(before)?));
    }
    let connect_seconds = crowd.connect()?;
    crowd.rest(REST)?;
    let connected = Usage::of(&options.pids)?;
    if options.mode == Mode::Idle {
        crowd.tally.heartbeats = 0;
        crowd.rest(Duration::from_secs(options.seconds))?;
        let idle = Usage::of(&options.pids)?;
        return Ok(Report::idle(options, &crowd, connect_seconds, before, connected, idle));
    }
    let measured = Run::new(options, &mut crowd)?.measure()?;
    Ok(Report::load(options, &crowd, &measured, connect_seconds, before, connected))
}
