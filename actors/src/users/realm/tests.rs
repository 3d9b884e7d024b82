//! Users of a realm: who is online, what watchers are told, and that nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

use proptest::prelude::*;

use super::*;

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn users(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| user(id)).collect()
}

fn socket(id: u64) -> SocketId {
    SocketId::new(1, id)
}

fn watcher(id: u64) -> Watcher {
    Watcher { seat: Seat { worker: 0, slot: 0, socket: socket(id) }, user: user("w") }
}

fn lists(online: &[&str], offline: &[&str]) -> Lists {
    Lists { online: users(online), offline: users(offline) }
}

#[test]
fn a_user_is_here_from_the_first_connection_to_the_last() {
    let mut realm = Realm::new(true);
    assert!(realm.enter(socket(1), &user("a")));
    assert!(!realm.enter(socket(2), &user("a")));
    assert!(!realm.enter(socket(2), &user("a")), "the same connection again");
    assert_eq!(realm.exit(socket(1)), None);
    assert_eq!(realm.exit(socket(2)), Some(user("a")));
    assert_eq!(realm.exit(socket(2)), None);
    assert!(realm.is_empty());
}

#[test]
fn alone_a_watchlist_tells_online_from_offline_and_leaves_nothing_behind() {
    let mut realm = Realm::new(true);
    assert_eq!(realm.see(&user("u1"), true), News::Online);
    let watched = realm.watch(&watcher(9), users(&["u1", "u2", "u1"]));
    let told = lists(&["u1"], &["u2"]);
    assert_eq!(watched, Watched { lists: Some(told), ..Watched::default() });
    let watched = realm.watch(&watcher(9), users(&["u2"]));
    assert_eq!(watched.dropped, users(&["u1"]));
    assert_eq!(realm.watchers_of(&user("u1")).count(), 0);
    assert_eq!(realm.watchers_of(&user("u2")).count(), 1);
    assert_eq!(realm.unwatch(socket(9)), users(&["u2"]));
    let News::Leaving(departure) = realm.see(&user("u1"), false) else { panic!("a departure") };
    assert!(realm.settle(&user("u1"), departure));
    assert!(realm.is_empty());
}

#[test]
fn who_comes_back_in_time_has_not_gone() {
    let mut realm = Realm::new(true);
    let leave = |realm: &mut Realm| match realm.see(&user("a"), false) {
        News::Leaving(departure) => departure,
        other => panic!("{other:?}"),
    };
    assert_eq!(realm.see(&user("a"), true), News::Online);
    let first = leave(&mut realm);
    assert_eq!(realm.see(&user("a"), true), News::None);
    let second = leave(&mut realm);
    assert!(!realm.settle(&user("a"), first), "that departure is over");
    assert!(realm.settle(&user("a"), second));
    assert_eq!(realm.see(&user("a"), true), News::Online);
}

#[test]
fn lists_are_told_once_all_of_them_is_known() {
    let mut realm = Realm::new(false);
    let watched = realm.watch(&watcher(1), users(&["a", "b"]));
    let begun = users(&["a", "b"]);
    assert_eq!(watched, Watched { begun, ..Watched::default() });
    assert_eq!(realm.see(&user("a"), true), News::Known(Vec::new()));
    // what changes before it is told is told with the rest
    assert!(matches!(realm.see(&user("a"), false), News::Leaving(_)));
    assert_eq!(realm.watchers_of(&user("a")).count(), 0);
    let told = lists(&["a"], &["b"]);
    assert_eq!(realm.see(&user("b"), false), News::Known(vec![(watcher(1), told.clone())]));
    assert_eq!(realm.watchers_of(&user("a")).count(), 1);
    let watched = realm.watch(&watcher(2), users(&["a", "b"]));
    assert_eq!(watched, Watched { lists: Some(told), ..Watched::default() });
}

#[test]
fn what_nobody_watches_is_let_go_unless_somebody_does_again() {
    let mut realm = Realm::new(false);
    realm.watch(&watcher(1), users(&["a", "b"]));
    realm.see(&user("a"), true);
    let dropped = realm.unwatch(socket(1));
    assert_eq!(dropped.len(), 2);
    assert!(realm.watch(&watcher(2), users(&["a"])).lists.is_some(), "known still");
    assert_eq!(realm.let_go(dropped), users(&["b"]));
    assert_eq!(realm.followed().collect::<Vec<_>>(), [&user("a")]);
    let dropped = realm.unwatch(socket(2));
    assert_eq!(realm.let_go(dropped), users(&["a"]));
    assert_eq!(realm.see(&user("a"), false), News::None, "late news");
    assert!(realm.is_empty());
}

proptest! {
    /// Whatever happens, a watcher's lists and the news after them add up to what is so.
    #[test]
    fn a_watcher_ends_up_with_what_is_so(
        is_alone in any::<bool>(),
        steps in prop::collection::vec((0_usize..3, any::<bool>(), any::<bool>()), 0..60),
    ) {
        let names = ["a", "b", "c"];
        let mut realm = Realm::new(is_alone);
        let mut told: [Option<bool>; 3] = [None; 3];
        let take = |told: &mut [Option<bool>; 3], lists: &Lists| {
            for (index, name) in names.iter().enumerate() {
                let online = lists.online.contains(&user(name));
                assert!(online != lists.offline.contains(&user(name)));
                assert_eq!(told[index].replace(online), None, "lists come once");
            }
        };
        let watched = realm.watch(&watcher(1), users(&names));
        if let Some(lists) = &watched.lists {
            take(&mut told, lists);
        }
        let mut is_so = [false; 3];
        let mut departures = Vec::new();
        let all = (0..3).map(|index| (index, false, true));
        for (index, online, settles) in all.chain(steps) {
            is_so[index] = online;
            match realm.see(&user(names[index]), online) {
                News::None => {}
                News::Known(known) => known.iter().for_each(|(_, lists)| take(&mut told, lists)),
                News::Online => {
                    if realm.watchers_of(&user(names[index])).count() == 1 {
                        prop_assert_eq!(told[index].replace(true), Some(false));
                    }
                }
                News::Leaving(departure) => departures.push((index, departure)),
            }
            if settles {
                for (index, departure) in std::mem::take(&mut departures) {
                    if realm.settle(&user(names[index]), departure) {
                        prop_assert_eq!(told[index].replace(false), Some(true));
                    }
                }
            }
        }
        for (index, departure) in departures {
            if realm.settle(&user(names[index]), departure) {
                told[index] = Some(false);
            }
        }
        prop_assert_eq!(told.map(Option::unwrap), is_so);
    }
}
