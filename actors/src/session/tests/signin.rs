//! Signing in, watchlists, and the channel of the signed-in user.

use super::*;

const A8: &str =
    "278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba";

/// Check 63.
#[test]
fn the_signature_of_the_appendix_signs_in() {
    let mut client = Client::open();
    assert_eq!(
        client.text(&signin(A8, r#"{"id":"12345"}"#)),
        [
            r#"user 12345 watching [] told {"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"12345\\\"}\"}"}"#
        ]
    );
    assert_eq!(client.session.user().map(UserId::as_str), Some("12345"));
}

/// Check 64; attack S20.
#[test]
fn a_forged_sign_in_gets_an_error_and_the_connection_stays() {
    let mut client = Client::open();
    for (auth, message) in [
        (
            format!("{KEY}:00"),
            r#"Invalid signature: Expected HMAC SHA256 hex digest of 1234.1234::user::{"id":"1"}, but got 00"#,
        ),
        (
            A8.to_owned(),
            r#"Invalid signature: Expected HMAC SHA256 hex digest of 1234.1234::user::{"id":"1"}, but got 4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"#,
        ),
        ("k:00".to_owned(), "Invalid key in signin auth data: 'k'"),
        (String::new(), "Auth value for signin is invalid: should be of format 'key:signature'"),
    ] {
        assert_eq!(client.text(&signin(&auth, r#"{"id":"1"}"#)), [error(message)]);
        assert_eq!(client.session.user(), None);
    }
}

/// Check 65.
#[test]
fn data_that_names_no_user_is_refused() {
    let data = "user_data for signin is invalid: must be an object whose id is a non-empty string";
    let info = "user_info supplied to signin is invalid - if supplied it must be a type of hash";
    let list =
        "watchlist supplied to signin is invalid - if supplied it must be an array of user ids";
    for (user_data, message) in [
        ("{}", data),
        (r#"{"id":12345}"#, data),
        (r#"{"id":""}"#, data),
        (r#"{"id":null}"#, data),
        (r#"{"id":"a b"}"#, data),
        (r#"{"id":"1","id":"2"}"#, data),
        (r#"["1"]"#, data),
        ("1", data),
        (r#"{"id":"1","user_info":"Ann"}"#, info),
        (r#"{"id":"1","watchlist":"u1"}"#, list),
        (r#"{"id":"1","watchlist":[1]}"#, list),
        (r#"{"id":"1","watchlist":[""]}"#, list),
    ] {
        let mut client = Client::open();
        assert_eq!(client.text(&signed_in(user_data)), [error(message)], "{user_data}");
        assert_eq!(client.session.user(), None);
    }
}

/// Check 66.
#[test]
fn signing_in_again_is_for_the_same_user_alone() {
    let mut client = Client::open();
    client.text(&signed_in(r#"{"id":"1","user_info":{"v":1}}"#));
    assert_eq!(
        client.text(&signed_in(r#"{"id":"2"}"#)),
        [error("Connection already signed in as a different user")]
    );
    let again = client.text(&signed_in(r#"{"id":"1","user_info":{"v":2}}"#));
    assert!(again[0].starts_with("user 1 watching [] told"), "{again:?}");
    assert_eq!(client.text(&signed("presence-x", None)), [r#"join presence-x as 1 {"v":2}"#]);
}

/// Check 67.
#[test]
fn the_channel_of_a_user_is_for_that_user_alone() {
    let own = subscribe("#server-to-user-12345", Some(""), None);
    let refused = refusal(
        "#server-to-user-12345",
        "AuthError",
        "Auth info required to subscribe to #server-to-user-12345",
        401,
    );
    let mut client = Client::open();
    assert_eq!(client.text(&own), refused);
    client.text(&signed_in(r#"{"id":"1"}"#));
    assert_eq!(client.text(&own), refused);

    let mut client = Client::with(|_, limits| limits.channels_per_connection = 0);
    client.text(&signed_in(r#"{"id":"12345"}"#));
    assert_eq!(
        client.text(&own),
        [
            r##"{"event":"pusher_internal:subscription_succeeded","channel":"#server-to-user-12345","data":"{}"}"##
        ]
    );
    assert!(client.channels().is_empty(), "sign-in attaches it, not a subscription");
    assert_eq!(
        client.text(&own),
        [error("Existing subscription to channel #server-to-user-12345")]
    );
    assert!(client.text(&unsubscribe("#server-to-user-12345")).is_empty());
    assert_eq!(
        client.text(&unsubscribe("#server-to-user-12345")),
        [error(
            "No current subscription to channel #server-to-user-12345, or subscription in progress"
        )]
    );
    assert_eq!(client.text(&own).len(), 1);
}

/// Check 73.
#[test]
fn a_long_watchlist_is_cut_and_the_sign_in_stands() {
    let ids: Vec<String> = (0..101).map(|id| format!("u{id}")).collect();
    let user_data = serde_json::json!({ "id": "1", "watchlist": ids }).to_string();
    let answer = Client::open().text(&signed_in(&user_data));
    assert!(answer[0].starts_with(&format!("user 1 watching {:?} told", &ids[..100])));
    let cut = r#" and {"event":"pusher:error","data":{"code":4302,"message":"Watchlist limit exceeded. Only the first 100 user IDs are accepted."}}"#;
    assert!(answer[0].ends_with(cut), "{answer:?}");

    let user_data = serde_json::json!({ "id": "1", "watchlist": ids[..100] }).to_string();
    assert!(!Client::open().text(&signed_in(&user_data))[0].contains(cut));
}

#[test]
fn a_watchlist_names_each_user_once() {
    let answer = Client::open().text(&signed_in(r#"{"id":"1","watchlist":["u2","u1","u2"]}"#));
    assert!(answer[0].starts_with(r#"user 1 watching ["u2", "u1"] told"#), "{answer:?}");
}

#[test]
fn an_application_may_keep_no_watchlists() {
    let mut client = Client::with(|app, _| app.watchlist = false);
    let answer = client.text(&signed_in(r#"{"id":"1","watchlist":["u1"]}"#));
    assert!(answer[0].starts_with("user 1 watching [] told"), "{answer:?}");
    assert_eq!(answer.len(), 1);
}
