//! What an event of a measurement carries in its data: whose it is, its number, and when it was due.

use std::time::Duration;

/// Least length of an event's data: the longest mark fits.
pub(crate) const SMALLEST_DATA: i64 = 64;

const MARK: &str = "bench";

/// The parts of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Correctness counts, latencies do not.
    WarmUp,
    /// Everything counts.
    Measured,
}

impl Phase {
    /// Both, in the order they happen.
    pub(super) const ALL: [Self; 2] = [Self::WarmUp, Self::Measured];

    /// Returns its place in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::WarmUp => 0,
            Self::Measured => 1,
        }
    }

    const fn letter(self) -> &'static str {
        match self {
            Self::WarmUp => "w",
            Self::Measured => "m",
        }
    }
}

/// One event's identity. Numbers count from 0 for each phase, publisher and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) phase: Phase,
    pub(super) publisher: u32,
    pub(super) number: u64,
    /// When it was due, since the start of this process's clock.
    pub(super) due: Duration,
    pub(super) channel: u32,
}

impl Stamp {
    /// Writes data of `size` bytes: `bench m 3 17 1234567890 0 xxx…`.
    pub(super) fn write(&self, size: usize) -> String {
        let Self { phase, publisher, number, due, channel } = self;
        let (phase, due) = (phase.letter(), due.as_nanos());
        let mut text = format!("{MARK} {phase} {publisher} {number} {due} {channel} ");
        text.extend(std::iter::repeat_n('x', size.saturating_sub(text.len())));
        text
    }

    /// Reads the stamp off an event's data; `None` for events of others.
    pub(super) fn read(data: &str) -> Option<Self> {
        let mut words = data.split(' ');
        if words.next()? != MARK {
            return None;
        }
        let letter = words.next()?;
        let phase = Phase::ALL.into_iter().find(|phase| phase.letter() == letter)?;
        Some(Self {
            phase,
            publisher: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            due: Duration::from_nanos(words.next()?.parse().ok()?),
            channel: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_has_its_size() {
        let stamp = Stamp {
            phase: Phase::Measured,
            publisher: 3,
            number: 17,
            due: Duration::from_nanos(1_234_567_890),
            channel: 5,
        };
        let data = stamp.write(128);
        assert_eq!(data.len(), 128);
        assert_eq!(Stamp::read(&data), Some(stamp));
    }

    #[test]
    fn the_longest_stamp_fits_the_smallest_data() {
        let stamp = Stamp {
            phase: Phase::WarmUp,
            publisher: 1023,
            number: u64::MAX,
            due: Duration::from_nanos(u64::MAX),
            channel: 999_999,
        };
        let data = stamp.write(usize::try_from(SMALLEST_DATA).unwrap_or_default());
        assert_eq!(i64::try_from(data.len()), Ok(SMALLEST_DATA));
        assert_eq!(Stamp::read(&data), Some(stamp));
    }

    #[test]
    fn data_of_others_is_left_alone() {
        for data in ["", "bench", "bench q 1 2 3 4 x", "bench m -1 2 3 4 x", "hello m 1 2 3 4 x"] {
            assert_eq!(Stamp::read(data), None, "{data}");
        }
    }
}
