//! P1 and P2: messages are lost on their way from Redis to a node.

use super::{Scene, seconds};
use crate::Outcome;
use crate::load::http::Http;
use crate::load::publisher::trigger;

/// Whose messages are lost in P1, and in P2.
pub(super) const FORGETFUL: u32 = 2;
const LATE: u32 = 1;
/// Channels whose only event is lost.
pub(super) const TAILS: u32 = 5;

/// P1. Channels with churn are spared: L7 looks at them a second after they rest.
pub(super) async fn lose_every_seventh(scene: &mut Scene<'_>) -> Outcome<()> {
    {
        let mut world = scene.world().await;
        let proxy = world.node(FORGETFUL)?.proxy.as_ref().ok_or("no proxy")?;
        proxy.drop_every(7, "presence-churn");
        scene.mark("begins", Some(FORGETFUL));
    }
    seconds(scene.length.as_secs()).await;
    let mut world = scene.world().await;
    let proxy = world.node(FORGETFUL)?.proxy.as_ref().ok_or("no proxy")?;
    proxy.drop_every(0, "");
    scene.mark("ends", Some(FORGETFUL));
    scene.proof(DROPPED, proxy.dropped());
    Ok(())
}

/// What the proof of P1 says.
pub(super) const DROPPED: &str = "messages that were dropped";

/// What the proof of P2 says.
pub(super) const TAILS_DROPPED: &str = "last messages that were dropped";

/// P2.
pub(super) async fn lose_the_last(scene: &mut Scene<'_>) -> Outcome<()> {
    let stage = &scene.load.stage;
    let mut http = Http::to(stage.address(0).ok_or("no node")?);
    let before = dropped(scene).await?;
    for tail in 0..TAILS {
        seconds(5).await;
        let name = format!("tail-{tail}");
        let channel = stage.channel(&name).ok_or("no such channel")?;
        {
            let mut world = scene.world().await;
            let proxy = world.node(LATE)?.proxy.as_ref().ok_or("no proxy")?;
            proxy.drop_next_of(&format!(":{name}"));
        }
        trigger(stage, &mut http, 0, channel, None, true).await;
    }
    seconds(7).await;
    scene.proof(TAILS_DROPPED, dropped(scene).await? - before);
    Ok(())
}

async fn dropped(scene: &Scene<'_>) -> Outcome<u64> {
    let mut world = scene.world().await;
    Ok(world.node(LATE)?.proxy.as_ref().ok_or("no proxy")?.dropped())
}
