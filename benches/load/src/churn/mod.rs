//! Guests that come and go without end, while signed triggers reach those who are there.

mod figures;
mod guest;
mod plan;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::{Duration, Instant};

use mio::Events;

use self::figures::Counts;
pub(crate) use self::figures::Stays;
use self::guest::Guest;
use self::plan::{Leave, Plan};
use crate::crowd::Crowd;
use crate::options::Options;
use crate::publisher::{FIRST_PUBLISHER, Outcome, Publisher};
use crate::usage::Usage;

/// Guests that may come in one turn, when the machine was busy with other things.
const ARRIVALS_PER_TURN: usize = 32;
/// The longest turn.
const TURN: Duration = Duration::from_millis(5);
/// How long the answer to a Close frame may take.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long everybody may take to be gone at the end.
const END: Duration = Duration::from_secs(20);
/// Bytes of data that are not filler: the mark and the time stamp.
const STAMP_BYTES: usize = 24;
/// The kinds of rooms that triggers go to.
const KINDS: [&str; 4] = ["room", "private-room", "presence-room", "cache-room"];

/// What is to happen to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Stir,
    Leave,
    Overdue,
}

/// See the module.
pub(crate) struct Churn<'o> {
    options: &'o Options,
    crowd: Crowd,
    /// Whom a token means; the number tells a guest from the next one in its place.
    guests: Vec<Option<(u64, Guest)>>,
    free: Vec<usize>,
    diary: BinaryHeap<Reverse<(Instant, usize, u64, Due)>>,
    publishers: Vec<Publisher>,
    triggers: Outcome,
    published: u64,
    counts: Counts,
}

impl<'o> Churn<'o> {
    pub(crate) fn new(options: &'o Options, crowd: Crowd) -> io::Result<Self> {
        if options.rate == 0 {
            return Err(io::Error::other("a churn needs --rate"));
        }
        let publishers =
            Publisher::connect_all(options, crowd.poll.registry(), crowd.tls.as_ref())?;
        Ok(Self {
            options,
            crowd,
            guests: Vec::new(),
            free: Vec::new(),
            diary: BinaryHeap::new(),
            publishers,
            triggers: Outcome::new()?,
            published: 0,
            counts: Counts::default(),
        })
    }

    /// Lets guests come and go for the time that is wanted, then has everybody leave.
    pub(crate) fn run(mut self, before: Usage) -> io::Result<Stays> {
        let start = Instant::now();
        let length = Duration::from_secs(self.options.warm_up + self.options.seconds);
        while start.elapsed() < length {
            self.welcome(due(start, self.options.rate))?;
            self.publish(due(start, self.options.triggers));
            self.turn()?;
        }
        let seconds = start.elapsed();
        let used = Usage::of(&self.options.pids)?.seconds() - before.seconds();
        self.empty()?;
        let after = Usage::of(&self.options.pids)?;
        Ok(Stays::new(seconds, self.counts, &self.triggers, self.crowd.tally, used, before, after))
    }

    /// Brings everybody who is here to leave, and waits until the last has gone.
    fn empty(&mut self) -> io::Result<()> {
        let start = Instant::now();
        for (token, guest) in self.guests.iter().enumerate() {
            if let Some((serial, _)) = guest {
                self.diary.push(Reverse((start, token, *serial, Due::Leave)));
            }
        }
        while self.guests.iter().any(Option::is_some) {
            if start.elapsed() > END {
                self.crowd.tally.error("guests that do not end");
                break;
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.crowd.wait(TURN)?;
        let events = std::mem::replace(&mut self.crowd.events, Events::with_capacity(0));
        for event in &events {
            let token = event.token().0;
            match token.checked_sub(FIRST_PUBLISHER) {
                None => self.pump(token),
                Some(publisher) => {
                    if let Some(publisher) = self.publishers.get_mut(publisher) {
                        let Crowd { buffer, poll, tally, .. } = &mut self.crowd;
                        publisher.pump(buffer, poll.registry(), tally, &mut self.triggers)?;
                    }
                }
            }
        }
        self.crowd.events = events;
        self.keep_the_diary();
        Ok(())
    }

    fn welcome(&mut self, due: u64) -> io::Result<()> {
        for _ in 0..ARRIVALS_PER_TURN {
            let serial = self.counts.arrived;
            if serial >= due {
                break;
            }
            self.counts.arrived += 1;
            let token = self.free.pop().unwrap_or(self.guests.len());
            let (link, handshake) = self.crowd.link(serial as usize, token)?;
            let plan = Plan::new(serial, self.options.channels);
            let guest = Some((serial, Guest::new(link, plan, handshake)));
            match self.guests.get_mut(token) {
                Some(place) => *place = guest,
                None => self.guests.push(guest),
            }
            let now = Instant::now();
            let mut note = |wait, due| self.diary.push(Reverse((now + wait, token, serial, due)));
            if plan.leave() == Leave::Hasty {
                // some before the upgrade is answered, some in the middle of their subscriptions
                note(Duration::from_millis(serial / 16 % 8), Due::Leave);
            } else {
                let stay = plan.stay(Duration::from_secs(self.options.stay));
                note(stay / 2, Due::Stir);
                note(stay, Due::Leave);
            }
        }
        Ok(())
    }

    fn publish(&mut self, due: u64) {
        let Crowd { target, tally, .. } = &self.crowd;
        for _ in 0..self.publishers.len() {
            // in turn: one that never gets to work is closed by the server
            let next = self.published as usize % self.publishers.len().max(1);
            let Some(publisher) = self.publishers.get_mut(next) else {
                return;
            };
            if publisher.is_busy() || self.published >= due {
                return;
            }
            let turn = self.published as usize;
            let room = |shift: usize| {
                let kind = KINDS.iter().cycle().nth((turn + shift) % KINDS.len()).copied();
                format!("{}-{}", kind.unwrap_or_default(), turn / KINDS.len() % target.channels)
            };
            let body = format!(
                r#"{{"name":"ev","channels":["{}","{}"],"data":"@@{} {}"}}"#,
                room(0),
                room(1),
                tally.now(),
                "x".repeat(self.options.size.saturating_sub(STAMP_BYTES)),
            );
            let key = format!("Idempotency-Key: churn-{turn}\r\n");
            // every other one may be repeated
            let headers = if turn.is_multiple_of(2) { key.as_str() } else { "" };
            publisher.send(target.trigger(&body, headers), tally.now());
            self.published += 1;
        }
    }

    fn pump(&mut self, token: usize) {
        if let Some(Some((_, guest))) = self.guests.get_mut(token) {
            let Crowd { buffer, target, tally, .. } = &mut self.crowd;
            if guest.pump(buffer, target, tally, &mut self.counts).is_err() {
                self.dismiss(token);
            }
        }
    }

    fn keep_the_diary(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((when, token, serial, due))) = self.diary.peek().copied()
            && when <= now
        {
            self.diary.pop();
            let guest = self.guests.get_mut(token).and_then(Option::as_mut);
            let Some((_, guest)) = guest.filter(|(number, _)| *number == serial) else {
                continue;
            };
            match due {
                Due::Stir => guest.stir(&self.crowd.tally, &mut self.counts),
                Due::Leave if guest.is_leaving() => {}
                Due::Leave => {
                    if guest.leave(&mut self.counts).is_err() {
                        self.dismiss(token);
                    } else {
                        self.diary.push(Reverse((now + FAREWELL, token, serial, Due::Overdue)));
                    }
                }
                Due::Overdue => {
                    self.crowd.tally.error("no answer to a Close frame");
                    self.dismiss(token);
                }
            }
        }
    }

    /// Drops a guest's socket.
    fn dismiss(&mut self, token: usize) {
        if let Some(place) = self.guests.get_mut(token)
            && let Some((_, mut guest)) = place.take()
        {
            // a socket that cannot be taken off the list is off it once it is dropped
            drop(self.crowd.poll.registry().deregister(guest.socket_mut()));
            self.free.push(token);
        }
    }
}

/// Returns how many things of a rate are due by now.
fn due(start: Instant, per_second: u64) -> u64 {
    (start.elapsed().as_secs_f64() * per_second as f64) as u64
}
