//! Faults of a node: it is killed, or cut off from Redis.

use rand::RngExt as _;

use super::{Scene, seconds};
use crate::Outcome;

/// F1.
pub(super) async fn kill(scene: &mut Scene<'_>) -> Outcome<()> {
    let victim = victim(scene).await?;
    let signal = {
        let mut world = scene.world().await;
        // written down before it happens: its clients lose it before it is known to have ended
        scene.mark("killed", Some(victim));
        world.node(victim)?.kill()?
    };
    scene.proof(format!("node {victim} ended by signal {signal}"), u64::from(signal == 9));
    seconds(14).await;
    scene.world().await.node(victim)?.restart()?;
    scene.mark("restarted", Some(victim));
    scene.until_ready().await?;
    seconds(10).await;
    Ok(())
}

/// F8.
pub(super) async fn cut_off(scene: &mut Scene<'_>) -> Outcome<()> {
    let victim = victim(scene).await?;
    {
        let mut world = scene.world().await;
        let proxy = world.node(victim)?.proxy.as_ref().ok_or("no proxy")?;
        proxy.stall();
        scene.mark("cut", Some(victim));
    }
    seconds(30).await;
    {
        let mut world = scene.world().await;
        let proxy = world.node(victim)?.proxy.as_ref().ok_or("no proxy")?;
        scene.proof(format!("pieces that were held back before node {victim}"), proxy.held());
        // mended before it is written down: nothing may come back before its mark
        scene.mark("healed", Some(victim));
        proxy.mend();
    }
    scene.until_ready().await?;
    seconds(8).await;
    Ok(())
}

/// Chooses a node.
async fn victim(scene: &mut Scene<'_>) -> Outcome<u32> {
    let count = u32::try_from(scene.world().await.nodes.len())?;
    Ok(scene.rng.random_range(0..count))
}
