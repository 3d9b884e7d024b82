//! Tells a connection that hears nothing from one on which nothing is said: what the node sends to itself must come back.

use std::time::Duration;

use tokio::time::Instant;

/// The probes of one connection.
#[derive(Debug, Default)]
pub(super) struct Probe {
    number: u64,
    sent: Option<Instant>,
    missed: u32,
}

impl Probe {
    /// Returns how many probes in a row are overdue; asked before the next one is sent.
    pub(super) fn missed(&mut self) -> u32 {
        if self.sent.take().is_some() {
            self.missed += 1;
        }
        self.missed
    }

    /// Notes that the next probe is sent; returns its text.
    pub(super) fn sent(&mut self, now: Instant) -> String {
        self.number += 1;
        self.sent = Some(now);
        self.number.to_string()
    }

    /// Takes a probe that came back; returns how long it took. One that is late is none.
    pub(super) fn returned(&mut self, text: &[u8], at: Instant) -> Option<Duration> {
        if text != self.number.to_string().as_bytes() {
            return None;
        }
        self.missed = 0;
        self.sent.take().map(|sent| at.saturating_duration_since(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_back_in_time_is_missed() {
        let mut probe = Probe::default();
        let now = Instant::now();
        assert_eq!(probe.missed(), 0);
        let first = probe.sent(now);
        let trip = Duration::from_millis(3);
        assert_eq!(probe.returned(first.as_bytes(), now + trip), Some(trip));
        assert_eq!(probe.returned(first.as_bytes(), now + trip), None, "it came already");
        assert_eq!(probe.missed(), 0);
        let second = probe.sent(now);
        assert_eq!(probe.missed(), 1);
        let third = probe.sent(now);
        assert_eq!(probe.returned(second.as_bytes(), now), None, "it is late");
        assert_eq!(probe.missed(), 2);
        probe.sent(now);
        assert_eq!(probe.returned(third.as_bytes(), now), None);
        let fifth = probe.sent(now);
        assert!(probe.returned(fifth.as_bytes(), now).is_some());
        assert_eq!(probe.missed(), 0);
    }
}
