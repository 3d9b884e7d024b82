//! Whole requests through the mounted URLs, against a running node of one worker.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::time::Duration;

use actix_http::Request;
use actix_rt::net::TcpStream;
use actix_web::body::to_bytes;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App as HttpApp, HttpServer};
use micronotifier_actors::config::{App, Apps, NodeConfig};
use micronotifier_actors::protocol::sign::{Credential, body_md5};
use micronotifier_actors::{Node, Worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::EdgeConfig;

mod urls;

const NOW: i64 = 1_353_088_179;
const EVENT: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

/// A node whose workers live as long as this value.
struct Bench {
    _node: Node,
    _worker: Worker,
    state: EdgeState,
}

fn credential() -> Credential {
    Credential::new("278d425bdf160c739803", "7ad3773142a6692b25b8")
}

fn bench(edge: EdgeConfig, change: impl FnOnce(&mut App)) -> Bench {
    let mut app = App::new("3", credential());
    change(&mut app);
    let disabled = App { enabled: false, ..App::new("off", Credential::new("off", "secret")) };
    let node = Node::start(NodeConfig::new(Apps::new([app, disabled])));
    let worker = node.handle().attach_worker().unwrap();
    let state = EdgeState { wall: WallClock::Fixed(NOW), ..EdgeState::new(node.handle(), edge) };
    Bench { _node: node, _worker: worker, state }
}

impl Bench {
    async fn service(
        &self,
    ) -> impl Service<Request, Response = ServiceResponse, Error = actix_web::Error> {
        init_service(HttpApp::new().configure(routes(self.state.clone()))).await
    }

    /// Sends one request; returns its status and body.
    async fn send(&self, request: TestRequest) -> (u16, String) {
        let response = self.service().await.call(request.to_request()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn signed_uri(credential: &Credential, method: &str, path: &str, more: &str) -> String {
    let key = credential.key();
    let query = format!("auth_key={key}&auth_timestamp={NOW}&auth_version=1.0{more}");
    let signature = credential.sign(format!("{method}\n{path}\n{query}").as_bytes());
    format!("{path}?{query}&auth_signature={signature}")
}

fn get(path: &str, more: &str) -> TestRequest {
    TestRequest::with_uri(&signed_uri(&credential(), "GET", path, more))
}

fn post(path: &str, body: &str) -> TestRequest {
    let more = format!("&body_md5={}", body_md5(body.as_bytes()));
    TestRequest::with_uri(&signed_uri(&credential(), "POST", path, &more))
        .method(Method::POST)
        .set_payload(body.to_owned())
}

#[actix_rt::test]
async fn every_endpoint_answers() {
    let bench = bench(EdgeConfig::default(), |_| {});
    for (request, expected) in [
        (post("/apps/3/events", EVENT), "{}"),
        (
            post(
                "/apps/3/batch_events",
                r#"{"batch":[{"name":"a","channel":"presence-c","data":"1","info":"user_count"}]}"#,
            ),
            r#"{"batch":[{"user_count":0}]}"#,
        ),
        (get("/apps/3/channels", ""), r#"{"channels":{}}"#),
        (get("/apps/3/channels/a", ""), r#"{"occupied":false}"#),
        (
            get("/apps/3/channels/presence-a%40b", "&info=user_count"),
            r#"{"occupied":false,"user_count":0}"#,
        ),
        (get("/apps/3/channels/a/stats", ""), r#"{"occupied":false}"#),
        (get("/apps/3/channels/presence-a/users", ""), r#"{"users":[]}"#),
        (post("/apps/3/users/u1/terminate_connections", "{}"), "{}"),
        (post("/users/u1/terminate_connections", "{}"), "{}"),
        (TestRequest::with_uri("/up"), r#"{"health":"OK"}"#),
    ] {
        assert_eq!(bench.send(request).await, (200, expected.to_owned()));
    }
}

#[actix_rt::test]
async fn a_cached_event_is_told() {
    let bench = bench(EdgeConfig::default(), |_| {});
    let body = r#"{"name":"e","channel":"cache-a","data":"{\"a\":1}"}"#;
    assert_eq!(bench.send(post("/apps/3/events", body)).await.0, 200);
    let (_, told) = bench.send(get("/apps/3/channels/cache-a", "&info=cache")).await;
    assert_eq!(told, r#"{"occupied":false,"cache":{"data":"{\"a\":1}","ttl":1800}}"#);
}

#[actix_rt::test]
async fn refusals_have_their_status() {
    let bench = bench(EdgeConfig::default(), |_| {});
    let off = signed_uri(&Credential::new("off", "secret"), "GET", "/apps/off/channels", "");
    let long = format!(r#"{{"name":"e","channel":"c","data":"{}"}}"#, "x".repeat(10_241));
    for (request, status) in [
        (TestRequest::with_uri("/apps/4/channels"), 404),
        (TestRequest::with_uri("/apps/3/channels"), 401),
        (TestRequest::with_uri(&off), 403),
        (post("/apps/3/events", "{}"), 400),
        (post("/apps/3/events", &long), 413),
        (post("/apps/3/events", &" ".repeat(1 << 20)), 413),
        (post("/apps/3/events", EVENT).insert_header(("content-encoding", "gzip")), 415),
        (post("/apps/3/events", EVENT).set_payload("{}"), 401),
        (get("/apps/3/events", ""), 405),
        (get("/apps/3/channels", "&info=user_count"), 400),
        (get("/apps/3/channels/a/users", ""), 400),
        (get("/apps/3/channels/a%20b", ""), 400),
        (get("/apps/3/nothing", ""), 404),
        (get("//apps/3/channels", ""), 404),
        (get("/%61pps/3/channels", ""), 404),
        (get("/apps/3/../3/channels", ""), 404),
        (TestRequest::with_uri("/apps"), 404),
        (TestRequest::with_uri("/"), 404),
        (TestRequest::with_uri("/app/key"), 426),
    ] {
        let (given, body) = bench.send(request).await;
        assert_eq!(given, status, "{body}");
        assert!(body.ends_with(&format!(r#","code":{status}}}"#)), "{body}");
    }
}

/// Attacks S26 and S27: a chunked body that goes on after its refusal ends with the connection.
#[actix_rt::test]
async fn an_endless_body_is_cut_off() {
    let bench = bench(EdgeConfig::default(), |_| {});
    let state = bench.state.clone();
    let server = HttpServer::new(move || HttpApp::new().configure(routes(state.clone())))
        .workers(1)
        .disable_signals()
        .client_disconnect_timeout(Duration::from_millis(100))
        .bind("127.0.0.1:0")
        .unwrap();
    let address = *server.addrs().first().unwrap();
    let server = server.run();
    let handle = server.handle();
    let running = actix_rt::spawn(server);

    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let uri = signed_uri(&credential(), "POST", "/apps/3/events", "");
    let head = format!("POST {uri} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    writer.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let endless = async {
        while writer.write_all(chunk.as_bytes()).await.is_ok() {
            actix_rt::task::yield_now().await;
        }
    };
    let mut answer = Vec::new();
    let both = async { tokio::join!(endless, reader.read_to_end(&mut answer)) };
    let deadline = Duration::from_secs(30);
    // The peer may reset what it no longer reads; what counts is that it ended.
    let ((), _reset) = actix_rt::time::timeout(deadline, both).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with(r#","code":413}"#), "{answer}");
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

#[actix_rt::test]
async fn preflights_are_answered_everywhere_in_the_api() {
    let bench = bench(EdgeConfig::default(), |_| {});
    let service = bench.service().await;
    for path in ["/apps/3/events", "/apps", "/apps/3/anything"] {
        let request = TestRequest::with_uri(path).method(Method::OPTIONS);
        let response = service.call(request.to_request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let headers = response.headers();
        assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
    let response = service.call(get("/apps/3/events", "").to_request()).await.unwrap();
    assert_eq!(response.headers().get("allow").unwrap(), "POST");
    assert!(response.headers().contains_key("access-control-allow-origin"));
}

#[actix_rt::test]
async fn an_allowance_ends() {
    let bench = bench(EdgeConfig::default(), |app| {
        app.limits.backend_events_per_second = Some(1);
        app.limits.read_requests_per_second = Some(1);
    });
    for request in [|| post("/apps/3/events", EVENT), || get("/apps/3/channels", "")] {
        assert_eq!(bench.send(request()).await.0, 200);
        let (status, body) = bench.send(request()).await;
        assert_eq!(status, 429);
        assert_eq!(body, r#"{"error":"Too many requests.","code":429}"#);
    }
}

#[actix_rt::test]
async fn an_idempotency_key_publishes_once() {
    // One event a second: what is published again would be refused.
    let bench = bench(EdgeConfig::default(), |app| {
        app.limits.backend_events_per_second = Some(1);
    });
    let keyed = |key: &str, body: &str| {
        post("/apps/3/events", body).insert_header(("idempotency-key", key))
    };
    let (first, second) =
        tokio::join!(bench.send(keyed("k", EVENT)), bench.send(keyed("k", EVENT)));
    assert_eq!(first, (200, "{}".to_owned()));
    assert_eq!(second, first);
    assert_eq!(bench.send(keyed("k", EVENT)).await, first);
    assert_eq!(bench.send(keyed("k", "{}")).await.0, 422);
    assert_eq!(bench.send(keyed("other", EVENT)).await.0, 429);
    assert_eq!(bench.send(keyed(&"k".repeat(256), EVENT)).await.0, 400);
}

#[actix_rt::test]
async fn micronotifiers_backends_need_not_sign() {
    let bench = bench(
        EdgeConfig { compatibility: Compatibility::MicroNotifier, ..EdgeConfig::default() },
        |_| {},
    );
    let unsigned = |uri| TestRequest::with_uri(uri).method(Method::POST).set_payload(EVENT);
    let (status, body) = bench.send(unsigned("/apps/3/events")).await;
    assert_eq!((status, body.as_str()), (200, "{}"));
    assert_eq!(bench.send(unsigned("/apps/3/events?x=1")).await.0, 200);
    let tries = unsigned("/apps/3/events?auth_signature=00");
    assert_eq!(bench.send(tries).await.0, 401);
    let (_, apps) = bench.send(TestRequest::with_uri("/apps")).await;
    assert_eq!(apps, r#"{"applications":["3","off"]}"#);
}

#[actix_rt::test]
async fn the_prefix_is_not_signed() {
    let bench =
        bench(EdgeConfig { path_prefix: "/ws".to_owned(), ..EdgeConfig::default() }, |_| {});
    let uri = signed_uri(&credential(), "GET", "/apps/3/channels", "");
    let behind = TestRequest::with_uri(&format!("/ws{uri}"));
    assert_eq!(bench.send(behind).await.0, 200);
    assert_eq!(bench.send(TestRequest::with_uri(&uri)).await.0, 404);
    assert_eq!(bench.send(TestRequest::with_uri("/up")).await.0, 200);
    assert_eq!(bench.send(TestRequest::with_uri("/ws/up")).await.0, 200);
}
