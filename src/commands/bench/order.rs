//! What one subscriber got of a numbered stream: in order, late, again, or not at all. No input or output here.

use std::ops::Range;

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Behind all that came before.
    InOrder,
    /// For the first time, but behind a later one.
    Late,
    /// Not for the first time.
    Again,
}

/// What a stream lacks when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Settled {
    /// Events the server has accepted and not delivered.
    pub(super) missing: u64,
    /// Events it has delivered and not accepted, or whose acceptance nobody knows.
    pub(super) unaccepted: u64,
}

/// The events of one publisher, as one subscriber saw them. Costs a comparison for each while they come in order.
#[derive(Debug, Default)]
pub(super) struct Lane {
    next: u64,
    /// Numbers that were jumped over, ascending.
    gaps: Vec<Range<u64>>,
}

impl Lane {
    /// Takes the number of an event that has come.
    pub(super) fn arrive(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            if number > self.next {
                self.gaps.push(self.next..number);
            }
            self.next = number.saturating_add(1);
            return Arrival::InOrder;
        }
        if self.fill(number) { Arrival::Late } else { Arrival::Again }
    }

    /// Takes a number out of the gaps, if it is in one.
    fn fill(&mut self, number: u64) -> bool {
        let index = self.place(number);
        let Some(gap) = self.gaps.get_mut(index).filter(|gap| gap.contains(&number)) else {
            return false;
        };
        let behind = number.saturating_add(1)..gap.end;
        gap.end = number;
        let is_empty = gap.is_empty();
        if !behind.is_empty() {
            self.gaps.insert(index.saturating_add(1), behind);
        }
        if is_empty {
            self.gaps.remove(index);
        }
        true
    }

    /// Returns which gap a number is in, if it is in one.
    fn place(&self, number: u64) -> usize {
        self.gaps.partition_point(|gap| gap.end <= number)
    }

    /// Compares with what was sent: `sent` events, of which the server has not accepted `refused`.
    pub(super) fn settle(&self, sent: u64, refused: &[u64]) -> Settled {
        let is_in_gap =
            |number| self.gaps.get(self.place(number)).is_some_and(|gap| gap.contains(&number));
        let is_absent = |number| number >= self.next || is_in_gap(number);
        // A number that nobody sent may have come: what it jumped over is not missing.
        let length = |gap: &Range<u64>| gap.end.min(sent).saturating_sub(gap.start);
        let absent = self.gaps.iter().map(length).sum::<u64>() + sent.saturating_sub(self.next);
        let refused_absent = refused.iter().filter(|number| is_absent(**number)).count() as u64;
        Settled {
            missing: absent.saturating_sub(refused_absent),
            unaccepted: (refused.len() as u64).saturating_sub(refused_absent),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn after(numbers: &[u64]) -> (Lane, Vec<Arrival>) {
        let mut lane = Lane::default();
        let arrivals = numbers.iter().map(|number| lane.arrive(*number)).collect();
        (lane, arrivals)
    }

    #[test]
    fn all_in_order_lacks_nothing() {
        let (lane, arrivals) = after(&[0, 1, 2, 3]);
        assert_eq!(arrivals, [Arrival::InOrder; 4]);
        assert_eq!(lane.settle(4, &[]), Settled::default());
    }

    #[test]
    fn planted_loss_is_found_in_the_middle_and_at_both_ends() {
        let (lane, _) = after(&[1, 2, 5]);
        assert_eq!(lane.settle(8, &[]), Settled { missing: 1 + 2 + 2, unaccepted: 0 });
        assert_eq!(after(&[]).0.settle(3, &[]).missing, 3);
    }

    #[test]
    fn planted_duplicates_and_reordering_are_told_apart() {
        use Arrival::{Again, InOrder, Late};
        let (lane, arrivals) = after(&[0, 3, 1, 1, 3, 2, 2, 4, 0]);
        assert_eq!(arrivals, [InOrder, InOrder, Late, Again, Again, Late, Again, InOrder, Again]);
        assert_eq!(lane.settle(5, &[]), Settled::default());
    }

    #[test]
    fn what_was_refused_is_not_missed() {
        let (lane, _) = after(&[0, 2]);
        assert_eq!(lane.settle(4, &[1, 3]), Settled::default());
        let (lane, _) = after(&[0, 1, 2]);
        assert_eq!(lane.settle(4, &[1, 3]), Settled { missing: 0, unaccepted: 1 });
    }

    proptest! {
        /// Against sets: whatever comes in whatever order, numbers that nobody sent included.
        #[test]
        fn counts_as_sets_do(
            numbers in proptest::collection::vec(0_u64..60, 0..80),
            refused in proptest::collection::btree_set(0_u64..40, 0..10),
        ) {
            let mut lane = Lane::default();
            let mut seen = HashSet::new();
            let mut highest = None;
            for number in numbers {
                let expected = match (seen.insert(number), highest < Some(number)) {
                    (false, _) => Arrival::Again,
                    (true, true) => Arrival::InOrder,
                    (true, false) => Arrival::Late,
                };
                highest = highest.max(Some(number));
                prop_assert_eq!(lane.arrive(number), expected);
            }
            let missing = (0..40).filter(|number| !seen.contains(number) && !refused.contains(number));
            let unaccepted = refused.iter().filter(|number| seen.contains(number));
            let expected = Settled {
                missing: missing.count() as u64,
                unaccepted: unaccepted.count() as u64,
            };
            let refused: Vec<u64> = refused.iter().copied().collect();
            prop_assert_eq!(lane.settle(40, &refused), expected);
        }
    }
}
