//! F19: Redis misbehaves in seven ways, one after the other.

use super::{Scene, seconds};
use crate::Outcome;
use crate::world::redis::{PASSWORD, USER, ask};

/// How long it is left alone after each, in seconds.
const REST: u64 = 4;
/// How long it is full, or refuses the nodes, in seconds.
const WHILE: u64 = 3;
/// The ways that end at once.
pub(super) const MOMENTS: [&str; 4] = ["thrown out", "overflow", "scripts forgotten", "flushed"];
/// The ways that last.
pub(super) const TIMES: [&str; 3] = ["full", "user off", "wrong password"];

/// From when on it surely is full, and how long.
pub(super) const FULL: &str = "no room any more";
pub(super) const ROOM: &str = "there will be room";

/// F19.
pub(super) async fn misbehave(scene: &mut Scene<'_>) -> Outcome<()> {
    let port = scene.world().await.master()?.port;
    let [thrown_out, overflow, forgotten, flushed] = MOMENTS;

    begin(scene, thrown_out);
    let killed: u64 = ask(port, &["CLIENT", "KILL", "TYPE", "pubsub"]).await?;
    scene.proof("subscribers that were thrown out", killed);
    end(scene, thrown_out).await?;

    begin(scene, overflow);
    let limit = "client-output-buffer-limit";
    let _: String = ask(port, &["CONFIG", "SET", limit, "pubsub 1mb 1mb 1"]).await?;
    let overflows = async || scene.world().await.master()?.said("output buffer limits");
    let before = overflows().await?;
    let topic =
        format!("mn:{{0}}:t:{}:{}:lab-0", scene.load.stage.app.id.len(), scene.load.stage.app.id);
    let garbage = "x".repeat(4 << 20);
    let _: u64 = ask(port, &["PUBLISH", &topic, &garbage]).await?;
    seconds(1).await;
    scene.proof("subscribers whose buffer overflowed", overflows().await? - before);
    let _: String = ask(port, &["CONFIG", "SET", limit, "pubsub 32mb 8mb 60"]).await?;
    end(scene, overflow).await?;

    begin(scene, forgotten);
    let scripts = figure(port, "memory", "number_of_cached_scripts").await?;
    let _: String = ask(port, &["SCRIPT", "FLUSH"]).await?;
    scene.proof("scripts that were forgotten", scripts);
    end(scene, forgotten).await?;

    begin(scene, flushed);
    let keys: u64 = ask(port, &["DBSIZE"]).await?;
    let _: String = ask(port, &["FLUSHALL"]).await?;
    scene.proof("keys that were flushed", keys);
    end(scene, flushed).await?;

    let [full, off, wrong] = TIMES;
    begin(scene, full);
    let before = figure(port, "errorstats", "errorstat_OOM").await?;
    let _: String = ask(port, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
    let _: String = ask(port, &["CONFIG", "SET", "maxmemory", "1"]).await?;
    scene.mark(FULL, None);
    seconds(WHILE).await;
    scene.mark(ROOM, None);
    let after = figure(port, "errorstats", "errorstat_OOM").await?;
    let _: String = ask(port, &["CONFIG", "SET", "maxmemory", "0"]).await?;
    scene.proof("commands that were refused for want of memory", after - before);
    end(scene, full).await?;

    let (right, other) = (format!(">{PASSWORD}"), ">another-password".to_owned());
    for (name, breaks, mends) in [
        (off, vec!["off"], vec!["on"]),
        (wrong, vec!["resetpass", &other], vec!["resetpass", &right]),
    ] {
        begin(scene, name);
        let before = denied(port).await?;
        let _: String = ask(port, &[vec!["ACL", "SETUSER", USER], breaks].concat()).await?;
        let killed: u64 = ask(port, &["CLIENT", "KILL", "USER", USER]).await?;
        scene.proof(format!("{name}: connections of nodes that were thrown out"), killed);
        seconds(WHILE).await;
        scene.proof(format!("{name}: logins that were refused"), denied(port).await? - before);
        let _: String = ask(port, &[vec!["ACL", "SETUSER", USER], mends].concat()).await?;
        end(scene, name).await?;
    }
    Ok(())
}

fn begin(scene: &Scene<'_>, name: &str) {
    scene.mark(&format!("{name} begins"), None);
}

async fn end(scene: &Scene<'_>, name: &str) -> Outcome<()> {
    scene.mark(&format!("{name} ends"), None);
    scene.until_ready().await?;
    seconds(REST).await;
    Ok(())
}

/// Returns how many logins were refused.
async fn denied(port: u16) -> Outcome<u64> {
    figure(port, "errorstats", "errorstat_WRONGPASS").await
}

/// Returns a figure of `INFO`; 0 where it is not told yet.
async fn figure(port: u16, section: &str, name: &str) -> Outcome<u64> {
    let info: String = ask(port, &["INFO", section]).await?;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let digits = line.map(|line| line.trim_start_matches("count=").trim());
    Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
