//! L7: members come and go without rest, and are looked at whenever they rest.

use super::{Scene, seconds};
use crate::Outcome;

/// Joins and leaves in a second.
pub(super) const CHURN: u32 = 500;
/// How long they come and go, and how long they rest, in seconds.
pub(super) const BURST: u64 = 4;
const REST: u64 = 3;

/// L7.
pub(super) async fn churn(scene: &mut Scene<'_>) -> Outcome<()> {
    let before = scene.load.stage.toggles.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..scene.length.as_secs() / (BURST + REST) {
        scene.mark("burst", None);
        scene.load.moving.send_replace(true);
        seconds(BURST).await;
        scene.load.moving.send_replace(false);
        scene.mark("rest", None);
        seconds(REST).await;
    }
    let toggles = scene.load.stage.toggles.load(std::sync::atomic::Ordering::Relaxed) - before;
    scene.proof("joins and leaves", toggles);
    Ok(())
}
