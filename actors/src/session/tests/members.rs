//! Who joins a presence channel.

use super::*;

const A2: &str =
    "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
const A5: &str =
    "278d425bdf160c739803:71506e66e7fdca106571b8999a849ad34245bc653772e51e0026c1a2475b92ba";

/// Check 35: the number of the data is the text `10` from here on.
#[test]
fn a_member_is_read_from_the_signed_data() {
    let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
    assert_eq!(
        Client::open().text(&subscribe("presence-foobar", Some(A2), Some(data))),
        [r#"join presence-foobar as 10 {"name":"Mr. Channels"}"#]
    );
}

/// Check 40.
#[test]
fn info_may_be_left_out() {
    let text = signed("presence-x", Some(r#"{"user_id":"1"}"#));
    assert_eq!(Client::open().text(&text), ["join presence-x as 1 {}"]);
}

/// Check 41; attack S18.
#[test]
fn data_that_names_no_member_is_refused() {
    let invalid = "channel_data for presence subscription to presence-x is invalid";
    let info = "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash";
    for (data, message) in [
        (r#"{"user_id":"1","user_info":"Ann"}"#, info),
        (r#"{"user_id":"1","user_info":[]}"#, info),
        (r#"{"user_id":""}"#, invalid),
        (r#"{"user_id":null}"#, invalid),
        (r#"{"user_info":{}}"#, invalid),
        (r#"["1"]"#, invalid),
        ("Ann", invalid),
        ("", invalid),
    ] {
        let mut client = Client::open();
        assert_eq!(
            client.text(&signed("presence-x", Some(data))),
            refusal("presence-x", "AuthError", message, 400),
            "{data}"
        );
        assert!(client.channels().is_empty());
    }
}

/// Attack S18.
#[test]
fn data_has_a_limit_in_bytes() {
    let data = |length: usize| {
        let frame = r#"{"user_id":"1","user_info":{"a":""}}"#.len();
        format!(r#"{{"user_id":"1","user_info":{{"a":"{}"}}}}"#, "x".repeat(length - frame))
    };
    assert_eq!(Client::open().text(&signed("presence-x", Some(&data(1024)))).len(), 1);
    assert_eq!(
        Client::open().text(&signed("presence-x", Some(&data(1025)))),
        refusal("presence-x", "LimitReached", "Presence user object too large", 4301)
    );
}

/// Check 69.
#[test]
fn the_signed_in_user_joins_without_data() {
    let mut client = Client::open();
    client.text(&signed_in(r#"{"id":"12345","user_info":{"name": "Ann"}}"#));
    assert_eq!(
        client.text(&subscribe("presence-foobar", Some(A5), None)),
        [r#"join presence-foobar as 12345 {"name":"Ann"}"#]
    );
    let data = r#"{"user_id":"7"}"#;
    assert_eq!(
        client.text(&signed("presence-x", Some(data))),
        ["join presence-x as 7 {}"],
        "signed data goes first"
    );
}

#[test]
fn without_data_and_without_a_user_nobody_joins() {
    assert_eq!(
        Client::open().text(&subscribe("presence-foobar", Some(A5), None)),
        refusal(
            "presence-foobar",
            "AuthError",
            "channel_data for presence subscription to presence-foobar is invalid",
            400
        )
    );
}

#[test]
fn the_limit_holds_for_the_signed_in_user_too() {
    let mut client = Client::open();
    let info = "x".repeat(1024);
    client.text(&signed_in(&format!(r#"{{"id":"1","user_info":{{"a":"{info}"}}}}"#)));
    assert_eq!(
        client.text(&signed("presence-x", None)),
        refusal("presence-x", "LimitReached", "Presence user object too large", 4301)
    );
}

/// A browser keeps members in an object by id: this id would set the object's prototype.
#[test]
fn no_member_has_the_id_of_a_prototype() {
    let invalid = "channel_data for presence subscription to presence-x is invalid";
    let refused = refusal("presence-x", "AuthError", invalid, 400);
    let mut client = Client::open();
    let data = r#"{"user_id":"__proto__"}"#;
    assert_eq!(client.text(&signed("presence-x", Some(data))), refused);
    client.text(&signed_in(r#"{"id":"__proto__"}"#));
    assert_eq!(client.text(&signed("presence-x", None)), refused);
}
