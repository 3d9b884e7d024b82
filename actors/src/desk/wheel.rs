//! When which session wants to be woken: one wheel for all sessions of a thread. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::outbox::Tick;
use crate::protocol::SocketId;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Wishes by the tick at which they are due. A session that has ended leaves its wish behind until then.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    by_tick: BTreeMap<Tick, Vec<(u32, SocketId)>>,
    wishes: usize,
}

impl Wheel {
    /// Notes that the session in a slot wants to be woken at the first tick from a moment on, never before.
    pub(super) fn add(&mut self, moment: Moment, slot: u32, socket: SocketId) {
        let due = moment.elapsed().as_nanos().div_ceil(TICK.as_nanos());
        let due = Tick::try_from(due).unwrap_or(Tick::MAX);
        self.by_tick.entry(due).or_default().push((slot, socket));
        self.wishes += 1;
    }

    /// Takes out who is due by a tick; `None` when nobody is left that is.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Vec<(u32, SocketId)>> {
        let first = self.by_tick.first_entry()?;
        let due = (*first.key() <= now).then(|| first.remove())?;
        self.wishes -= due.len();
        Some(due)
    }

    /// Returns how many wishes there are.
    pub(super) fn len(&self) -> usize {
        self.wishes
    }
}

/// Returns the tick that a moment lies in.
pub(super) fn tick_of(moment: Moment) -> Tick {
    ticks(moment.elapsed())
}

/// Returns how many whole ticks fit into a wait.
pub(super) fn ticks(wait: Duration) -> Tick {
    Tick::try_from(wait.as_millis() / TICK.as_millis()).unwrap_or(Tick::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_woken_before_the_moment() {
        let at = |millis| Moment::since_start(Duration::from_millis(millis));
        let socket = SocketId::new(1, 1);
        for wish in [0, 1, 249, 250, 251, 999, 1000] {
            let mut wheel = Wheel::default();
            wheel.add(at(wish), 7, socket);
            let woken = (0..8).find(|tick| wheel.take_due(*tick).is_some());
            let woken = woken.map(|tick| u64::from(tick) * 250);
            assert!(woken.is_some_and(|moment| moment >= wish && moment < wish + 250), "{wish}");
            assert!(wheel.take_due(Tick::MAX).is_none());
            assert_eq!(wheel.len(), 0);
        }
    }
}
