//! What one guest of a churn does, all of it following from its number: a run can be repeated. Pure.

use std::time::Duration;

/// Users that guests are in turn.
const USERS: u64 = 5000;

/// How a guest goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// By a Close frame, and waits for the answer.
    Close,
    /// Shuts the socket without a word.
    Shut,
    /// Resets the connection.
    Reset,
    /// As soon as the upgrade was asked for.
    Hasty,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    serial: u64,
    /// Rooms of each kind.
    rooms: u64,
}

impl Plan {
    pub(crate) fn new(serial: u64, rooms: usize) -> Self {
        Self { serial, rooms: rooms.max(1) as u64 }
    }

    /// Returns how long the guest stays: half of `mean` to one and a half.
    pub(crate) fn stay(&self, mean: Duration) -> Duration {
        mean / 2 + mean.mul_f64((self.draw(0) % 1000) as f64 / 1000.0)
    }

    pub(crate) fn leave(&self) -> Leave {
        match self.serial % 16 {
            0..8 => Leave::Close,
            8..13 => Leave::Shut,
            13 | 14 => Leave::Reset,
            _ => Leave::Hasty,
        }
    }

    pub(crate) fn user(&self) -> String {
        format!("user-{}", self.serial % USERS)
    }

    /// A public room that many share, one that nobody has had before, and one of each other kind.
    pub(crate) fn channels(&self) -> [String; 5] {
        [
            self.room("room", 1),
            self.own_channel(),
            self.room("private-room", 2),
            self.room("presence-room", 3),
            self.room("cache-room", 4),
        ]
    }

    /// What it leaves half-way: its own channel and, one in two, the presence channel.
    pub(crate) fn unsubscribes(&self) -> Vec<String> {
        let mut channels = vec![self.own_channel()];
        if self.draw(5).is_multiple_of(2) {
            channels.push(self.room("presence-room", 3));
        }
        channels
    }

    /// The channel that one guest in four sends a client event to, half-way.
    pub(crate) fn whispers_to(&self) -> Option<String> {
        self.draw(6).is_multiple_of(4).then(|| self.room("private-room", 2))
    }

    /// The users that one guest in four watches, which signs in for it.
    pub(crate) fn watches(&self) -> Option<[String; 2]> {
        let watched = |shift| format!("user-{}", (self.serial + shift) % USERS);
        self.draw(7).is_multiple_of(4).then(|| [watched(1), watched(10)])
    }

    fn own_channel(&self) -> String {
        format!("own-{}", self.serial)
    }

    fn room(&self, kind: &str, draw: u64) -> String {
        format!("{kind}-{}", self.draw(draw) % self.rooms)
    }

    /// Returns a number that looks like chance (the finalizer of splitmix64).
    fn draw(&self, which: u64) -> u64 {
        let mut mixed = (self.serial * 8 + which).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_differ_and_every_way_is_taken() {
        let plans: Vec<_> = (0..1600).map(|serial| Plan::new(serial, 10)).collect();
        let count = |leave| plans.iter().filter(|plan| plan.leave() == leave).count();
        let ways = [Leave::Close, Leave::Shut, Leave::Reset, Leave::Hasty].map(count);
        assert_eq!(ways, [800, 500, 200, 100]);
        let mean = Duration::from_secs(10);
        let stays: Vec<_> = plans.iter().map(|plan| plan.stay(mean)).collect();
        assert!(stays.iter().all(|stay| (5..15).contains(&stay.as_secs())));
        let together: Duration = stays.iter().sum();
        assert!((9..11).contains(&(together / 1600).as_secs()));
        let quiet = plans.iter().filter(|plan| plan.whispers_to().is_none()).count();
        assert!((1100..1300).contains(&quiet), "{quiet}");
        let rooms: std::collections::BTreeSet<_> =
            plans.iter().map(|plan| plan.room("room", 1)).collect();
        assert_eq!(rooms.len(), 10);
    }

    #[test]
    fn a_guest_leaves_what_it_joined() {
        for serial in 0..100 {
            let plan = Plan::new(serial, 7);
            let joined = plan.channels();
            assert!(plan.unsubscribes().iter().all(|channel| joined.contains(channel)));
            assert!(plan.whispers_to().is_none_or(|channel| joined.contains(&channel)));
        }
    }
}
