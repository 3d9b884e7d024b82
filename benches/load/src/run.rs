//! The measured part: sends events, as fast as they are delivered or at a rate, and counts.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::Events;

use crate::crowd::Crowd;
use crate::options::{Mode, Options};
use crate::probe::Probe;
use crate::publisher::{FIRST_PUBLISHER, Outcome, Publisher};
use crate::subscriber::Stage;
use crate::tally::{Backlog, latencies};
use crate::usage::Usage;

/// Client events sent before sockets are looked at again.
const BURST: usize = 256;
/// In a closed loop of client events, deliveries that may be outstanding for each event of the window.
const CLIENT_WINDOW: u64 = 64;
/// Bytes of data that are not filler: the mark and the time stamp.
const STAMP_BYTES: usize = 24;

/// The state of all counts at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) usage: Usage,
    pub(crate) delivered: u64,
    pub(crate) bytes_in: u64,
    pub(crate) published: u64,
}

/// What was seen between the end of the warm-up and the end.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) from: Snapshot,
    pub(crate) to: Snapshot,
    pub(crate) triggers: Outcome,
    /// How long pings were unanswered, in nanoseconds.
    pub(crate) pings: Histogram<u64>,
}

pub(crate) struct Run<'c> {
    options: &'c Options,
    crowd: &'c mut Crowd,
    publishers: Vec<Publisher>,
    triggers: Outcome,
    backlog: Backlog,
    filler: String,
    /// Answered or on their way.
    published: u64,
    /// Whose turn it is: channels, or clients in turn.
    turn: usize,
}

impl<'c> Run<'c> {
    pub(crate) fn new(options: &'c Options, crowd: &'c mut Crowd) -> io::Result<Self> {
        let publishers = match options.mode {
            Mode::Fanout => {
                Publisher::connect_all(options, crowd.poll.registry(), crowd.tls.as_ref())?
            }
            Mode::Client | Mode::Idle | Mode::Churn => Vec::new(),
        };
        Ok(Self {
            options,
            publishers,
            triggers: Outcome::new()?,
            backlog: Backlog::new(&crowd.tally),
            crowd,
            filler: "x".repeat(options.size.saturating_sub(STAMP_BYTES)),
            published: 0,
            turn: 0,
        })
    }

    /// Warms up, measures, and returns what was seen.
    pub(crate) fn measure(mut self) -> io::Result<Measured> {
        let start = Instant::now();
        let warm_up = Duration::from_secs(self.options.warm_up);
        self.go_on(start, warm_up)?;
        let probe = self.probe()?;
        self.crowd.tally.measuring = true;
        let from = self.snapshot()?;
        let measured_from = Instant::now();
        self.go_on(start, warm_up + Duration::from_secs(self.options.seconds))?;
        let seconds = measured_from.elapsed().as_secs_f64();
        let to = self.snapshot()?;
        let pings = probe.map_or_else(latencies, Probe::finish)?;
        Ok(Measured { seconds, from, to, triggers: self.triggers, pings })
    }

    fn probe(&self) -> io::Result<Option<Probe>> {
        let server = self.options.addresses.first().filter(|_| self.options.probe);
        server.map(|address| Probe::start(*address, &self.crowd.target)).transpose()
    }

    fn go_on(&mut self, start: Instant, until: Duration) -> io::Result<()> {
        loop {
            let elapsed = start.elapsed();
            if elapsed > until {
                return Ok(());
            }
            self.backlog.judge(&mut self.crowd.tally);
            let due = match self.options.rate {
                0 => u64::MAX,
                rate => (elapsed.as_secs_f64() * rate as f64) as u64,
            };
            match self.options.mode {
                Mode::Client => self.send_client_events(due),
                Mode::Fanout | Mode::Idle | Mode::Churn => self.send_triggers(due),
            }
            self.crowd.wait(if self.options.rate > 0 {
                Duration::from_micros(500)
            } else {
                Duration::from_millis(20)
            })?;
            self.pump()?;
        }
    }

    fn pump(&mut self) -> io::Result<()> {
        let events = std::mem::replace(&mut self.crowd.events, Events::with_capacity(0));
        for event in &events {
            let token = event.token().0;
            let Some(publisher) = token.checked_sub(FIRST_PUBLISHER) else {
                self.crowd.pump(token);
                continue;
            };
            if let Some(publisher) = self.publishers.get_mut(publisher) {
                let Crowd { buffer, poll, tally, .. } = &mut *self.crowd;
                publisher.pump(buffer, poll.registry(), tally, &mut self.triggers)?;
            }
        }
        self.crowd.events = events;
        Ok(())
    }

    fn send_triggers(&mut self, due: u64) {
        let Crowd { target, tally, per_channel, .. } = &*self.crowd;
        for publisher in &mut self.publishers {
            if publisher.is_busy() || self.published >= due {
                continue;
            }
            let channel = self.turn % target.channels;
            let subscribers = per_channel.get(channel).copied().unwrap_or(0);
            let room = self.options.window * subscribers.max(1);
            if self.options.rate == 0 && self.backlog.outstanding(tally) >= room {
                break;
            }
            self.turn += 1;
            let body = format!(
                r#"{{"name":"ev","channels":["{}"],"data":"@@{} {}"}}"#,
                target.channel(channel),
                tally.now(),
                self.filler
            );
            publisher.send(target.trigger(&body, ""), tally.now());
            self.published += 1;
            self.backlog.expect(subscribers);
        }
    }

    fn send_client_events(&mut self, due: u64) {
        let Crowd { target, tally, per_channel, subscribers, .. } = &mut *self.crowd;
        let room = self.options.window * CLIENT_WINDOW;
        for _ in 0..BURST {
            let is_full = self.options.rate == 0 && self.backlog.outstanding(tally) >= room;
            if self.published >= due || is_full {
                return;
            }
            let index = self.turn % subscribers.len().max(1);
            self.turn += 1;
            let Some(subscriber) = subscribers.get_mut(index) else {
                return;
            };
            if subscriber.stage != Stage::Ready {
                continue;
            }
            let channel = subscriber.channel;
            let event = format!(
                r#"{{"event":"client-ev","channel":"{}","data":"@@{} {}"}}"#,
                target.channel(channel),
                tally.now(),
                self.filler
            );
            subscriber.send(&event);
            self.published += 1;
            let others = per_channel.get(channel).map_or(0, |all| all.saturating_sub(1));
            self.backlog.expect(others);
        }
    }

    fn snapshot(&self) -> io::Result<Snapshot> {
        Ok(Snapshot {
            usage: Usage::of(&self.options.pids)?,
            delivered: self.crowd.tally.delivered,
            bytes_in: self.crowd.tally.bytes_in,
            published: self.published,
        })
    }
}
