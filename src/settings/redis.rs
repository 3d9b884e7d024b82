//! The `redis` object: where the servers are that nodes share. Its presence means distributed mode.

use std::ops::RangeInclusive;

use micronotifier_actors::redis::{Address, RedisOptions, Topology};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::section::Section;
use super::source;

const HOUR: RangeInclusive<i64> = 1..=3600;
/// Where Redis is when nothing is said.
const DEFAULT_ADDRESS: &str = "localhost:6379";
/// Longest prefix, in characters.
const MAX_PREFIX: usize = 64;

/// Reads the object; `None` where there is none.
pub(super) fn read(parent: &mut Section<'_>) -> Option<RedisOptions> {
    let is_given = parent.has("redis");
    let mut keys = parent.section("redis");
    let addresses = addresses(&mut keys);
    let database = keys.number("database", &(0..=16_383), 0);
    let topology = topology(&mut keys, addresses.len(), database);
    let secure = keys.flag("secure", false);
    let options = RedisOptions {
        topology,
        database,
        username: keys.text("username", ""),
        password: keys.secret("password").unwrap_or_default(),
        secure,
        authority: authority(&mut keys, secure),
        prefix: prefix(&mut keys),
        cluster_secret: cluster_secret(&mut keys),
        repair_events: keys.number("repair-events", &(0..=1_000_000), 1000),
        repair_wait: keys.seconds("repair-seconds", &HOUR, std::time::Duration::from_mins(2)),
        addresses,
    };
    keys.finish();
    is_given.then_some(options)
}

/// Reads `address` and `addresses`, which may name one server each or together.
fn addresses(keys: &mut Section<'_>) -> Vec<Address> {
    let is_given = keys.has("address");
    let first = keys.text("address", DEFAULT_ADDRESS);
    let further = keys.texts("addresses");
    let mut addresses = Vec::new();
    if is_given || further.is_empty() {
        match Address::parse(&first) {
            Some(address) => addresses.push(address),
            None => keys.mistake("address", no_address(&first)),
        }
    }
    for (path, text) in further {
        match Address::parse(&text) {
            Some(address) => addresses.push(address),
            None => keys.report().mistake(path, no_address(&text)),
        }
    }
    addresses
}

/// Says what an address must be, and never what it is: such a URL may hold a password.
fn no_address(text: &str) -> &'static str {
    if text.contains("://") {
        "must be host:port without redis://; TLS is redis.secure"
    } else {
        "must be host:port"
    }
}

fn topology(keys: &mut Section<'_>, addresses: usize, database: u32) -> Topology {
    let (sentinel, cluster) = (keys.flag("sentinel", false), keys.flag("cluster", false));
    let master = keys.text("master", "mymaster");
    if master.is_empty() {
        keys.mistake("master", "must not be empty");
    }
    if cluster && sentinel {
        keys.mistake("cluster", "cannot go with sentinel");
    } else if cluster && database != 0 {
        keys.mistake("database", "must be 0 with cluster: a cluster has no other");
    } else if !cluster && !sentinel && addresses > 1 {
        keys.mistake("addresses", "must be one server, or sentinel or cluster must be true");
    }
    match (sentinel, cluster) {
        (true, _) => Topology::Sentinel { master },
        (false, true) => Topology::Cluster,
        (false, false) => Topology::Single,
    }
}

/// Reads the PEM file of the authority, so that a mistake shows before the start.
fn authority(keys: &mut Section<'_>, secure: bool) -> Option<Vec<u8>> {
    let path = keys.text("certificate-authority", "");
    if path.is_empty() {
        return None;
    }
    if !secure {
        keys.mistake("certificate-authority", "needs secure");
    }
    match source::read_text(path.as_ref()) {
        Ok(pem) if CertificateDer::from_pem_slice(pem.as_bytes()).is_ok() => Some(pem.into_bytes()),
        Ok(_) => {
            keys.mistake(
                "certificate-authority",
                format!("{path} holds no certificate in PEM form"),
            );
            None
        }
        Err(problem) => {
            keys.mistake("certificate-authority", format!("{path} {problem}"));
            None
        }
    }
}

fn prefix(keys: &mut Section<'_>) -> String {
    let prefix = keys.text("prefix", "mn:");
    let plain = |character: char| character.is_ascii_graphic() && !"{}*?[]\\".contains(character);
    if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.chars().all(plain) {
        keys.mistake("prefix", "must be 1 to 64 printable characters, none of {}*?[]\\ or a space");
    }
    prefix
}

fn cluster_secret(keys: &mut Section<'_>) -> String {
    let secret = keys.secret("cluster-secret").unwrap_or_default();
    if !secret.is_empty() && secret.len() < 16 {
        let path = keys.at("cluster-secret");
        keys.report().warning(&path, "is shorter than 16 characters and can be guessed");
    }
    secret
}
