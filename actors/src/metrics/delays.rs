//! How long something took, counted by length.

use std::time::Duration;

use super::Counter;

/// Delays by their length.
#[derive(Debug)]
pub struct Delays {
    /// In microseconds, from the shortest on.
    bounds: &'static [u32],
    within: Box<[Counter]>,
    longer: Counter,
    microseconds: Counter,
}

impl Delays {
    /// Tells delays apart by these bounds, in microseconds, from the shortest on.
    pub(crate) fn new(bounds: &'static [u32]) -> Self {
        Self {
            bounds,
            within: bounds.iter().map(|_| Counter::default()).collect(),
            longer: Counter::default(),
            microseconds: Counter::default(),
        }
    }

    /// Counts one.
    pub fn add(&self, delay: Duration) {
        let index = self.bounds.iter().position(|bound| delay <= microseconds(*bound));
        let counter = index.and_then(|index| self.within.get(index));
        counter.unwrap_or(&self.longer).add(1);
        self.microseconds.add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns each bound and how many delays were not longer; `None` stands for all delays.
    pub fn within(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = self.bounds.iter().map(|bound| Some(microseconds(*bound))).chain([None]);
        let counters = self.within.iter().chain([&self.longer]);
        bounds.zip(counters.scan(0, |sum, counter| {
            *sum += counter.get();
            Some(*sum)
        }))
    }

    /// Returns how many there were.
    pub fn count(&self) -> u64 {
        self.within().last().map_or(0, |(_, count)| count)
    }

    /// Returns the sum of all delays.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.get())
    }
}

fn microseconds(count: u32) -> Duration {
    Duration::from_micros(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_counted_within_every_bound_that_it_keeps() {
        let delays = Delays::new(&[1_000, 2_000, 20_000]);
        for millis in [0, 1, 20, 21, 60_000] {
            delays.add(Duration::from_millis(millis));
        }
        let within: Vec<_> = delays.within().map(|(_, count)| count).collect();
        assert_eq!(within, [2, 2, 3, 5]);
        assert_eq!(delays.within().nth(2), Some((Some(Duration::from_millis(20)), 3)));
        assert_eq!(delays.sum(), Duration::from_millis(60_042));
    }
}
