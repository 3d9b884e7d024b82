//! How many events and reads an application may ask for in a second (protocol section 6.3, 429).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use micronotifier_actors::clock::Moment;
use micronotifier_actors::protocol::AppId;

/// What an allowance covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowance {
    /// Events to channels: a trigger costs one for each channel, a batch one for each event.
    Events,
    /// GET requests.
    Reads,
}

/// A request over its allowance: what the answer's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The allowance, per second.
    pub limit: u32,
    /// How much of it is left now.
    pub remaining: u32,
    /// Whole seconds until the same request would pass, at least 1.
    pub retry_after: u64,
}

/// The allowances of all applications on this node, shared by all workers.
///
/// A second's worth may come at once. A request that costs more than that passes when the second
/// is unused, and the ones after it wait longer: the mean holds.
#[derive(Debug, Default)]
pub struct Rates {
    /// When each allowance would be whole again (the generic cell rate algorithm). Grows with the
    /// applications that have a limit, not with requests.
    whole_at: Mutex<HashMap<(AppId, Allowance), Moment>>,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Rates {
    /// Takes `cost` from an allowance of `per_second`; `None` = no limit, at no cost.
    ///
    /// # Errors
    /// [`Refused`], and nothing is taken.
    pub fn take(
        &self,
        app: &AppId,
        allowance: Allowance,
        per_second: Option<u32>,
        cost: usize,
        now: Moment,
    ) -> Result<(), Refused> {
        let Some(limit) = per_second else {
            return Ok(());
        };
        let Some(interval) = WINDOW.checked_div(limit) else {
            return Err(Refused { limit, remaining: 0, retry_after: 1 });
        };
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = whole_at.entry((app.clone(), allowance)).or_insert(now);
        let used = whole.since(now);
        let needed = interval.saturating_mul(cost.min(limit));
        if let Some(over) = (used + needed).checked_sub(WINDOW).filter(|over| !over.is_zero()) {
            let free = WINDOW.saturating_sub(used).as_nanos() / interval.as_nanos().max(1);
            return Err(Refused {
                limit,
                remaining: u32::try_from(free).unwrap_or(limit),
                retry_after: whole_seconds(over).max(1),
            });
        }
        *whole = now.after(used + interval.saturating_mul(cost));
        Ok(())
    }
}

/// Returns a duration in seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_second_holds_its_allowance_and_no_more() {
        let rates = Rates::default();
        let app = AppId::new("1");
        let take = |cost, now| rates.take(&app, Allowance::Events, Some(3), cost, now);
        for _ in 0..3 {
            assert_eq!(take(1, at(0)), Ok(()));
        }
        let refused = Refused { limit: 3, remaining: 0, retry_after: 1 };
        assert_eq!(take(1, at(0)), Err(refused));
        assert_eq!(take(1, at(333)), Err(refused));
        assert_eq!(take(1, at(334)), Ok(()));
        assert_eq!(take(3, at(1_400)), Ok(()));
    }

    #[test]
    fn what_costs_more_than_a_second_passes_once_and_is_paid_off() {
        let rates = Rates::default();
        let app = AppId::new("1");
        let take = |cost, now| rates.take(&app, Allowance::Events, Some(10), cost, now);
        assert_eq!(take(30, at(0)), Ok(()));
        assert_eq!(take(1, at(0)).map_err(|refused| refused.retry_after), Err(3));
        assert!(take(1, at(2_000)).is_err());
        assert_eq!(take(1, at(2_100)), Ok(()));
    }

    #[test]
    fn allowances_are_apart_and_zero_is_nothing() {
        let rates = Rates::default();
        let (one, two) = (AppId::new("1"), AppId::new("2"));
        assert!(rates.take(&one, Allowance::Events, Some(1), 1, at(0)).is_ok());
        assert!(rates.take(&one, Allowance::Reads, Some(1), 1, at(0)).is_ok());
        assert!(rates.take(&two, Allowance::Events, Some(1), 1, at(0)).is_ok());
        assert!(rates.take(&two, Allowance::Events, Some(1), 1, at(0)).is_err());
        assert!(rates.take(&one, Allowance::Events, Some(0), 1, at(9_000)).is_err());
        assert!(rates.take(&one, Allowance::Events, None, usize::MAX, at(0)).is_ok());
    }
}
