//! Faults of Redis: it is killed, hangs, and is replaced.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::{Scene, seconds};
use crate::Outcome;
use crate::world::until;

/// F3.
pub(super) async fn kill(scene: &mut Scene<'_>) -> Outcome<()> {
    let signal = scene.world().await.master()?.kill()?;
    scene.mark("killed", None);
    scene.proof(format!("redis ended by signal {signal}"), u64::from(signal == 9));
    seconds(5).await;
    // from here on nobody knows whether it answers
    scene.mark("starts", None);
    scene.world().await.master()?.restart().await?;
    scene.mark("back", None);
    scene.until_ready().await?;
    seconds(11).await;
    Ok(())
}

/// F4.
pub(super) async fn hang(scene: &mut Scene<'_>) -> Outcome<()> {
    scene.world().await.master()?.process()?.pause()?;
    scene.mark("hung", None);
    let mut seen = 0;
    for _ in 0..10 {
        seconds(1).await;
        seen += u64::from(scene.world().await.master()?.process()?.stands_still()?);
    }
    scene.proof("looks, a second apart, at which redis stood still (state T)", seen);
    scene.mark("back", None);
    scene.world().await.master()?.process()?.resume()?;
    scene.until_ready().await?;
    seconds(11).await;
    Ok(())
}

/// F6a.
pub(super) async fn fail_over(scene: &mut Scene<'_>) -> Outcome<()> {
    let mut world = scene.world().await;
    let before = epoch(&world.sentinels).await;
    let old = world.master()?.port.to_string();
    let signal = world.master()?.kill()?;
    scene.mark("killed", None);
    scene.proof(format!("the master ended by signal {signal}"), u64::from(signal == 9));
    let sentinel = world.sentinels.first().ok_or("no Sentinel")?;
    let mut port = String::new();
    until("the Sentinels have chosen another master", async || {
        port = sentinel.knows("port").await.unwrap_or_default();
        !port.is_empty() && port != old
    })
    .await?;
    world.master.store(port.parse()?, Ordering::SeqCst);
    scene.mark("promoted", None);
    let after = epoch(&world.sentinels).await;
    scene.proof(
        format!("the Sentinels' epoch rose from {before} to {after}"),
        after.saturating_sub(before),
    );
    drop(world);
    scene.until_ready().await?;
    seconds(8).await;
    Ok(())
}

async fn epoch(sentinels: &[crate::world::redis::Sentinel]) -> u64 {
    let mut highest = 0;
    for sentinel in sentinels {
        let epoch = sentinel.knows("config-epoch").await;
        highest = highest.max(epoch.ok().and_then(|epoch| epoch.parse().ok()).unwrap_or(0));
    }
    highest
}

/// F7.
pub(super) async fn promote_a_lagging_replica(scene: &mut Scene<'_>) -> Outcome<()> {
    let mut world = scene.world().await;
    let master = world.master.load(Ordering::SeqCst);
    let replica = world.redis.iter().position(|redis| redis.port != master).ok_or("no replica")?;
    let replica = world.redis.get(replica).ok_or("no replica")?;
    // nobody listens on port 1
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    scene.mark("lagging", None);
    sleep(Duration::from_secs(3)).await;
    let port = replica.port;
    let behind = offset(port).await?;
    let ahead = offset(master).await?;
    scene.proof("bytes of events and more that the replica lacked", ahead.saturating_sub(behind));
    let signal = world.master()?.kill()?;
    scene.mark("killed", None);
    scene.proof(format!("the master ended by signal {signal}"), u64::from(signal == 9));
    for proxy in world.nodes.iter().filter_map(|node| node.proxy.as_ref()) {
        proxy.lead_to(port);
        proxy.cut();
    }
    let _: String = crate::world::redis::ask(port, &["REPLICAOF", "NO", "ONE"]).await?;
    world.master.store(port, Ordering::SeqCst);
    scene.mark("promoted", None);
    drop(world);
    scene.until_ready().await?;
    seconds(7).await;
    Ok(())
}

/// Returns how far a server's replication stream has come.
async fn offset(port: u16) -> Outcome<u64> {
    let info: String = crate::world::redis::ask(port, &["INFO", "replication"]).await?;
    let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    Ok(offset.ok_or("no offset")?.trim().parse()?)
}
