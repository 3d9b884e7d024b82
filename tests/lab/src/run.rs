//! One run from the first server to the last line of its log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Outcome;
use crate::faults::{Scenario, Scene};
use crate::load::Load;
use crate::load::http::Http;
use crate::load::sign::App;
use crate::log::{self, Record, Recorder};
use crate::names::Names;
use crate::plan::{Plan, Run};
use crate::world::World;
use crate::world::search::Confidential;
use crate::world::watch::{self, Positions};

/// The log of a run in its folder.
pub(crate) const LOG: &str = "log.jsonl";
/// How it was run.
pub(crate) const FACTS: &str = "run.json";
/// From the beginning of the load to the first fault.
const BEFORE: Duration = Duration::from_secs(2);
/// Rest after which everybody must know who is there, and everything must be repaired; backends take 4 s of it.
const REST: Duration = Duration::from_secs(8);

/// What the checker must know besides the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) plan: Plan,
    pub(crate) names: Names,
}

/// Runs scenarios; the folder then has their log.
///
/// # Errors
/// The world did not come up, or a fault could not be made to happen.
pub async fn run(run: &Run, plan: &Plan, program: &Path, folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::remove_file(path)?;
        }
    }
    let (recorder, writer) = log::begin(&folder.join(LOG))?;
    let ended = act(run, plan, program, folder, recorder).await;
    writer.end()?;
    ended
}

async fn act(run: &Run, plan: &Plan, program: &Path, folder: &Path, log: Recorder) -> Outcome<()> {
    let app = App::new();
    let mut world = World::start(folder, program, run.topology(), plan.nodes, &app).await?;
    let addresses = world.nodes.iter().map(|node| node.address).collect();
    let (front, master) = (world.front.address, Arc::clone(&world.master));
    let mut load = Load::start(log.clone(), app.clone(), plan.size, plan.seed, front, addresses);
    let names = load.stage.names.clone();
    load.settle().await?;
    world.check()?;
    let facts = Facts { plan: plan.clone(), names: names.clone() };
    std::fs::write(folder.join(FACTS), serde_json::to_vec_pretty(&facts)?)?;

    let mut watchers = JoinSet::new();
    for node in &world.nodes {
        watchers.spawn(watch::readiness(log.clone(), node.number, node.admin));
        watchers.spawn(watch::liveliness(log.clone(), node.number, node.address));
        watchers.spawn(watch::figures(log.clone(), node.number, node.admin));
    }
    watchers.spawn(watch::own_pulse(log.clone()));
    let follower = Positions::of(log.clone(), Arc::clone(&master), &names, &app.id);
    watchers.spawn(follower.follow());

    log.mark("run", "begin", None);
    let world = Mutex::new(world);
    let length = Duration::from_secs(plan.seconds);
    let end = Instant::now() + length;
    load.publishing.send_replace(true);
    load.moving.send_replace(true);
    let scene = |scenario: &Scenario| Scene {
        scenario: *scenario,
        world: &world,
        load: &load,
        log: &log,
        rng: StdRng::seed_from_u64(plan.seed ^ u64::from(*scenario as u8).rotate_left(40)),
        length,
    };
    let throughout = run.0.iter().filter(|scenario| scenario.takes().is_none()).map(|scenario| {
        let mut scene = scene(scenario);
        async move { scenario.play(&mut scene).await }
    });
    let in_turn = async {
        sleep(BEFORE).await;
        for scenario in run.0.iter().filter(|scenario| scenario.takes().is_some()) {
            scenario.play(&mut scene(scenario)).await?;
        }
        Outcome::Ok(())
    };
    try_join(try_join_all(throughout), in_turn).await?;
    sleep_until(end).await;

    log.mark("run", "rest", None);
    load.moving.send_replace(false);
    load.finish_publishing().await;
    sleep(REST).await;
    let mut world = world.into_inner();
    world.check()?;
    watchers.shutdown().await;
    Positions::of(log.clone(), master, &names, &app.id).read().await?;
    recount(&log, &world, &app, &names).await?;
    let confidential = Confidential::new(&app.secret, load.stage.sockets());
    load.end().await;
    for node in &world.nodes {
        watch::until_empty(node.admin).await;
        watch::note_figures(&log, node.number, node.admin, true).await?;
        confidential.search(&log, node).await?;
    }
    log.mark("run", "end", None);
    Ok(())
}

/// Asks every node what it has, while nothing moves.
async fn recount(log: &Recorder, world: &World, app: &App, names: &Names) -> Outcome<()> {
    for node in &world.nodes {
        watch::note_figures(log, node.number, node.admin, true).await?;
        let mut http = Http::to(node.address);
        for (channel, name) in (0..).zip(&names.channels) {
            if !name.starts_with("presence-") {
                continue;
            }
            let tail = format!("/channels/{name}");
            let answer = http.get_signed(app, &tail, "&info=user_count").await?;
            let told: serde_json::Value = serde_json::from_str(&answer.body)?;
            let users = told.get("user_count").and_then(serde_json::Value::as_u64);
            let users = users.ok_or_else(|| format!("{name}: {}", answer.body))?;
            log.note(Record::Told { at: log.now(), node: node.number, channel, users });
        }
    }
    Ok(())
}
