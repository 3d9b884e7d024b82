//! The last event of a cache channel, for as long as it is remembered (protocol section 3.8). Pure.

use std::time::Duration;

use bytestring::ByteString;

use crate::clock::Moment;
use crate::facts::CachedEvent;
use crate::protocol::Frame;

/// The event that a cache channel gives to those who come later.
#[derive(Debug, Default)]
pub(crate) struct Cache(Option<Remembered>);

#[derive(Debug)]
struct Remembered {
    frame: Frame,
    data: ByteString,
    until: Moment,
}

impl Cache {
    /// Remembers an event until `until`, in place of an earlier one.
    pub(crate) fn remember(&mut self, frame: Frame, data: ByteString, until: Moment) {
        self.0 = Some(Remembered { frame, data, until });
    }

    /// Returns the frame to replay, if it is still remembered.
    pub(crate) fn replay(&mut self, now: Moment) -> Option<Frame> {
        self.expire(now);
        self.0.as_ref().map(|remembered| remembered.frame.clone())
    }

    /// Returns the event for the API.
    pub(crate) fn event(&mut self, now: Moment) -> Option<CachedEvent> {
        self.expire(now);
        self.0.as_ref().map(|remembered| CachedEvent {
            data: remembered.data.clone(),
            expires_in: remembered.until.since(now),
        })
    }

    /// Returns how long something is still remembered; `None` when nothing is.
    pub(crate) fn holds_for(&mut self, now: Moment) -> Option<Duration> {
        self.expire(now);
        self.0.as_ref().map(|remembered| remembered.until.since(now))
    }

    fn expire(&mut self, now: Moment) {
        if self.0.as_ref().is_some_and(|remembered| now >= remembered.until) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn an_event_is_forgotten_when_its_time_is_up() {
        let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
        let mut cache = Cache::default();
        assert_eq!(cache.replay(at(0)), None);
        cache.remember(Frame::ping(), "1".into(), at(10));
        assert_eq!(cache.replay(at(9)), Some(Frame::ping()));
        let event = cache.event(at(7)).unwrap();
        assert_eq!((&*event.data, event.expires_in), ("1", Duration::from_secs(3)));
        assert_eq!(cache.holds_for(at(10)), None);
        assert_eq!(cache.replay(at(10)), None);
    }
}
