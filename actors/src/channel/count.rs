//! When subscribers are told how many they are (protocol section 3.9). Pure.

use std::time::Duration;

use crate::clock::Moment;

/// From more subscriptions than this on, they are told once in [`PACE`].
const SMALL: u64 = 100;
/// How often the subscribers of a large channel are told.
const PACE: Duration = Duration::from_secs(5);

/// Keeps the pace of `subscription_count` for one channel.
#[derive(Debug, Default)]
pub(crate) struct CountPace {
    last: Option<Moment>,
    promised: bool,
}

/// What to do when a count has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Tell now.
    Now,
    /// Look again after this wait.
    After(Duration),
    /// A look is promised already.
    Promised,
}

impl CountPace {
    /// Says when subscribers are to hear of a change.
    pub(crate) fn changed(&mut self, subscriptions: u64, now: Moment) -> Telling {
        let rest = self.last.map_or(Duration::ZERO, |last| PACE.saturating_sub(now.since(last)));
        if subscriptions <= SMALL || rest.is_zero() {
            self.last = Some(now);
            return Telling::Now;
        }
        if std::mem::replace(&mut self.promised, true) {
            Telling::Promised
        } else {
            Telling::After(rest)
        }
    }

    /// Keeps the promise of [`Telling::After`].
    pub(crate) fn kept(&mut self, now: Moment) {
        self.promised = false;
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_channels_are_told_every_five_seconds() {
        let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
        let mut pace = CountPace::default();
        assert_eq!(pace.changed(100, at(0)), Telling::Now);
        assert_eq!(pace.changed(101, at(1)), Telling::After(Duration::from_secs(4)));
        assert_eq!(pace.changed(102, at(2)), Telling::Promised);
        pace.kept(at(5));
        assert_eq!(pace.changed(103, at(6)), Telling::After(Duration::from_secs(4)));
        assert_eq!(pace.changed(99, at(7)), Telling::Now);
    }
}
