//! Signatures of the HTTP API (checks 74-80).

use micronotifier_actors::config::{Apps, OlderCredential};
use micronotifier_actors::protocol::AppId;
use micronotifier_actors::protocol::sign::Credential;
use serde_json::json;

use crate::support::api::{joined, unix_now};
use crate::support::apps::{COUNTED, MAIN, TestApp};
use crate::support::http::Answer;
use crate::support::{Api, Call, TestNode, eventually, shared};

/// Sends a request on a connection of its own: a refused signature ends the connection.
fn call(call: &Call) -> Answer {
    shared().api(MAIN).call(call)
}

fn ask(request: &[u8]) -> Answer {
    shared().api(MAIN).connection.ask(request)
}

fn event() -> Call {
    Call::post(MAIN, "/events", &json!({"name": "e", "channels": ["signed"], "data": "1"}))
}

#[test]
fn check_074_a_signed_trigger_is_accepted() {
    let body = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    let answer = shared().api(MAIN).call(&Call::post_text(MAIN, "/events", body));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "{}");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
}

#[test]
fn check_075_a_wrong_secret_is_refused_and_the_text_to_sign_is_told() {
    let impostor = TestApp { secret: "guess", ..MAIN };
    let call = Call { app: impostor, ..event() };
    let expected = call.text_to_sign(&call.signed_pairs()).replace('\n', "\\n");
    let message = shared().api(MAIN).call(&call).error(401);
    assert!(message.starts_with("Invalid signature: "), "{message}");
    assert!(message.contains(&expected), "{message}");
    let right = MAIN.sign(&call.text_to_sign(&call.signed_pairs()));
    assert!(!message.contains(&right), "the expected signature is told");
}

#[test]
fn check_076_a_timestamp_holds_for_600_seconds_both_ways() {
    for offset in [-601, 601, -100_000] {
        let message = call(&event().at(unix_now() + offset)).error(401);
        assert!(message.starts_with("Timestamp expired"), "{message}");
    }
    for offset in [-598, 598] {
        let answer = call(&event().at(unix_now() + offset));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn check_077_a_get_may_carry_the_md5_of_nothing() {
    let call = Call::get(MAIN, "/channels/presence-foobar")
        .with("body_md5", "d41d8cd98f00b204e9800998ecf8427e")
        .with("info", "user_count");
    assert_eq!(shared().api(MAIN).call(&call).status, 200);
}

#[test]
fn check_078_a_body_changed_after_signing_is_refused() {
    let call = event();
    let query = joined(&call.signed_query());
    let mut changed = call;
    changed.body = Some(changed.body.unwrap().to_ascii_uppercase());
    let mut api = shared().api(MAIN);
    api.connection.ask(&changed.bytes_with(&query)).error(401);
}

#[test]
fn check_079_parameters_may_stand_in_any_order_and_be_escaped() {
    let mut api = shared().api(MAIN);
    let call = Call::get(MAIN, "/channels")
        .with("filter_by_prefix", "presence-")
        .with("info", "user_count,subscription_count");
    let mut pairs = call.signed_query();
    for _ in 0..pairs.len() {
        pairs.rotate_left(1);
        let raw = joined(&pairs);
        for query in [raw.clone(), raw.replace(',', "%2C"), raw.replace("info=", "%69nfo=")] {
            let answer = api.connection.ask(&call.bytes_with(&query));
            assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        }
    }
}

#[test]
fn check_080_applications_are_told_apart() {
    let unknown = event().on_path("/apps/nobody/events");
    call(&unknown).error(404);
    let foreign = Call { app: COUNTED, ..event() };
    call(&foreign).error(401);
}

#[test]
fn each_missing_parameter_has_its_answer() {
    let without = |name: &str| {
        let mut pairs = event().signed_query();
        pairs.retain(|(pair, _)| pair != name);
        event().bytes_with(&joined(&pairs))
    };
    for (name, text) in [
        ("auth_key", "Missing parameter: auth_key"),
        ("auth_version", "Version required"),
        ("auth_timestamp", "Timestamp required"),
        ("auth_signature", "Invalid signature"),
    ] {
        let message = ask(&without(name)).error(401);
        assert!(message.starts_with(text), "{message}");
    }
    let version = event().with("auth_version", "2.0");
    let mut pairs = version.signed_pairs();
    pairs.retain(|pair| pair != &("auth_version".to_owned(), "1.0".to_owned()));
    let signature = MAIN.sign(&version.text_to_sign(&pairs));
    let query = format!("{}&auth_signature={signature}", joined(&pairs));
    let message = ask(&version.bytes_with(&query)).error(401);
    assert_eq!(message, "Version not supported");
}

#[test]
fn a_body_without_its_md5_is_refused() {
    let call = event();
    let mut pairs = call.signed_pairs();
    pairs.retain(|(name, _)| name != "body_md5");
    let signature = MAIN.sign(&call.text_to_sign(&pairs));
    let query = format!("{}&auth_signature={signature}", joined(&pairs));
    let mut api = shared().api(MAIN);
    api.connection.ask(&call.bytes_with(&query)).error(401);
}

#[test]
fn an_older_pair_is_good_until_it_ends() {
    let older = |app: TestApp, until_unix| OlderCredential {
        credential: Credential::new(app.key, app.secret),
        until_unix,
    };
    let current = TestApp { key: "older-key", secret: "secret-of-the-older-pair", ..MAIN };
    let ended = TestApp { key: "ended-key", secret: "secret-of-the-ended-pair", ..MAIN };
    let node = TestNode::start(|config| {
        let mut app = MAIN.config();
        app.older = vec![older(current, None), older(ended, Some(unix_now() - 1))];
        config.node.apps = Apps::new([app]);
    });
    let mut socket = node.connect(MAIN);
    socket.subscribe("rotated");
    for app in [MAIN, current] {
        node.trigger(app, "rotated", "e", "1");
        socket.expect_event("e");
    }
    node.api(ended).get("/channels", &[]).error(401);
    socket.app = current;
    socket.subscribe("private-rotated");
    let mut with_older_key = node.connect(current);
    with_older_key.subscribe("private-rotated");
}

#[test]
fn either_id_of_an_application_is_good() {
    let node = TestNode::start(|config| {
        let mut app = MAIN.config();
        app.alias = Some(AppId::new("by-name"));
        config.node.apps = Apps::new([app]);
    });
    for id in [MAIN.id, "by-name"] {
        let answer = node.api(TestApp { id, ..MAIN }).get("/channels", &[]);
        assert_eq!(answer.json(), json!({"channels": {}}));
    }
}

#[test]
fn an_application_has_rates() {
    let node = TestNode::start(|config| {
        let mut app = MAIN.config();
        app.limits.backend_events_per_second = Some(5);
        app.limits.read_requests_per_second = Some(5);
        config.node.apps = Apps::new([app]);
    });
    let mut api = node.api(MAIN);
    let event = json!({"name": "e", "channel": "c", "data": "1"});
    let calls: [&mut dyn FnMut(&mut Api) -> Answer; 2] =
        [&mut |api| api.post("/events", &event), &mut |api| api.get("/channels", &[])];
    for call in calls {
        let answers: Vec<Answer> = (0..40).map(|_| call(&mut api)).collect();
        assert_eq!(answers[0].status, 200);
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(!refused.is_empty(), "forty in a row all passed");
        for answer in refused {
            answer.error(429);
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        eventually("the rate recovers", || call(&mut api).status == 200);
    }
}
