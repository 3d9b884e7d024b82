//! The command line of the lab.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use micronotifier_lab::Outcome;
use micronotifier_lab::faults::Scenario;
use micronotifier_lab::plan::{GATE, Plan, Run};
use micronotifier_lab::run::run;
use micronotifier_lab::verdict::{Verdict, judge};
use tokio::signal::unix::{SignalKind, signal};

/// Breaks nodes and what they stand on, under load, and judges what clients saw.
#[derive(Debug, Parser)]
#[command(name = "micronotifier-lab", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs scenarios, one run after the other; those joined by `+` share one. `gate` stands for all runs of the gate.
    Run(RunArguments),
    /// Judges the log of a run again.
    Check {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// Lists the scenarios.
    List,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Such as `F1`, `F3+F4` or `gate`.
    #[arg(required = true)]
    runs: Vec<String>,
    /// Decides what is left to chance: which node, which channel, when exactly.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the load of a run lasts.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Sockets of a run.
    #[arg(long, default_value_t = 3000)]
    sockets: u32,
    /// Nodes of a run.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// Events in a second.
    #[arg(long, default_value_t = 120)]
    rate: u32,
    /// Joins and leaves in a second, where a scenario has any.
    #[arg(long)]
    churn: Option<u32>,
    /// The program of the nodes.
    #[arg(long, env = "MICRONOTIFIER_BIN", default_value = "target/release/micronotifier")]
    node: PathBuf,
    /// Where each run gets a folder of its own for its log, its verdicts and what its servers wrote.
    #[arg(long, default_value = "target/lab")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Run(arguments) => run_all(&arguments),
        Command::Check { folder } => report(&folder),
        Command::List => list(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nowhere else to say it.
            writeln!(io::stderr(), "lab: {error}").ok();
            ExitCode::from(2)
        }
    }
}

fn list() -> Outcome<bool> {
    let mut out = io::stdout().lock();
    for scenario in Scenario::ALL {
        writeln!(out, "{:<4} {}", scenario.id(), scenario.says())?;
    }
    writeln!(out, "gate {}", GATE.join(" "))?;
    Ok(true)
}

fn run_all(arguments: &RunArguments) -> Outcome<bool> {
    let mut runs = Vec::new();
    for text in &arguments.runs {
        match text.as_str() {
            "gate" => runs.extend(GATE),
            text => runs.push(text),
        }
    }
    // all are read before the first is run
    let runs: Vec<Run> = runs.into_iter().map(Run::parse).collect::<Outcome<_>>()?;
    let size = micronotifier_lab::Size {
        sockets: arguments.sockets,
        rate: arguments.rate,
        churn: 0,
        tails: 0,
    };
    let mut all_passed = true;
    for scenarios in &runs {
        let mut plan =
            Plan::new(scenarios, arguments.seed, arguments.seconds, arguments.nodes, size)?;
        if let Some(churn) = arguments.churn.filter(|_| plan.size.churn > 0) {
            plan.size.churn = churn;
        }
        let folder = arguments.out.join(scenarios.to_string());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = run(scenarios, &plan, &arguments.node, &folder) => Ok(ended),
                // the run is dropped then, and all its servers with it
                signal = interrupted() => signal.and(Err("interrupted".into())),
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        let passed = match ended? {
            Ok(()) => report(&folder)?,
            Err(error) => {
                for scenario in &scenarios.0 {
                    say(scenario.id(), false, &[format!("the run broke off: {error}")])?;
                }
                false
            }
        };
        all_passed &= passed;
    }
    Ok(all_passed)
}

/// Waits until somebody wants the lab to end.
async fn interrupted() -> Outcome<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(())
}

/// Judges a run, writes its verdicts beside its log, and says what they are; returns whether all have passed.
fn report(folder: &Path) -> Outcome<bool> {
    let verdicts = judge(folder)?;
    for verdict in &verdicts {
        let file = folder.join(format!("{}.verdict.json", verdict.scenario));
        std::fs::write(file, serde_json::to_vec_pretty(verdict)?)?;
        say(verdict.scenario, verdict.passed, &verdict.complaints)?;
        summarize(verdict)?;
    }
    Ok(verdicts.iter().all(|verdict| verdict.passed))
}

fn summarize(verdict: &Verdict) -> Outcome<()> {
    let mut out = io::stdout().lock();
    let load = &verdict.load;
    writeln!(
        out,
        "    {} sockets, triggers {:?}, {} deliveries, {} members told, the lab stood still for {:.1} s; proofs {:?}",
        load.sockets,
        load.triggers,
        load.deliveries,
        load.members_told,
        load.stalled,
        verdict.proofs
    )?;
    for bar in &verdict.bars {
        let measured = bar.measured.map_or("never".to_owned(), |measured| format!("{measured:.2}"));
        let limit = format!("{:.2}", bar.limit);
        writeln!(out, "    {measured:>8} of {limit:<6} {}", bar.says)?;
    }
    Ok(())
}

/// Says in one line that counts whether a scenario has passed, and what is wrong with it.
fn say(id: &str, passed: bool, complaints: &[String]) -> Outcome<()> {
    let mut out = io::stdout().lock();
    let count = if passed { "1 passed, 0 failed" } else { "0 passed, 1 failed" };
    writeln!(out, "lab {id}: {count}")?;
    for complaint in complaints {
        writeln!(out, "    {complaint}")?;
    }
    Ok(())
}
