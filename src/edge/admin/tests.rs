//! The operator's URLs, asked as a browser and a scraper ask.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use actix_web::FromRequest as _;
use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use micronotifier_actors::config::{App, Apps, NodeConfig};
use micronotifier_actors::protocol::sign::Credential;
use micronotifier_actors::{Node, Worker};
use serde_json::{Value, json};

use super::*;
use crate::config::EdgeConfig;
use crate::edge::PublicSide;

const TOKEN: &str = "token-of-the-operator";

struct Bench {
    operator: Operator,
    _worker: Worker,
}

fn bench(token: &str, change: impl FnOnce(&mut EdgeState)) -> Bench {
    let mut named = App::new("1", Credential::new("the-key", "the-secret"));
    named.alias = Some(micronotifier_actors::protocol::AppId::new("testapp"));
    let odd = App::new("a\"b", Credential::new("k2", "s2"));
    let node = Node::start(NodeConfig::new(Apps::new([named, odd]))).handle();
    let worker = node.attach_worker().unwrap();
    let mut edge = EdgeState::new(node, EdgeConfig::default());
    edge.public = Arc::new(PublicSide {
        addresses: vec!["0.0.0.0:8111".parse().unwrap()],
        secure: false,
        development: false,
    });
    change(&mut edge);
    let config = AdminConfig { host: "127.0.0.1".to_owned(), port: 9111, token: token.to_owned() };
    Bench { operator: Operator::new(&config, edge), _worker: worker }
}

fn header<'r>(response: &'r HttpResponse, name: &str) -> &'r str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

impl Bench {
    async fn ask(&self, request: TestRequest) -> (HttpResponse, String) {
        let request = request.app_data(self.operator.clone());
        let (request, mut payload) = request.to_http_parts();
        let payload = actix_web::web::Payload::from_request(&request, &mut payload);
        let response = answer(request, payload.await.unwrap()).await;
        let (response, body) = response.into_parts();
        let body = to_bytes(body).await.unwrap();
        let response = response.map_body(|_, ()| actix_web::body::BoxBody::new(()));
        (response, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = TestRequest::with_uri(path).insert_header(("host", "localhost:9111"));
        let (response, body) = self.ask(request).await;
        (response.status().as_u16(), body)
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.1).unwrap()
    }
}

#[actix_rt::test]
async fn health_and_readiness_are_told() {
    let bench = bench("", |_| {});
    assert_eq!(bench.get("/health").await, (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(bench.get("/ready").await, (200, r#"{"status":"ready"}"#.to_owned()));
}

#[actix_rt::test]
async fn applications_are_told_without_their_secrets() {
    let public = bench("", |_| {});
    let body = public.json("/apps").await;
    let first = json!({"id": "1", "name": "testapp", "connections": 0, "messages_sent": 0});
    assert_eq!(body["applications"][0], first);
    assert_eq!(body["applications"][1]["name"], "a\"b");
    assert_eq!(body["node"]["sockets"], json!(["ws://localhost:8111"]));
    assert_eq!((&body["node"]["ready"], &body["node"]["reasons"]), (&json!(true), &json!([])));
    assert_eq!(body["cluster"], Value::Null);

    let development = bench("", |edge| {
        Arc::get_mut(&mut edge.public).unwrap().development = true;
    });
    let (_, text) = development.get("/apps").await;
    assert!(text.contains("the-key"), "{text}");
    assert!(!text.contains("the-secret"), "{text}");
}

#[actix_rt::test]
async fn actors_and_their_queues_are_told() {
    let body = bench("", |_| {}).json("/actors").await;
    assert_eq!(body["actors"][2], json!({"kind": "courier", "live": 1}));
    let queues = body["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2);
    assert_eq!(queues[1]["queue"], "commands");
    assert!(queues[1]["places"].as_u64().unwrap() > 0);
}

#[actix_rt::test]
async fn metrics_are_in_the_text_format() {
    let bench = bench("", |_| {});
    let request = TestRequest::with_uri("/metrics").insert_header(("host", "localhost"));
    let (response, text) = bench.ask(request).await;
    assert_eq!(header(&response, "content-type"), Format::Prometheus.content_type());
    for line in [
        "micronotifier_ready 1",
        "micronotifier_connections{app_id=\"a\\\"b\"} 0",
        "micronotifier_triggers_total{app_id=\"1\",status=\"200\"} 0",
        "micronotifier_queue_places_taken{queue=\"events\",shard=\"0\"} 0",
        "micronotifier_actors{kind=\"registry\"} 1",
        "micronotifier_worker_loop_lag_seconds_bucket{worker=\"0\",le=\"0.02\"} 0",
        "micronotifier_worker_loop_lag_seconds_bucket{worker=\"0\",le=\"+Inf\"} 0",
        "micronotifier_worker_loop_lag_seconds_sum{worker=\"0\"} 0.0",
        "micronotifier_worker_loop_lag_seconds_count{worker=\"0\"} 0",
        "micronotifier_table_entries{table=\"signed_in\"} 0",
        "micronotifier_table_entries{table=\"idempotency_keys\"} 0",
        "micronotifier_outbox_bytes{worker=\"0\"} 0",
        "micronotifier_connections_refused_total{cause=\"node_full\"} 0",
        "micronotifier_tap_onlookers 0",
        "micronotifier_tap_dropped_total 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
    assert!(!text.contains("soketi_"), "{text}");
    let mut families = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let name = family.split(' ').next().unwrap().to_owned();
            assert!(families.insert(name), "twice: {line}");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let name = name
                .strip_suffix("_bucket")
                .or(name.strip_suffix("_sum"))
                .or(name.strip_suffix("_count"))
                .unwrap_or(name);
            assert!(families.contains(name), "no type: {line}");
            let value = line.rsplit_once(' ').unwrap().1;
            assert!(value.parse::<f64>().is_ok(), "no number: {line}");
        }
    }
}

#[actix_rt::test]
async fn every_metric_is_in_the_manual() {
    let manual = include_str!("../../../docs/watching.md");
    let (_, text) = bench("", |_| {}).get("/metrics").await;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let ours: Vec<_> = families.filter(|name| name.starts_with("micronotifier_")).collect();
    assert!(ours.len() > 30, "{ours:?}");
    for name in ours {
        assert!(manual.contains(&format!("`{name}`")), "docs/watching.md lacks {name}");
    }
}

#[actix_rt::test]
async fn open_metrics_are_told_to_who_asks_for_them() {
    let bench = bench("", |edge| {
        let config = EdgeConfig { compatibility: Compatibility::Soketi, ..EdgeConfig::default() };
        edge.edge = Arc::new(config);
    });
    let request = TestRequest::with_uri("/metrics")
        .insert_header(("host", "localhost"))
        .insert_header(("accept", "application/openmetrics-text;version=1.0.0"));
    let (response, text) = bench.ask(request).await;
    assert_eq!(header(&response, "content-type"), Format::OpenMetrics.content_type());
    assert!(text.contains("# TYPE micronotifier_triggers counter\n"), "{text}");
    assert!(text.contains("# TYPE soketi_socket_received_bytes unknown\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

#[actix_rt::test]
async fn everything_but_health_and_the_empty_page_wants_the_token() {
    let bench = bench(TOKEN, |_| {});
    for path in ["/ready", "/metrics", "/apps", "/actors", "/channels?app=1"] {
        let (response, _) = bench.ask(TestRequest::with_uri(path)).await;
        assert_eq!(response.status(), 401, "{path}");
        assert!(response.headers().contains_key("www-authenticate"));
        let given = ("authorization", format!("Bearer {TOKEN}"));
        let request = TestRequest::with_uri(path).insert_header(given);
        assert_eq!(bench.ask(request).await.0.status(), 200, "{path}");
    }
    for request in
        [TestRequest::with_uri("/tap"), TestRequest::post().uri("/events?app=1").set_payload("{}")]
    {
        assert_eq!(bench.ask(request).await.0.status(), 401);
    }
    for path in ["/health", "/", "/page.css", "/page.js", "/figures.js"] {
        assert_eq!(bench.get(path).await.0, 200, "{path}");
    }
}

#[actix_rt::test]
async fn other_sites_are_refused() {
    let bench = bench("", |_| {});
    for (name, value) in [("host", "evil.example:9111"), ("origin", "http://evil.example")] {
        let mut request = TestRequest::with_uri("/apps");
        if name == "origin" {
            request = request.insert_header(("host", "localhost:9111"));
        }
        let (response, body) = bench.ask(request.insert_header((name, value))).await;
        assert_eq!(response.status(), 403, "{name}");
        assert!(!body.contains("testapp"), "{body}");
        let opens = "access-control-allow-origin";
        assert!(!response.headers().contains_key(opens));
    }
}

#[actix_rt::test]
async fn other_paths_and_methods_are_json_errors() {
    let bench = bench("", |_| {});
    let not_found = r#"{"error":"Not found","code":404}"#;
    for path in ["/app/the-key", "/apps/1/channels", "/apps/", "/%6detrics"] {
        assert_eq!(bench.get(path).await, (404, not_found.to_owned()), "{path}");
    }
    let request = TestRequest::post().uri("/apps");
    let (response, _) = bench.ask(request).await;
    assert_eq!(response.status(), 405);
    assert_eq!(header(&response, "allow"), "GET");
    let (response, _) = bench.ask(TestRequest::with_uri("/events")).await;
    assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, "POST"));
}

#[actix_rt::test]
async fn the_page_lets_nothing_else_in() {
    let bench = bench("", |_| {});
    let request = TestRequest::with_uri("/").insert_header(("host", "localhost:9111"));
    let (response, page) = bench.ask(request).await;
    let policy = header(&response, "content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("connect-src 'self' ws://localhost:8111;"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for inline in ["<style", "style=", " onclick", "://"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let odd = TestRequest::with_uri("/").insert_header(("host", "a;script-src *"));
    let guarded = self::bench(TOKEN, |_| {});
    let (response, _) = guarded.ask(odd).await;
    let policy = header(&response, "content-security-policy");
    assert!(!policy.contains("script-src *"), "{policy}");
}

#[actix_rt::test]
async fn an_event_is_sent_for_an_application() {
    let bench = bench("", |_| {});
    let body = r#"{"name":"e","channel":"c","data":"x"}"#;
    let json = ("content-type", "application/json");
    let post = |path| TestRequest::post().uri(path).set_payload(body);
    let (response, text) = bench.ask(post("/events?app=testapp").insert_header(json)).await;
    assert_eq!((response.status().as_u16(), text.as_str()), (200, "{}"));
    for (request, status) in [
        (
            post("/events?app=1").insert_header(("content-type", "Application/JSON;charset=utf-8")),
            200,
        ),
        (post("/events?app=1"), 400),
        (post("/events?app=1").insert_header(("content-type", "text/plain")), 400),
        (post("/events?app=nobody").insert_header(json), 404),
        (post("/events?app=1").insert_header(json).set_payload(r#"{"name":"e"}"#), 400),
        (
            post("/events?app=1")
                .insert_header(json)
                .insert_header(("sec-fetch-site", "cross-site")),
            403,
        ),
        (
            post("/events?app=1")
                .insert_header(json)
                .insert_header(("origin", "http://evil.example")),
            403,
        ),
    ] {
        assert_eq!(bench.ask(request).await.0.status(), status);
    }
}

#[actix_rt::test]
async fn channels_and_members_are_told() {
    let bench = bench("", |_| {});
    let none = json!({"channels": [], "total": 0, "partial": false});
    assert_eq!(bench.json("/channels?app=1&prefix=presence-").await, none);
    let nobody = json!({"users": [], "total": 0, "partial": false});
    assert_eq!(bench.json("/members?app=1&channel=presence-c").await, nobody);
    assert_eq!(bench.get("/members?app=1&channel=a%20b").await.0, 400);
    assert_eq!(bench.get("/channels?app=nobody").await.0, 404);
}
