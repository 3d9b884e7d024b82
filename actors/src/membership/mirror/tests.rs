//! Rosters and events that come in any order, and what the mirror shows of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::membership::Counts;

fn at(serial: u64) -> Position {
    Position { epoch: "e".into(), serial }
}

fn named(user: usize) -> Member {
    Member { user: UserId::member(&user.to_string()).unwrap(), info: "{}".into() }
}

fn shown(mirror: &Mirror) -> BTreeSet<String> {
    mirror.members().map(|(user, _)| user.to_string()).collect()
}

#[test]
fn another_sequence_is_not_taken_for_this_one() {
    let mut mirror = Mirror::default();
    assert_eq!(mirror.joined(&at(1), &named(1)), Reflected::Lost);
    mirror.replace(at(1), vec![named(1), named(2)]);
    let other = Position { epoch: "f".into(), serial: 9 };
    assert_eq!(mirror.left(&other, &named(1).user), Reflected::Lost);
    assert!(!mirror.has_reached(&other));
    let difference = mirror.replace(other.clone(), vec![named(2), named(3)]);
    assert_eq!(difference, Difference { came: vec![named(3)], went: vec![] });
    assert!(mirror.has_reached(&other));
    let next = |serial| Position { epoch: "f".into(), serial };
    assert_eq!(mirror.pass(&next(11)), Reflected::Lost, "one is missing");
    assert_eq!(mirror.joined(&next(10), &named(4)), Reflected::Changed);
}

#[test]
fn an_admission_shows_the_mirror_when_that_is_as_far() {
    let admission = |position: &Position, roster| Admission {
        position: position.clone(),
        roster,
        counts: Counts::default(),
    };
    let now = || Received::Now(Difference::default());
    let mut mirror = Mirror::default();
    assert_eq!(mirror.receive(&admission(&at(3), None)), Received::Lost);
    assert_eq!(mirror.receive(&admission(&at(3), Some(vec![named(1)]))), now());
    assert_eq!(mirror.receive(&admission(&at(2), None)), now());
    assert_eq!(mirror.receive(&admission(&at(5), None)), Received::Wait);
    mirror.joined(&at(4), &named(2));
    mirror.pass(&at(5));
    assert_eq!(mirror.receive(&admission(&at(5), None)), now());
    // further ahead with a roster: what it skips is told at once, and not again
    let ahead = mirror.receive(&admission(&at(7), Some(vec![named(1), named(3)])));
    let difference = Difference { came: vec![named(3)], went: vec![named(2).user] };
    assert_eq!(ahead, Received::Now(difference));
    assert_eq!(mirror.left(&at(6), &named(2).user), Reflected::Known);
    let other = Position { epoch: "f".into(), serial: 1 };
    assert_eq!(mirror.receive(&admission(&other, None)), Received::Lost);
}

#[test]
fn what_overtakes_its_roster_is_not_forgotten() {
    let mut mirror = Mirror::default();
    assert_eq!(mirror.joined(&at(4), &named(4)), Reflected::Lost);
    assert_eq!(mirror.left(&at(5), &named(1).user), Reflected::Lost);
    assert_eq!(mirror.replace(at(3), vec![named(1), named(2)]), Difference::default());
    assert!(mirror.is_whole() && mirror.has_reached(&at(5)));
    assert_eq!(shown(&mirror), ["2", "4"].map(String::from).into());
    // one is missing, and the roster that is asked for is of a moment between what comes meanwhile
    assert_eq!(mirror.pass(&at(7)), Reflected::Lost);
    assert!(!mirror.is_whole());
    mirror.look();
    assert_eq!(mirror.joined(&at(8), &named(8)), Reflected::Lost);
    assert_eq!(mirror.joined(&at(9), &named(9)), Reflected::Lost);
    let difference = mirror.replace(at(8), vec![named(4), named(8)]);
    let came = vec![named(8), named(9)];
    assert_eq!(difference, Difference { came, went: vec![named(2).user] });
    assert!(mirror.is_whole());
    // what is lost is not passed over, even if it follows on
    assert_eq!(mirror.miss(&at(10)), Reflected::Lost);
    mirror.replace(at(9), vec![named(4), named(8), named(9)]);
    assert!(!mirror.is_whole());
    mirror.look();
    mirror.replace(at(10), vec![named(4), named(8)]);
    assert_eq!(mirror.miss(&at(10)), Reflected::Known);
    assert!(mirror.is_whole());
    // a roster that is too old for what has come since does not do
    mirror.pass(&at(12));
    mirror.replace(at(11), vec![]);
    assert!(mirror.is_whole() && mirror.has_reached(&at(12)));
    mirror.pass(&at(15));
    mirror.replace(at(13), vec![]);
    assert!(!mirror.is_whole());
    // nor does one of another sequence, whichever is the younger
    mirror.replace(Position { epoch: "f".into(), serial: 1 }, vec![]);
    assert!(!mirror.is_whole());
}

#[test]
fn users_of_an_earlier_sequence_stay_until_all_had_the_time_to_come_back() {
    let mut mirror = Mirror::default();
    mirror.replace(at(9), (1..=5).map(named).collect());
    let next = |serial| Position { epoch: "f".into(), serial };
    let difference = mirror.replace(next(1), vec![named(1), named(6)]);
    assert_eq!(difference, Difference { came: vec![named(6)], went: vec![] });
    assert_eq!(mirror.joined(&next(2), &named(2)), Reflected::Known, "nobody saw the user go");
    assert_eq!(mirror.joined(&next(3), &named(3)), Reflected::Known);
    assert_eq!(mirror.left(&next(4), &named(3).user), Reflected::Changed);
    // a further roster of the same sequence says no more of the others than the first
    let difference = mirror.replace(next(7), vec![named(1), named(2)]);
    assert_eq!(difference, Difference { came: vec![], went: vec![named(6).user] });
    assert!(!mirror.is_settled());
    let gone: BTreeSet<_> = mirror.settle().iter().map(ToString::to_string).collect();
    assert_eq!(gone, ["4", "5"].map(String::from).into());
    assert_eq!(shown(&mirror), ["1", "2"].map(String::from).into());
    assert!(mirror.is_settled() && mirror.settle().is_empty());
}

#[test]
fn no_more_is_kept_ahead_than_may_be() {
    let mut mirror = Mirror::default();
    for serial in 1..=2 * AHEAD as u64 {
        mirror.pass(&at(serial));
    }
    assert_eq!(mirror.ahead.len(), AHEAD);
    mirror.pass(&Position { epoch: "f".into(), serial: 1 });
    assert_eq!(mirror.ahead.len(), 1);
}

proptest! {
    /// A snapshot at any serial, and all events from any earlier one, some of which overtake it: the
    /// same users in the end, and each change that comes after it is told once.
    #[test]
    fn a_snapshot_and_later_events_make_the_whole(
        steps in prop::collection::vec(0_usize..6, 1..60),
        taken in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        overtaking in any::<prop::sample::Index>(),
    ) {
        let mut truth: Vec<BTreeSet<usize>> = vec![BTreeSet::new()];
        for user in &steps {
            let mut next = truth.last().unwrap().clone();
            if !next.remove(user) {
                next.insert(*user);
            }
            truth.push(next);
        }
        let taken = taken.index(truth.len());
        let from = from.index(taken + 1);
        let overtaking = from + 1 + overtaking.index(truth.len() - from);
        let mut mirror = Mirror::default();
        for serial in from + 1..truth.len() {
            if serial == overtaking {
                mirror.replace(at(taken as u64), truth[taken].iter().map(|user| named(*user)).collect());
            }
            let user = steps[serial - 1];
            let place = at(serial as u64);
            let reflected = if truth[serial].contains(&user) {
                mirror.joined(&place, &named(user))
            } else {
                mirror.left(&place, &named(user).user)
            };
            let expected = if serial < overtaking {
                Reflected::Lost
            } else if serial > taken {
                Reflected::Changed
            } else {
                Reflected::Known
            };
            prop_assert_eq!(reflected, expected);
        }
        if overtaking == truth.len() {
            mirror.replace(at(taken as u64), truth[taken].iter().map(|user| named(*user)).collect());
        }
        prop_assert!(mirror.is_whole());
        let last: BTreeSet<String> = truth.last().unwrap().iter().map(usize::to_string).collect();
        prop_assert_eq!(shown(&mirror), last);
    }
}
