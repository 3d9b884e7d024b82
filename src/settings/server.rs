//! The top level of the configuration: listeners, timeouts, the edge, and what lies below.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use log::LevelFilter;
use micronotifier_actors::config::{Apps, NodeConfig};
use micronotifier_actors::limits::NodeLimits;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{
    AdminConfig, Compatibility, EdgeConfig, HttpConfig, Listen, LogConfig, LogFormat, Network,
    ServerConfig, SocketConfig, TlsFiles, is_loopback,
};

use super::section::Section;
use super::{application, limits, redis, relations, source, unbuilt};

const PORT: RangeInclusive<i64> = 0..=65_535;
const DAY: RangeInclusive<i64> = 1..=86_400;
const HOUR: RangeInclusive<i64> = 1..=3600;
/// Longest path prefix, in characters.
const MAX_PREFIX: usize = 256;
/// Largest body of an API request that may be configured, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Reads everything. A mistake leaves a default in its place; the report refuses the whole.
pub(super) fn read(mut keys: Section<'_>) -> ServerConfig {
    let compatibility = keys.choice(
        "compatibility",
        &[
            ("none", Compatibility::None),
            ("micronotifier", Compatibility::MicroNotifier),
            ("soketi", Compatibility::Soketi),
        ],
        Compatibility::None,
    );
    let listen = listen(&mut keys);
    let tls = tls(&mut keys);
    let admin = admin(&mut keys);
    let edge = EdgeConfig {
        path_prefix: path_prefix(&mut keys),
        compatibility,
        trusted_proxies: networks(&mut keys),
    };
    let around = application::Surroundings { compatibility, local: listen.is_local() };
    let apps: Vec<_> = keys
        .list_or_file("applications")
        .into_iter()
        .map(|(path, value)| application::read(Section::of(path, value, keys.report()), around))
        .collect();
    let workers = workers(&mut keys);
    let mailbox_metrics = keys.flag("mailbox-metrics", true);
    let timeouts = timeouts(&mut keys, compatibility);
    let limits = limits::node(keys.section("limits"), &timeouts);
    let socket = socket(keys.section("socket"));
    let http = http(keys.section("http"), relations::body_bytes_for(&apps));
    let log = log(keys.section("log"));
    let redis = redis::read(&mut keys);
    unbuilt::of_node(&mut keys);
    relations::check(&keys, &apps, &limits, &http);
    if redis.is_some() {
        relations::check_envelopes(&keys, &apps);
    }
    relations::check_listeners(&keys, &listen, admin.as_ref());
    keys.finish();
    ServerConfig {
        node: NodeConfig { apps: Apps::new(apps), limits, workers, mailbox_metrics },
        listen,
        tls,
        admin,
        edge,
        socket,
        http,
        redis,
        log,
        development: false,
    }
}

fn listen(keys: &mut Section<'_>) -> Listen {
    let host = keys.text("host", "localhost");
    let port = keys.number("port", &PORT, 8111);
    if let Some(path) = host.strip_prefix("unix:") {
        if path.is_empty() || path.contains('\0') {
            keys.mistake("host", "must be a path after unix:");
        }
        return Listen::Unix(PathBuf::from(path));
    }
    // MicroNotifier listens on every address where the host is empty.
    let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host };
    check_host(keys, "host", &host);
    Listen::Tcp { host, port }
}

fn check_host(keys: &Section<'_>, key: &str, host: &str) {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-._:%".contains(character);
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(plain);
    let has_port = host.contains(':') && host.parse::<IpAddr>().is_err() && !host.contains('%');
    if !is_name || has_port {
        keys.mistake(key, "must be a host name or an address, without a port and without brackets");
    }
}

/// Reads the PEM files, so that a mistake shows before the start and not at the first connection.
fn tls(keys: &mut Section<'_>) -> Option<TlsFiles> {
    let certificate = keys.text("certificate", "");
    let private_key = keys.text("private-key", "");
    match (certificate.is_empty(), private_key.is_empty()) {
        (true, true) => return None,
        (false, true) => {
            keys.mistake("private-key", "is missing: TLS needs certificate and private-key");
        }
        (true, false) => {
            keys.mistake("certificate", "is missing: TLS needs certificate and private-key");
        }
        (false, false) => {}
    }
    check_pem(keys, "certificate", &certificate, |pem| CertificateDer::from_pem_slice(pem).is_ok());
    check_pem(keys, "private-key", &private_key, |pem| PrivateKeyDer::from_pem_slice(pem).is_ok());
    Some(TlsFiles {
        certificate: PathBuf::from(certificate),
        private_key: PathBuf::from(private_key),
    })
}

fn check_pem(keys: &Section<'_>, key: &str, path: &str, is_there: impl Fn(&[u8]) -> bool) {
    if path.is_empty() {
        return;
    }
    match source::read_text(path.as_ref()) {
        Ok(pem) if is_there(pem.as_bytes()) => {}
        Ok(_) => keys.mistake(key, format!("{path} holds no {key} in PEM form")),
        Err(problem) => keys.mistake(key, format!("{path} {problem}")),
    }
}

fn admin(keys: &mut Section<'_>) -> Option<AdminConfig> {
    let host = keys.text("admin-host", "127.0.0.1");
    let port = keys.number("admin-port", &PORT, 9111);
    let given = keys.secret("admin-token");
    let is_absent = given.as_ref().is_ok_and(String::is_empty);
    let token = given.unwrap_or_default();
    check_host(keys, "admin-host", &host);
    if token.chars().any(|character| !character.is_ascii_graphic()) {
        keys.mistake(
            "admin-token",
            "must be printable ASCII without spaces: it travels in a header",
        );
    }
    if port == 0 {
        return None;
    }
    if is_absent && !is_loopback(&host) {
        keys.mistake("admin-token", "is missing: admin-host can be reached from other machines");
    }
    if !token.is_empty() && token.len() < 16 {
        keys.report()
            .warning(&keys.at("admin-token"), "is shorter than 16 characters and can be guessed");
    }
    Some(AdminConfig { host, port, token })
}

fn path_prefix(keys: &mut Section<'_>) -> String {
    let prefix = keys.text("path-prefix", "");
    let plain = |character: char| character.is_ascii_alphanumeric() || "/-._~".contains(character);
    let well_formed = prefix.starts_with('/')
        && !prefix.ends_with('/')
        && !prefix.contains("//")
        && prefix.len() <= MAX_PREFIX
        && prefix.chars().all(plain);
    if !prefix.is_empty() && !well_formed {
        keys.mistake("path-prefix", "must be empty or like /prefix, without a slash at its end");
    }
    prefix
}

fn networks(keys: &mut Section<'_>) -> Vec<Network> {
    let mut networks = Vec::new();
    for (path, text) in keys.texts("trusted-proxies") {
        match network(&text) {
            Some(network) => networks.push(network),
            None => {
                keys.report().mistake(path, "must be an address or a network such as 10.0.0.0/8");
            }
        }
    }
    networks
}

/// Parses an address or a network; bits beyond the prefix are cleared.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    let host_bits = u32::from(bits.checked_sub(prefix)?);
    let address = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
    };
    Some(Network { address, prefix })
}

/// Returns the number of worker threads; 0 in the configuration = as many as cores.
fn workers(keys: &mut Section<'_>) -> usize {
    match keys.number("workers", &(0..=1024), 0) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}

/// Reads the timeouts of sessions into limits that are otherwise the defaults.
fn timeouts(keys: &mut Section<'_>, compatibility: Compatibility) -> NodeLimits {
    let defaults = limits::node_defaults(compatibility);
    let activity_timeout = keys.seconds("activity-timeout", &DAY, defaults.activity_timeout);
    NodeLimits {
        activity_timeout,
        pong_timeout: keys.seconds(
            "pong-timeout",
            &DAY,
            defaults.pong_timeout.min(activity_timeout),
        ),
        authorization_timeout: keys.seconds(
            "authorization-timeout",
            &HOUR,
            defaults.authorization_timeout,
        ),
        ..defaults
    }
}

fn socket(mut keys: Section<'_>) -> SocketConfig {
    let defaults = SocketConfig::default();
    let socket = SocketConfig {
        send_buffer_bytes: keys.number(
            "send-buffer-bytes",
            &(4096..=16 * 1024 * 1024),
            defaults.send_buffer_bytes,
        ),
        notsent_lowat_bytes: keys.number(
            "notsent-lowat-bytes",
            &(1024..=16 * 1024 * 1024),
            defaults.notsent_lowat_bytes,
        ),
        user_timeout: keys.seconds("user-timeout-seconds", &HOUR, defaults.user_timeout),
        backlog: keys.number("backlog", &(1..=65_535), defaults.backlog),
    };
    keys.finish();
    socket
}

fn http(mut keys: Section<'_>, body_bytes: usize) -> HttpConfig {
    let defaults = HttpConfig::default();
    let most = i64::try_from(MAX_BODY_BYTES).unwrap_or(i64::MAX);
    let http = HttpConfig {
        request_head: keys.seconds("request-head-seconds", &HOUR, defaults.request_head),
        request_body: keys.seconds("request-body-seconds", &HOUR, defaults.request_body),
        keep_alive: keys.seconds("keep-alive-seconds", &HOUR, defaults.keep_alive),
        body_bytes: keys.number("body-bytes", &(1024..=most), body_bytes),
    };
    keys.finish();
    http
}

fn log(mut keys: Section<'_>) -> LogConfig {
    let defaults = LogConfig::default();
    let log = LogConfig {
        format: keys.choice(
            "format",
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            defaults.format,
        ),
        level: keys.choice(
            "level",
            &[
                ("off", LevelFilter::Off),
                ("error", LevelFilter::Error),
                ("warn", LevelFilter::Warn),
                ("info", LevelFilter::Info),
                ("debug", LevelFilter::Debug),
                ("trace", LevelFilter::Trace),
            ],
            defaults.level,
        ),
    };
    keys.finish();
    log
}
