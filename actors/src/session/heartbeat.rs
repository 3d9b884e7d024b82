//! Tells a silent client from a dead one (protocol section 2.4).

use crate::clock::Moment;
use crate::limits::NodeLimits;

/// When a client was last heard, and whether it was pinged since.
#[derive(Debug)]
pub(super) struct Heartbeat {
    heard: Moment,
    pinged: Option<Moment>,
}

/// What the silence of a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing yet.
    Rest,
    /// A ping.
    Ping,
    /// The end: a ping was not answered in time.
    Lost,
}

impl Heartbeat {
    pub(super) fn start(now: Moment) -> Self {
        Self { heard: now, pinged: None }
    }

    /// Takes note of a sign of life, whatever it is.
    pub(super) fn hear(&mut self, now: Moment) {
        self.heard = now;
        self.pinged = None;
    }

    /// Returns what is due now. [`Beat::Ping`] is returned once per silence.
    pub(super) fn beat(&mut self, now: Moment, limits: &NodeLimits) -> Beat {
        if now < self.next(limits) {
            return Beat::Rest;
        }
        if self.pinged.is_some() {
            return Beat::Lost;
        }
        self.pinged = Some(now);
        Beat::Ping
    }

    /// Returns when [`Self::beat`] has something to say, if nothing is heard until then.
    pub(super) fn next(&self, limits: &NodeLimits) -> Moment {
        match self.pinged {
            Some(pinged) => pinged.after(limits.pong_timeout),
            None => self.heard.after(limits.activity_timeout),
        }
    }
}
