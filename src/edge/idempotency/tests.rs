//! What is remembered of a key, and for how long.
#![allow(clippy::panic, reason = "a test may stop")]

use actix_web::http::header::{HeaderName, HeaderValue};

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::since_start(Duration::from_secs(seconds))
}

fn ask(store: &Arc<Idempotency>, key: &str, body: &str, now: Moment) -> Known {
    let request = Fingerprint::of("events", body.as_bytes());
    store.ask(&AppId::new("1"), &key.into(), request, now)
}

fn run(store: &Arc<Idempotency>, key: &str, answer: &'static str, now: Moment) {
    match ask(store, key, "body", now) {
        Known::New(ticket) => ticket.answer(Bytes::from_static(answer.as_bytes())),
        other => panic!("{key} is known: {other:?}"),
    }
}

#[test]
fn the_same_answer_again_for_two_minutes() {
    let store = Arc::default();
    run(&store, "k", "{}", at(0));
    assert!(matches!(ask(&store, "k", "body", at(119)), Known::Answered(answer) if answer == "{}"));
    assert!(matches!(ask(&store, "k", "other", at(119)), Known::Different));
    let other_app =
        store.ask(&AppId::new("2"), &"k".into(), Fingerprint::of("events", b"body"), at(1));
    assert!(matches!(other_app, Known::New(_)));
    assert_eq!((store.keys(at(119)), store.keys(at(120))), (2, 1), "the other one is younger");
    assert!(matches!(ask(&store, "k", "body", at(120)), Known::New(_)));
}

#[test]
fn an_unknown_outcome_stays_unknown_until_somebody_finds_it_out() {
    let store = Arc::default();
    let Known::New(ticket) = ask(&store, "k", "body", at(0)) else { panic!("the key is new") };
    ticket.lose();
    assert!(matches!(ask(&store, "k", "other", at(1)), Known::Different));
    for second in 1..3 {
        match ask(&store, "k", "body", at(second)) {
            Known::Unknown(ticket) => {
                assert!(matches!(ask(&store, "k", "body", at(second)), Known::Running(_)));
                ticket.lose();
            }
            other => panic!("it is lost: {other:?}"),
        }
    }
    let Known::Unknown(ticket) = ask(&store, "k", "body", at(119)) else { panic!("lost") };
    ticket.answer(Bytes::from_static(b"{}"));
    assert!(matches!(ask(&store, "k", "body", at(119)), Known::Answered(_)));
    assert!(matches!(ask(&store, "k", "body", at(120)), Known::New(_)));
}

#[test]
fn a_failure_frees_the_key() {
    let store = Arc::default();
    drop(ask(&store, "k", "body", at(0)));
    assert!(matches!(ask(&store, "k", "other", at(0)), Known::New(_)));
}

#[actix_rt::test]
async fn a_duplicate_waits_for_the_first() {
    let store = Arc::default();
    let Known::New(ticket) = ask(&store, "k", "body", at(0)) else {
        panic!("the first is new");
    };
    let Known::Running(running) = ask(&store, "k", "body", at(0)) else {
        panic!("the first is running");
    };
    let first = actix_rt::spawn(async move { ticket.answer(Bytes::from_static(b"{}")) });
    running.ended().await;
    assert!(first.await.is_ok());
    assert!(matches!(ask(&store, "k", "body", at(0)), Known::Answered(_)));
}

#[test]
fn the_oldest_keys_go_first() {
    let store = Arc::default();
    for index in 0..=MAX_KEYS {
        run(&store, &index.to_string(), "{}", at(0));
    }
    assert!(matches!(ask(&store, "1", "body", at(0)), Known::Answered(_)));
    assert!(matches!(ask(&store, "0", "body", at(0)), Known::New(_)));
}

#[test]
fn remembered_answers_are_bounded_in_bytes() {
    let store: Arc<Idempotency> = Arc::default();
    let large = Bytes::from(vec![b' '; MAX_ANSWER_BYTES / 2]);
    for key in ["a", "b", "c"] {
        if let Known::New(ticket) = ask(&store, key, "body", at(0)) {
            ticket.answer(large.clone());
        }
    }
    assert!(matches!(ask(&store, "c", "body", at(0)), Known::Answered(_)));
    assert!(matches!(ask(&store, "a", "body", at(0)), Known::New(_)));
}

#[test]
fn keys_are_visible_ascii() {
    let headers = |value: &[u8]| {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(HEADER), value);
        }
        headers
    };
    assert_eq!(key_of(&HeaderMap::new()), Ok(None));
    assert_eq!(key_of(&headers(b"8e03978e")), Ok(Some("8e03978e".into())));
    assert!(key_of(&headers(&[b'a'; 255])).is_ok());
    for bad in [&b""[..], b"a b", "é".as_bytes(), &[b'a'; 256]] {
        assert!(key_of(&headers(bad)).is_err());
    }
    let mut twice = headers(b"a");
    twice.append(HeaderName::from_static(HEADER), HeaderValue::from_static("a"));
    assert!(key_of(&twice).is_err());
}
