//! Where a node listens: TLS, Unix socket, IPv6.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use micronotifier::config::{AdminConfig, Listen, ServerConfig, TlsFiles};
use micronotifier::{ServeError, serve_with};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::support::apps::{MAIN, TLS_ONLY};
use crate::support::node::configuration;
use crate::support::process::scratch;
use crate::support::stream::Stream;
use crate::support::{Api, Socket, TestNode};

/// A node with a certificate of its own, and a client's trust in it.
struct SecureNode {
    node: TestNode,
    trust: Arc<ClientConfig>,
    files: TlsFiles,
}

impl SecureNode {
    fn start() -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files =
            TlsFiles { certificate: scratch("certificate.pem"), private_key: scratch("key.pem") };
        std::fs::write(&files.certificate, pair.cert.pem()).unwrap();
        std::fs::write(&files.private_key, pair.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let node = TestNode::start(|config| config.tls = Some(files.clone()));
        Self { node, trust: Arc::new(trust), files }
    }

    fn stream(&self) -> Stream {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&self.trust), name).unwrap();
        let tcp = TcpStream::connect(self.node.address()).unwrap();
        tcp.set_nodelay(true).unwrap();
        Stream::tls(StreamOwned::new(session, tcp))
    }
}

impl Drop for SecureNode {
    fn drop(&mut self) {
        for file in [&self.files.certificate, &self.files.private_key] {
            // It fails only when the file is gone already.
            std::fs::remove_file(file).ok();
        }
    }
}

#[test]
fn clients_and_backends_are_served_over_tls() {
    let node = SecureNode::start();
    let mut socket = Socket::establish(node.stream(), MAIN);
    socket.subscribe("secure");
    let mut api = Api::new(MAIN, node.stream());
    for number in 0..10 {
        api.trigger("secure", "e", &number.to_string());
        socket.expect(json!({"event": "e", "channel": "secure", "data": number.to_string()}));
    }
    let large = "x".repeat(10_000);
    api.trigger("secure", "large", &large);
    assert_eq!(socket.expect_event("large")["data"], large);
    socket.expect_silence();
    let mut leaving = Socket::establish(node.stream(), MAIN);
    leaving.expect_silence();
    leaving.close();
}

#[test]
fn check_008_an_application_that_requires_tls_is_served_over_tls() {
    let node = SecureNode::start();
    Socket::establish(node.stream(), TLS_ONLY).expect_silence();
}

#[test]
fn plain_text_on_a_tls_port_is_not_served() {
    let node = SecureNode::start();
    let mut connection = crate::support::http::Connection::new(node.node.stream());
    connection.offer(b"GET /up HTTP/1.1\r\nHost: node\r\n\r\n");
    let mut byte = [0; 16];
    // A TLS alert or nothing, but no HTTP.
    let count = std::io::Read::read(&mut connection.stream, &mut byte).unwrap_or(0);
    assert!(!byte[..count].starts_with(b"HTTP"), "{byte:?}");
    Socket::establish(node.stream(), MAIN).expect_silence();
}

#[test]
fn a_unix_socket_serves_the_same() {
    let path = std::env::temp_dir().join(format!("micronotifier-{}.sock", std::process::id()));
    let _node = TestNode::start(|config| config.listen = Listen::Unix(path.clone()));
    let stream = || Stream::unix(UnixStream::connect(&path).unwrap());
    let mut socket = Socket::establish(stream(), MAIN);
    socket.subscribe("unix");
    Api::new(MAIN, stream()).trigger("unix", "e", "1");
    socket.expect(json!({"event": "e", "channel": "unix", "data": "1"}));
    socket.close();
}

#[test]
fn an_ipv6_address_serves_the_same() {
    let node = TestNode::start(|config| {
        config.listen = Listen::Tcp { host: "::1".to_owned(), port: 0 };
    });
    assert!(node.address().is_ipv6());
    let mut socket = node.connect(MAIN);
    socket.subscribe("six");
    node.trigger(MAIN, "six", "e", "1");
    socket.expect(json!({"event": "e", "channel": "six", "data": "1"}));
}

#[test]
fn a_host_name_is_bound_on_every_address_it_has() {
    let node = TestNode::start(|config| {
        config.listen = Listen::Tcp { host: "localhost".to_owned(), port: 0 };
    });
    node.connect(MAIN).expect_silence();
}

#[test]
fn a_port_that_is_taken_is_found_before_the_node_starts() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let public = |config: &mut ServerConfig| {
        config.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port };
    };
    let operator = |config: &mut ServerConfig| {
        let host = "127.0.0.1".to_owned();
        config.admin = Some(AdminConfig { host, port, token: String::new() });
    };
    for (key, adjust) in
        [("port", &public as &dyn Fn(&mut ServerConfig)), ("admin-port", &operator)]
    {
        let mut config = configuration();
        adjust(&mut config);
        let served = actix::System::new().block_on(serve_with(config, |_| panic!("it started")));
        let Err(ServeError::Listen(unbound)) = served else {
            panic!("it listens");
        };
        assert_eq!(unbound.key, key, "{unbound}");
    }
}
