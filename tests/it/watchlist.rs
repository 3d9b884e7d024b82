//! Watchlists: who of a user's friends is online (checks 71-73).

use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::{shared, unique};

#[test]
fn check_071_a_watcher_is_told_who_is_online_and_who_is_not() {
    let (first, second) = (unique("watched"), unique("watched"));
    let mut online = shared().connect(MAIN);
    online.sign_in(&first);
    let mut watcher = shared().connect(MAIN);
    watcher.sign_in_watching(&unique("watcher"), &[&first, &second]);
    watcher.expect_watched(&[("online", &[&first]), ("offline", &[&second])]);
    watcher.expect_silence();
}

#[test]
fn check_071_an_empty_list_is_left_out() {
    let user = unique("watched");
    let mut online = shared().connect(MAIN);
    online.sign_in(&user);
    let mut watcher = shared().connect(MAIN);
    watcher.sign_in_watching(&unique("watcher"), &[&user]);
    watcher.expect_watched(&[("online", &[&user])]);
    let mut lonely = shared().connect(MAIN);
    lonely.sign_in_watching(&unique("watcher"), &[]);
    lonely.expect_silence();
}

#[test]
fn check_072_a_watcher_hears_of_the_first_and_the_last_connection() {
    let user = unique("watched");
    let mut watcher = shared().connect(MAIN);
    watcher.sign_in_watching(&unique("watcher"), &[&user]);
    watcher.expect_watched(&[("offline", &[&user])]);
    let mut first = shared().connect(MAIN);
    first.sign_in(&user);
    watcher.expect_watched(&[("online", &[&user])]);
    let mut second = shared().connect(MAIN);
    second.sign_in(&user);
    first.cut();
    second.expect_silence();
    watcher.expect_nothing_for(std::time::Duration::from_millis(500));
    second.cut();
    watcher.expect_watched(&[("offline", &[&user])]);
    watcher.expect_silence();
}

#[test]
fn check_072_presence_alone_is_not_online() {
    let user = unique("watched");
    let mut watcher = shared().connect(MAIN);
    watcher.sign_in_watching(&unique("watcher"), &[&user]);
    watcher.expect_watched(&[("offline", &[&user])]);
    let mut member = shared().connect(MAIN);
    member.join(&unique("presence-watched"), &user);
    watcher.expect_nothing_for(std::time::Duration::from_millis(300));
}

#[test]
fn check_073_a_long_watchlist_is_cut() {
    let users: Vec<String> = (0..101).map(|_| unique("watched")).collect();
    let list: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut watcher = shared().connect(MAIN);
    watcher.ask_sign_in(&json!({"id": unique("watcher"), "watchlist": list}).to_string());
    let mut frames = [watcher.event(), watcher.event(), watcher.event()];
    frames.sort_by_key(|frame| frame["event"].to_string());
    assert_eq!(
        frames[0],
        json!({"event": "pusher:error", "data": {
            "code": 4302,
            "message": "Watchlist limit exceeded. Only the first 100 user IDs are accepted."
        }})
    );
    assert_eq!(frames[1]["event"], "pusher:signin_success");
    let offline = &frames[2]["data"]["events"][0];
    assert_eq!(offline["name"], "offline");
    let mut told: Vec<&str> =
        offline["user_ids"].as_array().unwrap().iter().map(|user| user.as_str().unwrap()).collect();
    told.sort_unstable();
    let mut expected = list[..100].to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
    watcher.expect_silence();
}
