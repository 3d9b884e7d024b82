//! Counts what happened within a window of time, to hold it against a limit.

use std::time::Duration;

use crate::clock::Moment;

/// The window of the limits that are given per second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The window of the limits that are given per ten seconds.
pub(super) const TEN_SECONDS: Duration = Duration::from_secs(10);

/// A window that begins with the first thing counted in it. Costs 24 bytes and no timer.
#[derive(Debug, Default)]
pub(super) struct Window {
    started: Moment,
    count: u32,
}

impl Window {
    /// Counts one and returns how many there are in the present window, this one included.
    pub(super) fn hit(&mut self, now: Moment, length: Duration) -> u32 {
        if self.count == 0 || now.since(self.started) >= length {
            self.started = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_hit() {
        let at = |millis| Moment::since_start(Duration::from_millis(millis));
        let mut window = Window::default();
        assert_eq!(window.hit(at(900), SECOND), 1);
        assert_eq!(window.hit(at(1899), SECOND), 2);
        assert_eq!(window.hit(at(1900), SECOND), 1);
        assert_eq!(window.hit(at(9000), SECOND), 1);
    }
}
