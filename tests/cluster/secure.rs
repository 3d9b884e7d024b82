//! TLS to Redis: the server must be who it says, and there is no way back to plain text.

use micronotifier_actors::bridge::redis::Ready;
use micronotifier_actors::redis::{LinkError, RedisOptions, Topology};
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::process::{free_port, scratch};
use crate::support::{TestNode, unique};
use crate::surroundings::{Redis, node, partitioned, watch};

/// A server that speaks TLS alone, and the certificate that it shows, for `localhost`.
struct Secure {
    port: u16,
    pem: Vec<u8>,
    _redis: Redis,
}

impl Secure {
    fn start() -> Self {
        let (port, identity) = (free_port(), Identity::new());
        let mut arguments = identity.arguments(port);
        arguments.extend(["--port", "0"].map(str::to_owned));
        let redis =
            Redis::start_on(port, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        Self { port, pem: identity.pem, _redis: redis }
    }

    /// Starts a cluster of one node, which announces its name and its port for TLS.
    fn start_cluster() -> Self {
        let (port, identity) = (free_port(), Identity::new());
        let mut arguments = identity.arguments(port);
        let named = ["--cluster-announce-hostname", "localhost"];
        let preferred = ["--cluster-preferred-endpoint-type", "hostname"];
        let encrypted = ["--tls-cluster", "yes"];
        arguments.extend([named, preferred, encrypted].concat().into_iter().map(str::to_owned));
        let redis = partitioned::server(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let _: String = redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        Self { port, pem: identity.pem, _redis: redis }
    }

    fn options(&self, host: &str) -> RedisOptions {
        let address =
            micronotifier_actors::redis::Address { host: host.to_owned(), port: self.port };
        let mut options = RedisOptions::single(address);
        options.secure = true;
        options.authority = Some(self.pem.clone());
        options
    }
}

/// A certificate for `localhost` and its key.
struct Identity {
    certificate: String,
    key: String,
    pem: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let [certificate, key] = ["redis.pem", "redis.key"].map(scratch);
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let [certificate, key] = [certificate, key].map(|path| path.to_str().unwrap().to_owned());
        Self { certificate, key, pem: pair.cert.pem().into_bytes() }
    }

    /// Returns what has a server speak TLS on this port.
    fn arguments(&self, port: u16) -> Vec<String> {
        let port = port.to_string();
        let all = [
            ["--tls-port", &port],
            ["--tls-auth-clients", "no"],
            ["--tls-cert-file", &self.certificate],
            ["--tls-key-file", &self.key],
            ["--tls-ca-cert-file", &self.certificate],
        ];
        all.concat().into_iter().map(str::to_owned).collect()
    }
}

fn check(options: RedisOptions) -> Result<(), LinkError> {
    actix::System::new().block_on(async { Ready::check(options).await.map(|_| ()) })
}

#[test]
fn nodes_talk_by_a_redis_that_speaks_tls() {
    let redis = Secure::start();
    let (here, there) = (node(redis.options("localhost")), node(redis.options("localhost")));
    let channel = unique("secure");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.fence(&channel, &mut [&mut far]);
}

#[test]
fn nodes_talk_by_a_cluster_that_speaks_tls() {
    let redis = Secure::start_cluster();
    let mut options = redis.options("localhost");
    options.topology = Topology::Cluster;
    let (here, there) = (node(options.clone()), node(options));
    let channel = unique("secure");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    here.fence(&channel, &mut [&mut far]);
}

/// Attack S36: another name, an unknown certificate, a server without TLS.
#[test]
fn attack_s36_who_cannot_be_trusted_is_refused() {
    let redis = Secure::start();
    assert_eq!(check(redis.options("localhost")), Ok(()));
    let mut unknown = redis.options("localhost");
    unknown.authority = None;
    for options in [redis.options("127.0.0.1"), unknown] {
        let refused = check(options.clone());
        assert!(matches!(refused, Err(LinkError::Refused { .. })), "{options:?}: {refused:?}");
    }
}

/// Attack S36: a server without TLS says nothing to a greeting in TLS. It is never greeted in plain text.
#[test]
fn attack_s36_there_is_no_way_back_to_plain_text() {
    let plain = Redis::start();
    let mut options = plain.options();
    options.secure = true;
    let node = TestNode::start(|config| config.redis = Some(options));
    let body = json!({"name": "e", "channels": ["c"], "data": "1"});
    assert_eq!(node.api(MAIN).post("/events", &body).status, 503);
    assert!(!watch(&node).is_whole());
    let clients: String = plain.command(&["CLIENT", "LIST"]);
    let greeted = clients.lines().filter(|client| client.contains("cmd=hello"));
    assert_eq!(greeted.count(), 0, "{clients}");
}
