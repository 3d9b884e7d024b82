//! What is to be done after a wait that is always the same: one timer for all of it, however much waits.
//! Pure: whoever keeps it runs the timer.
//!
//! A timer of its own for each would be a future in the actor's context, and actix polls all of them
//! whenever the actor is told anything.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// See the module.
#[derive(Debug)]
pub(crate) struct Later<T> {
    wait: Duration,
    /// With the moments when they are due, the earliest first.
    waiting: VecDeque<(Moment, T)>,
    /// A timer runs.
    is_armed: bool,
}

impl<T> Later<T> {
    pub(crate) const fn new(wait: Duration) -> Self {
        Self { wait, waiting: VecDeque::new(), is_armed: false }
    }

    /// Takes something that is to be done after the wait.
    pub(crate) fn put(&mut self, what: T, now: Moment) {
        self.waiting.push_back((now.after(self.wait), what));
    }

    /// Returns how long a timer is to run that is started now; `None` if one runs, or none is needed.
    pub(crate) fn arm(&mut self, now: Moment) -> Option<Duration> {
        let (due, _) = self.waiting.front().filter(|_| !self.is_armed)?;
        self.is_armed = true;
        Some(due.since(now))
    }

    /// Takes that the timer has run: returns what is due. It is to be armed again then.
    pub(crate) fn ring(&mut self, now: Moment) -> Vec<T> {
        self.is_armed = false;
        let due = self.waiting.iter().take_while(|(due, _)| *due <= now).count();
        self.waiting.drain(..due).map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn one_timer_runs_until_the_first_is_due() {
        let mut later = Later::new(Duration::from_secs(5));
        assert_eq!(later.arm(at(0)), None);
        later.put('a', at(1));
        assert_eq!(later.arm(at(1)), Some(Duration::from_secs(5)));
        for (what, now) in [('b', 1), ('c', 3), ('d', 7)] {
            later.put(what, at(now));
            assert_eq!(later.arm(at(now)), None, "one runs");
        }
        assert_eq!(later.ring(at(6)), ['a', 'b']);
        assert_eq!(later.arm(at(6)), Some(Duration::from_secs(2)));
        assert_eq!(later.ring(at(20)), ['c', 'd'], "it was late");
        assert_eq!(later.arm(at(20)), None);
    }

    #[test]
    fn what_comes_while_the_due_is_done_has_one_timer_too() {
        let mut later = Later::new(Duration::from_secs(5));
        later.put('a', at(0));
        assert_eq!(later.arm(at(0)), Some(Duration::from_secs(5)));
        assert_eq!(later.ring(at(5)), ['a']);
        later.put('b', at(5));
        assert_eq!(later.arm(at(5)), Some(Duration::from_secs(5)));
        assert_eq!(later.arm(at(6)), None);
        // too early: nothing is lost
        assert!(later.ring(at(9)).is_empty());
        assert_eq!(later.arm(at(9)), Some(Duration::from_secs(1)));
        assert_eq!(later.ring(at(10)), ['b']);
    }
}
