//! The ledger against a model of Redis that hears what is said, or does not, or hears it unnoticed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::channel::Member;
use crate::protocol::{AppId, ChannelName};

fn key(channel: u8) -> ChannelKey {
    let channel = ChannelName::parse(&format!("presence-{channel}"), 164).unwrap();
    ChannelKey { app: AppId::new("app"), channel }
}

fn user(user: u8) -> UserId {
    UserId::member(&user.to_string()).unwrap()
}

fn enter(channel: u8, of: u8, number: u64, limit: usize) -> Enter {
    let member = Member { user: user(of), info: "{}".into() };
    Enter { key: key(channel), ticket: ticket(number), member, limit, roster: false }
}

fn ticket(number: u64) -> Ticket {
    Ticket { life: 0, number }
}

#[test]
fn wishes_of_one_user_go_together_and_one_saying_is_under_way() {
    let mut ledger = Ledger::default();
    let now = Moment::default();
    ledger.enter(enter(1, 1, 1, 2), now);
    let first = ledger.take(9);
    assert!(
        matches!(&*first, [Saying::Member(.., said)] if said.connections == 1 && said.limit == Some(2))
    );
    ledger.enter(enter(1, 1, 2, 2), now);
    ledger.enter(enter(1, 1, 3, 2), now);
    assert_eq!(ledger.take(9), []);
    let answered = ledger.hear(first.into_iter().next().unwrap().into_slot(), Heard::Done);
    assert_eq!(answered.len(), 1);
    let second = ledger.take(9);
    assert!(
        matches!(&*second, [Saying::Member(.., said)] if said.connections == 3 && said.limit.is_none())
    );
}

#[test]
fn a_wish_that_is_taken_back_is_answered_by_nothing_and_leaves_nothing() {
    let mut ledger = Ledger::default();
    ledger.enter(enter(1, 1, 1, 2), Moment::default());
    let slot = ledger.take(9).pop().unwrap().into_slot();
    ledger.leave(Leave { key: key(1), ticket: ticket(1), user: user(1) });
    assert_eq!(ledger.hear(slot, Heard::Done), []);
    let saying = ledger.take(9).pop().unwrap();
    assert!(matches!(&saying, Saying::Member(.., said) if said.connections == 0));
    ledger.hear(saying.into_slot(), Heard::Done);
    assert!(ledger.members.is_empty() && ledger.is_settled());
}

#[test]
fn a_wish_is_given_up_after_a_while_and_a_late_leave_does_no_harm() {
    let mut ledger = Ledger::default();
    let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
    ledger.enter(enter(1, 1, 1, 2), at(0));
    ledger.enter(enter(1, 1, 2, 2), at(3));
    assert_eq!(ledger.give_up(at(4), Duration::from_secs(4)), [(key(1), ticket(1))]);
    let saying = ledger.take(9).pop().unwrap();
    assert!(matches!(&saying, Saying::Member(.., said) if said.connections == 1));
    ledger.hear(saying.into_slot(), Heard::Done);
    ledger.leave(Leave { key: key(1), ticket: ticket(1), user: user(1) });
    assert_eq!(ledger.take(9), []);
    assert_eq!(ledger.give_up(at(99), Duration::from_secs(4)), []);
}

#[test]
fn wishes_that_come_and_go_while_nobody_listens_leave_nothing() {
    let mut ledger = Ledger::default();
    let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
    for number in 0..100 {
        let of = u8::try_from(number).unwrap();
        ledger.enter(enter(of % 10, of, number, 2), at(number));
        ledger.give_up(at(number), Duration::from_secs(4));
        assert!(ledger.due.len() <= 4, "{}", ledger.due.len());
    }
    ledger.count(key(1), 1);
    ledger.give_up(at(200), Duration::from_secs(4));
    assert!(ledger.members.is_empty() && ledger.patience.is_empty());
    assert_eq!(ledger.take(9), [Saying::Count(key(1), 1)]);
}

#[test]
fn what_comes_and_goes_while_the_broker_is_away_leaves_nothing_behind_the_next_try_to_reach_it() {
    let mut ledger = Ledger::default();
    ledger.count(key(0), 1);
    for number in 1..100 {
        ledger.count(key(number), 1);
        ledger.vacate(&key(number));
    }
    ledger.lose_touch();
    assert_eq!((ledger.due.len(), ledger.counts.len()), (1, 1));
    assert_eq!(ledger.take(9), [Saying::Count(key(0), 1)]);
}

#[test]
fn what_is_refused_is_said_again_later() {
    let mut ledger = Ledger::default();
    ledger.enter(enter(1, 1, 1, 2), Moment::default());
    ledger.count(key(2), 1);
    for saying in ledger.take(9) {
        ledger.refuse(saying.into_slot());
    }
    assert!(!ledger.is_settled());
    assert_eq!(ledger.take(9), []);
    ledger.ripen();
    let again = ledger.take(9);
    assert_eq!(again.len(), 2);
    let answered: Vec<_> =
        again.into_iter().flat_map(|saying| ledger.hear(saying.into_slot(), Heard::Done)).collect();
    assert_eq!(answered.len(), 1);
    ledger.ripen();
    assert!(ledger.is_settled());
}

#[test]
fn counts_wait_unless_they_occupy_or_vacate() {
    let mut ledger = Ledger::default();
    ledger.count(key(1), 1);
    let saying = ledger.take(9).pop().unwrap();
    assert_eq!(saying, Saying::Count(key(1), 1));
    ledger.hear(saying.into_slot(), Heard::Done);
    ledger.count(key(1), 2);
    ledger.count(key(1), 3);
    assert_eq!(ledger.take(9), []);
    ledger.ripen();
    let saying = ledger.take(9).pop().unwrap();
    assert_eq!(saying, Saying::Count(key(1), 3));
    ledger.count(key(1), 4);
    ledger.hear(saying.into_slot(), Heard::Done);
    assert_eq!(ledger.take(9), []);
    ledger.count(key(1), 0);
    let saying = ledger.take(9).pop().unwrap();
    assert_eq!(saying, Saying::Count(key(1), 0));
    ledger.hear(saying.into_slot(), Heard::Done);
    ledger.ripen();
    assert_eq!(ledger.take(9), []);
    assert!(ledger.counts.is_empty() && ledger.is_settled());
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u8),
    Leave(prop::sample::Index),
    Count(u8, u64),
    Vacate(u8),
    /// What is said is heard and answered, heard unnoticed, not heard, or refused.
    Speak(Vec<u8>),
    LoseTouch,
    StartAnew,
    Ripen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..2, 0_u8..3).prop_map(|(channel, user)| Step::Enter(channel, user)),
        4 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => (0_u8..2, 0_u64..4).prop_map(|(channel, count)| Step::Count(channel, count)),
        1 => (0_u8..2).prop_map(Step::Vacate),
        6 => prop::collection::vec(0_u8..5, 0..4).prop_map(Step::Speak),
        1 => Just(Step::LoseTouch),
        1 => Just(Step::StartAnew),
        2 => Just(Step::Ripen),
    ]
}

/// What Redis holds of this node.
#[derive(Default)]
struct Model {
    members: BTreeMap<String, u64>,
    counts: BTreeMap<String, u64>,
}

impl Model {
    /// Does as the scripts do, with room for two users in a channel.
    fn hear(&mut self, saying: &Saying) -> Heard {
        match saying {
            Saying::Member(channel, user, said) => {
                let channel = channel.to_string();
                let here = self.members.keys().filter(|row| row.starts_with(&channel)).count();
                let row = format!("{channel}|{user}");
                let is_new = !self.members.contains_key(&row);
                if said.connections > 0 && is_new && said.limit.is_some_and(|limit| here >= limit) {
                    return Heard::Full;
                }
                set(&mut self.members, row, said.connections);
            }
            Saying::Count(channel, count) => set(&mut self.counts, channel.to_string(), *count),
        }
        Heard::Done
    }
}

fn set(rows: &mut BTreeMap<String, u64>, row: String, number: u64) {
    if number == 0 {
        rows.remove(&row);
    } else {
        rows.insert(row, number);
    }
}

proptest! {
    /// Whatever is heard, lost or answered too late: in the end Redis holds exactly the connections that
    /// were admitted and have not left, every wish had one answer at most, and the ledger keeps nothing else.
    #[test]
    fn redis_holds_what_the_node_has(steps in prop::collection::vec(step(), 0..120)) {
        let (mut ledger, mut model) = (Ledger::default(), Model::default());
        let mut held: BTreeMap<u64, (u8, u8)> = BTreeMap::new();
        let mut open: BTreeMap<u64, (u8, u8)> = BTreeMap::new();
        let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
        let mut number = 0;
        let done = (0..40).flat_map(|_| [Step::Ripen, Step::Speak(vec![0; 8])]);
        for step in steps.into_iter().chain(done) {
            match step {
                Step::Enter(channel, user) => {
                    number += 1;
                    ledger.enter(enter(channel, user, number, 2), Moment::default());
                    open.insert(number, (channel, user));
                }
                Step::Leave(index) => {
                    let all: Vec<_> = held.iter().chain(&open).map(|(n, at)| (*n, *at)).collect();
                    if !all.is_empty() {
                        let (number, (channel, of)) = all[index.index(all.len())];
                        ledger.leave(Leave { key: key(channel), ticket: ticket(number), user: user(of) });
                        held.remove(&number);
                        open.remove(&number);
                    }
                }
                Step::Count(channel, count) => {
                    ledger.count(key(channel), count);
                    counts.insert(channel, count);
                }
                Step::Vacate(channel) => {
                    ledger.vacate(&key(channel));
                    held.retain(|_, (at, _)| *at != channel);
                    open.retain(|_, (at, _)| *at != channel);
                    counts.remove(&channel);
                }
                Step::Speak(fates) => {
                    for (saying, fate) in ledger.take(fates.len()).into_iter().zip(fates) {
                        let heard = match fate {
                            0 | 1 => model.hear(&saying),
                            4 => {
                                ledger.refuse(saying.into_slot());
                                continue;
                            }
                            2 => {
                                model.hear(&saying);
                                Heard::Unknown
                            }
                            _ => Heard::Unknown,
                        };
                        for wish in ledger.hear(saying.into_slot(), heard) {
                            let at = open.remove(&wish.ticket.number);
                            prop_assert!(at.is_some(), "answered twice or unasked");
                            if heard == Heard::Done {
                                held.insert(wish.ticket.number, at.unwrap());
                            }
                        }
                    }
                }
                Step::LoseTouch => ledger.lose_touch(),
                Step::StartAnew => {
                    ledger.start_anew();
                    model = Model::default();
                }
                Step::Ripen => ledger.ripen(),
            }
        }
        prop_assert!(ledger.is_settled());
        prop_assert!(open.is_empty());
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (channel, user) in held.values() {
            *expected.entry(format!("{}|{user}", key(*channel))).or_default() += 1;
        }
        prop_assert_eq!(&model.members, &expected);
        let counted = counts.iter().filter(|(_, count)| **count > 0);
        let counted: BTreeMap<_, _> = counted.map(|(channel, count)| (key(*channel).to_string(), *count)).collect();
        prop_assert_eq!(&model.counts, &counted);
        let kept: BTreeSet<_> = ledger.members.values().flat_map(|users| users.keys().map(ToString::to_string)).collect();
        let users: BTreeSet<_> = held.values().map(|(_, user)| user.to_string()).collect();
        prop_assert_eq!(kept, users);
        prop_assert_eq!(ledger.counts.len(), counted.len());
    }
}
