//! `bench`: loads a server with sockets and signed triggers, and accounts for each delivery.
//!
//! One thread or more hold the sockets (`crowd`, `subscriber`, `tally`), this one sends (`schedule`, `publisher`, `ledger`) and conducts
//! (`run`); what threads share stands in `shared`. Nothing of the node's own serving is used, so any Pusher-compatible server will do.

mod crowd;
mod latency;
mod ledger;
mod machine;
mod order;
mod plan;
mod progress;
mod publisher;
mod report;
mod run;
mod schedule;
mod shared;
mod stamp;
mod subscriber;
mod table;
mod tally;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use plan::{Plan, PlanError};
use report::Report;

pub(crate) use stamp::SMALLEST_DATA;

use super::target::Target;
use super::{complain, say};
use crate::cli::Bench;
use crate::visible::visible;

/// Name of the events.
const EVENT: &str = "bench";
/// Most of a server's text that is repeated, in characters.
const SHOWN: usize = 200;
/// Options that do not go together, as those that cannot be read.
const EXIT_NOT_UNDERSTOOD: u8 = 2;

/// Measures. Succeeds if everything arrived once and in order.
pub(crate) fn run(file: Option<&Path>, arguments: &Bench) -> ExitCode {
    let plan = match Plan::of(arguments) {
        Ok(plan) => plan,
        Err(error) => {
            complain(&error);
            return match error {
                PlanError::Channels { .. } => ExitCode::from(EXIT_NOT_UNDERSTOOD),
                PlanError::Machine(_) => ExitCode::FAILURE,
            };
        }
    };
    let target = match Target::require(file, &arguments.target) {
        Ok(target) => target,
        Err(code) => return code,
    };
    let report = match actix_rt::System::new().block_on(run::measure(plan, target)) {
        Ok(report) => report,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    match print(&report, arguments.json) {
        Ok(()) if report.passed() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            complain(format_args!("the report cannot be printed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns the beginning of a server's text, safe to print.
fn excerpt(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    visible(&beginning).into_owned()
}

fn print(report: &Report, as_json: bool) -> io::Result<()> {
    if as_json { say(report.json()?) } else { say(report) }
}
