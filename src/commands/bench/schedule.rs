//! Which event is due when. Fixed before the first is sent, so that a slow server cannot slow it down. No clock in here.

use std::time::Duration;

use super::stamp::Phase;

/// One event that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    /// Since the start of the schedule.
    pub(super) due: Duration,
}

/// The events of a run, one after the other.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Events per second; 0 = whenever there is room.
    rate: u64,
    warm_up: Duration,
    end: Duration,
    taken: u64,
    ended: bool,
}

impl Schedule {
    /// How long after the end what is overdue may still be sent.
    const GRACE: Duration = Duration::from_secs(1);

    pub(super) const fn new(rate: u64, warm_up: Duration, measured: Duration) -> Self {
        Self { rate, warm_up, end: warm_up.saturating_add(measured), taken: 0, ended: false }
    }

    /// Returns how many events there are in all; `None` where the server's pace decides.
    pub(super) const fn total(&self) -> Option<u64> {
        match self.rate {
            0 => None,
            rate => Some(rate.saturating_mul(self.end.as_secs())),
        }
    }

    /// Returns when an event of a paced schedule is due.
    pub(super) fn due(&self, number: u64) -> Duration {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns how many events are due at a moment.
    pub(super) fn due_until(&self, now: Duration) -> u64 {
        let count = now.as_nanos() * u128::from(self.rate) / 1_000_000_000 + 1;
        u64::try_from(count).unwrap_or(u64::MAX).min(self.total().unwrap_or(u64::MAX))
    }

    /// Returns when the measured part begins and ends.
    pub(super) const fn measured(&self) -> (Duration, Duration) {
        (self.warm_up, self.end)
    }

    /// Takes the next event; `None` when there is none, or it is too late for it.
    pub(super) fn take(&mut self, now: Duration) -> Option<Slot> {
        let is_over = match self.total() {
            Some(total) => self.taken >= total || now > self.end.saturating_add(Self::GRACE),
            None => now >= self.end,
        };
        if self.ended || is_over {
            return None;
        }
        let due = if self.rate == 0 { now } else { self.due(self.taken) };
        self.taken = self.taken.saturating_add(1);
        let phase = if due < self.warm_up { Phase::WarmUp } else { Phase::Measured };
        Some(Slot { phase, due })
    }

    /// Ends it before its time: what has not been taken is not due any more.
    pub(super) fn stop(&mut self, now: Duration) {
        self.ended = true;
        self.end = self.end.min(now);
    }

    /// Returns how many events nobody took though they were due: all that were left at the end.
    pub(super) fn unsent(&self) -> u64 {
        match self.total() {
            Some(total) if !self.ended => total.saturating_sub(self.taken),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_paced_schedule_does_not_move() {
        let mut schedule = Schedule::new(3, SECOND, 2 * SECOND);
        let late = Duration::from_millis(3_900);
        let slots: Vec<Slot> = std::iter::from_fn(|| schedule.take(late)).collect();
        assert_eq!(schedule.total(), Some(9));
        assert_eq!(slots.len(), 9);
        let warm_up = slots.iter().filter(|slot| slot.phase == Phase::WarmUp).count();
        assert_eq!(warm_up, 3);
        let due: Vec<u128> = slots.iter().map(|slot| slot.due.as_millis()).collect();
        assert_eq!(due, [0, 333, 666, 1000, 1333, 1666, 2000, 2333, 2666]);
        assert_eq!(schedule.unsent(), 0);
    }

    #[test]
    fn events_become_due_one_by_one() {
        let schedule = Schedule::new(10, Duration::ZERO, SECOND);
        let due = |millis| schedule.due_until(Duration::from_millis(millis));
        assert_eq!((due(0), due(99), due(100), due(950), due(9_000)), (1, 1, 2, 10, 10));
    }

    #[test]
    fn what_is_too_late_is_counted_and_not_sent() {
        let mut schedule = Schedule::new(10, Duration::ZERO, SECOND);
        assert!(schedule.take(Duration::ZERO).is_some());
        assert_eq!(schedule.take(Duration::from_millis(2_001)), None);
        assert_eq!(schedule.unsent(), 9);
    }

    #[test]
    fn without_a_rate_only_time_ends_it() {
        let mut schedule = Schedule::new(0, SECOND, SECOND);
        for _ in 0..1000 {
            let slot = Slot { phase: Phase::WarmUp, due: Duration::ZERO };
            assert_eq!(schedule.take(Duration::ZERO), Some(slot));
        }
        assert_eq!(schedule.take(SECOND).map(|slot| slot.phase), Some(Phase::Measured));
        assert_eq!(schedule.take(2 * SECOND), None);
        assert_eq!((schedule.total(), schedule.unsent()), (None, 0));
    }

    #[test]
    fn a_stopped_schedule_owes_nothing() {
        let mut schedule = Schedule::new(10, Duration::ZERO, SECOND);
        schedule.stop(SECOND / 2);
        schedule.stop(SECOND);
        assert_eq!((schedule.take(SECOND / 2), schedule.unsent()), (None, 0));
        assert_eq!(schedule.measured(), (Duration::ZERO, SECOND / 2));
    }
}
