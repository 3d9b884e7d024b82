//! Requests that are believed and requests that are not: the vectors of protocol appendix A, and attacks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;

mod naive_signer;

const NOW: i64 = 1_353_088_179;
const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";
const Q: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0";

fn app() -> App {
    App::new("3", Credential::new(KEY, SECRET))
}

/// Checks a request as an endpoint does, at a time.
fn check_at(now: i64, method: &str, path: &str, query: &str, body: &str) -> Result<(), AuthError> {
    let line = RequestLine { method, path, query };
    let query = verify(&app(), &line, now)?;
    check_body(&query, body.as_bytes(), true)
}

fn check(method: &str, path: &str, query: &str, body: &str) -> Result<(), AuthError> {
    check_at(NOW, method, path, query, body)
}

/// Signs a text without any of the code under test.
fn hmac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Returns `query` with the signature of exactly this text in front.
fn signed(method: &str, path: &str, query: &str) -> String {
    let signature = hmac(&format!("{method}\n{path}\n{query}"));
    format!("auth_signature={signature}&{query}")
}

/// Vectors A9 to A15: method, path, what follows Q, body, signature.
const VECTORS: [(&str, &str, &str, &str, &str); 7] = [
    (
        "POST",
        "/apps/3/events",
        "&body_md5=ec365a775a4cd0599faeb73354201b6f",
        r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#,
        "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    ),
    (
        "POST",
        "/apps/3/batch_events",
        "&body_md5=2b6d0d087be6f92e1c8ae2db10d9ff1a",
        r#"{"batch":[{"name":"a","channel":"c1","data":"1"},{"name":"b","channel":"c2","data":"2"}]}"#,
        "5eb161881068ede35b2bf8031b3577c122e5745cc31a76112a8fec8c729cdcf5",
    ),
    (
        "GET",
        "/apps/3/channels",
        "&filter_by_prefix=presence-&info=user_count",
        "",
        "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291",
    ),
    (
        "GET",
        "/apps/3/channels/presence-foobar",
        "&info=user_count,subscription_count",
        "",
        "377ee9260ea002a70c0d40cd887d55cb36db9f7f821297f5efacbcce66be356d",
    ),
    (
        "GET",
        "/apps/3/channels/presence-foobar",
        "&body_md5=d41d8cd98f00b204e9800998ecf8427e&info=user_count",
        "",
        "69e9e932a5e0d34a2bd43ab5c1b30239ef5abbaf79f646be12d717d87ae0edfe",
    ),
    (
        "POST",
        "/apps/3/users/u1/terminate_connections",
        "&body_md5=99914b932bd37a50b983c5e7c90ae93b",
        "{}",
        "61efad5e9fe693a686a71ff197d9770bd2c257d87ce961f4efda2dae952c4345",
    ),
    (
        "GET",
        "/apps/3/channels",
        "&x[]=1&x[]=2",
        "",
        "0e6af98ab9d7161d18181e9678b8de5e3a4da72e654e77d888b0db92fd2f3ad7",
    ),
];

#[test]
fn vectors_a9_to_a15_are_believed() {
    for (method, path, more, body, signature) in VECTORS {
        let first = format!("auth_signature={signature}&{Q}{more}");
        let last = format!("{Q}{more}&auth_signature={signature}");
        let escaped = last.replace(',', "%2C").replace("[]", "%5b%5D");
        let mut backwards: Vec<&str> = first.split('&').collect();
        // Pairs with equal names keep their order.
        backwards.sort_by(|left, right| right.split('=').next().cmp(&left.split('=').next()));
        for query in [&first, &last, &escaped, &backwards.join("&")] {
            assert_eq!(check(method, path, query, body), Ok(()), "{path}?{query}");
        }
    }
}

#[test]
fn a_vector_changed_anywhere_is_refused() {
    for (method, path, more, body, signature) in VECTORS {
        let query = format!("{Q}{more}&auth_signature={signature}");
        let other_method = if method == "GET" { "POST" } else { "GET" };
        let upper = format!("{Q}{more}&auth_signature={}", signature.to_uppercase());
        let twice = format!("{query}&auth_signature={signature}");
        let cut = format!("{Q}{more}&auth_signature={}", signature.split_at(62).0);
        assert!(check(other_method, path, &query, body).is_err());
        assert!(check(method, &path.replace("/3/", "/2/"), &query, body).is_err());
        assert!(check(method, path, &format!("{query}&extra=1"), body).is_err());
        assert!(check(method, path, &upper, body).is_err());
        assert!(check(method, path, &twice, body).is_err());
        assert!(check(method, path, &cut, body).is_err());
        assert!(check(method, path, &format!("{Q}{more}"), body).is_err());
        assert_eq!(check(method, path, &query, "changed"), Err(AuthError::Body));
    }
}

#[test]
fn the_text_of_a_refusal_shows_what_to_sign_and_no_signature() {
    let line = "POST\n/apps/3/events\n";
    let error =
        check("POST", "/apps/3/events", &format!("{Q}&auth_signature=abc"), "").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Invalid signature: you should have sent HmacSHA256Hex(\"POST\\n/apps/3/events\\n{Q}\", your_secret_key), but you sent \"abc\""
        )
    );
    assert!(!error.to_string().contains(&hmac(&format!("{line}{Q}"))));
}

#[test]
fn checks_come_in_pushers_order() {
    let path = "/apps/3/channels";
    for (query, error) in [
        ("", AuthError::MissingKey),
        ("auth_key=other", AuthError::UnknownKey),
        (&format!("auth_key={KEY}"), AuthError::MissingVersion),
        (&format!("auth_key={KEY}&auth_version=2.0"), AuthError::UnsupportedVersion),
        (&format!("auth_key={KEY}&auth_version=1.0"), AuthError::MissingTimestamp),
        (
            &format!("auth_key={KEY}&auth_version=1.0&auth_timestamp=0"),
            AuthError::Expired { given: 0, now: NOW },
        ),
    ] {
        assert_eq!(check("GET", path, query, ""), Err(error), "{query}");
    }
}

/// Attack S21, and check 76.
#[test]
fn a_request_is_good_for_ten_minutes() {
    let query = signed("GET", "/apps/3/channels", Q);
    let at = |now| check_at(now, "GET", "/apps/3/channels", &query, "");
    for offset in [-599, 0, 599] {
        assert_eq!(at(NOW + offset), Ok(()));
    }
    for offset in [-601, -600, 600, 601] {
        assert!(matches!(at(NOW + offset), Err(AuthError::Expired { .. })));
    }
    assert_eq!(
        at(NOW + 601).unwrap_err().to_string(),
        "Timestamp expired: Given timestamp (2012-11-16T17:49:39Z) not within 600s of server time (2012-11-16T17:59:40Z)"
    );
}

/// Attack S23.
#[test]
fn timestamps_that_are_none() {
    let forty_digits = "1".repeat(40);
    let large = i64::MAX.to_string();
    for (timestamp, is_number) in [
        ("", false),
        ("-9223372036854775808", false),
        ("-1353088179", false),
        ("+1353088179", false),
        ("1e9", false),
        ("1353088179.0", false),
        ("0x50a67b73", false),
        (&forty_digits, false),
        (&large, true),
    ] {
        let query = format!("auth_key={KEY}&auth_timestamp={timestamp}&auth_version=1.0");
        let query = signed("GET", "/apps/3/channels", &query);
        let error = check("GET", "/apps/3/channels", &query, "").unwrap_err();
        assert_eq!(matches!(error, AuthError::Expired { .. }), is_number, "{error}");
    }
    for name in ["auth_timestamp=1353088179", "AUTH_timestamp=1353088179"] {
        let query = signed("GET", "/apps/3/channels", &format!("{Q}&{name}"));
        let error = check("GET", "/apps/3/channels", &query, "").unwrap_err();
        assert_eq!(error, AuthError::Repeated("auth_timestamp"));
    }
}

/// Attack S24, the body.
#[test]
fn a_body_is_the_one_that_was_signed() {
    let path = "/apps/3/events";
    let post = |query: &str, body: &str| check("POST", path, &signed("POST", path, query), body);
    let md5 = sign::body_md5(b"{}");
    assert_eq!(post(&format!("{Q}&body_md5={md5}"), "{}"), Ok(()));
    assert_eq!(post(&format!("{Q}&body_md5={md5}"), "{} "), Err(AuthError::Body));
    assert_eq!(post(&format!("{Q}&body_md5={md5}"), ""), Err(AuthError::Body));
    assert_eq!(post(Q, "{}"), Err(AuthError::Body));
    assert_eq!(post(&format!("{Q}&body_md5="), ""), Err(AuthError::Body));
    assert_eq!(
        post(&format!("{Q}&body_md5={md5}&body_md5={md5}"), "{}"),
        Err(AuthError::Repeated("body_md5"))
    );
    // Taken out of a signed query, or put into one.
    let query = signed("POST", path, &format!("{Q}&body_md5={md5}"));
    let without = query.replace(&format!("&body_md5={md5}"), "");
    assert!(matches!(check("POST", path, &without, "{}"), Err(AuthError::Signature { .. })));
}

/// Attack S25: what was signed for one path is good for no other; a path that was signed before it
/// was escaped is the same path.
#[test]
fn a_path_is_the_one_that_was_signed() {
    let query = signed("POST", "/apps/3/events", Q);
    for path in [
        "/apps/2/events",
        "/apps/3/../2/events",
        "//apps/3/events",
        "/apps/3/events/",
        "/apps/3/event",
        "/APPS/3/events",
    ] {
        assert!(check("POST", path, &query, "").is_err(), "{path}");
    }
    let raw = "/apps/3/channels/presence-a%40b";
    for path in [raw, "/apps/3/channels/presence-a@b"] {
        assert_eq!(check("GET", raw, &signed("GET", path, Q), ""), Ok(()));
    }
}

#[test]
fn a_plus_is_itself_or_a_space() {
    let path = "/apps/3/channels";
    for (text, in_url) in [("a+b", "a+b"), ("a+b", "a%2Bb"), ("a b", "a+b"), ("a b", "a%20b")] {
        let signature = hmac(&format!("GET\n{path}\n{Q}&info={text}"));
        let query = format!("{Q}&info={in_url}&auth_signature={signature}");
        let line = RequestLine { method: "GET", path, query: &query };
        let read = verify(&app(), &line, NOW).unwrap();
        assert_eq!(read.unique("info"), Ok(Some(text)), "{in_url}");
    }
    let signature = hmac(&format!("GET\n{path}\n{Q}&info=a b"));
    let query = format!("{Q}&info=a%2Bb&auth_signature={signature}");
    assert!(check("GET", path, &query, "").is_err());
}

#[test]
fn older_credentials_end() {
    let mut app = app();
    app.older.push(micronotifier_actors::config::OlderCredential {
        credential: Credential::new("old", SECRET),
        until_unix: Some(NOW),
    });
    let query = format!("auth_key=old&auth_timestamp={NOW}&auth_version=1.0");
    let query = signed("GET", "/apps/3/channels", &query);
    let line = RequestLine { method: "GET", path: "/apps/3/channels", query: &query };
    assert!(verify(&app, &line, NOW - 1).is_ok());
    assert_eq!(verify(&app, &line, NOW), Err(AuthError::UnknownKey));
}
