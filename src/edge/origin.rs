//! Where a request comes from: its address, whether it came by TLS, and the page that made it.
//!
//! What a proxy says is believed only if the proxy is one of ours (`trusted-proxies`), or if it is on
//! this machine and speaks through the Unix socket.

use std::net::IpAddr;

use actix_http::RequestHead;
use actix_http::header::{HeaderMap, HeaderName, ORIGIN};

use crate::config::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; unknown behind a Unix socket whose proxy says nothing.
    pub(crate) address: Option<IpAddr>,
    /// Whether it speaks TLS, to this node or to a trusted proxy.
    pub(crate) secure: bool,
    origin: Option<String>,
}

impl Client {
    /// Reads a request's head. `secure` tells that this node itself took the TLS off.
    pub(crate) fn of(head: &RequestHead, secure: bool, proxies: &[Network]) -> Self {
        let peer = head.peer_addr.map(|peer| peer.ip().to_canonical());
        let trusted = peer.is_none_or(|peer| proxies.iter().any(|network| network.contains(peer)));
        let headers = head.headers();
        let origin = text(headers, &ORIGIN).map(str::to_owned);
        if !trusted {
            return Self { address: peer, secure, origin };
        }
        let secure = secure || text(headers, &FORWARDED_PROTO) == Some("https");
        Self { address: forwarded(headers, proxies).or(peer), secure, origin }
    }

    /// Tells whether the page's origin is on the list; any is where the list is empty. A client that
    /// names no origin is no browser, and has nobody's cookies to misuse.
    pub(crate) fn comes_from(&self, allowed: &[String]) -> bool {
        match &self.origin {
            Some(origin) => allowed.is_empty() || allowed.contains(origin),
            None => true,
        }
    }
}

/// Returns the last address in `X-Forwarded-For` that is not a trusted proxy's.
fn forwarded(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let mut hops = Vec::new();
    for value in headers.get_all(&FORWARDED_FOR) {
        hops.extend(value.to_str().ok()?.split(',').map(str::trim));
    }
    for hop in hops.into_iter().rev() {
        let address: IpAddr = hop.parse().ok()?;
        let address = address.to_canonical();
        if !proxies.iter().any(|network| network.contains(address)) {
            return Some(address);
        }
    }
    None
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Network {
    /// Tells whether an address lies in the range. IPv4 and IPv6 never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_bits = |left: u128, right: u128, width: u8| {
            let shift = width.saturating_sub(self.prefix);
            self.prefix == 0 || (left >> shift) == (right >> shift)
        };
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                same_bits(u128::from(u32::from(range)), u128::from(u32::from(address)), 32)
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                same_bits(range.into(), address.into(), 128)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use actix_http::header::HeaderValue;

    use super::*;

    fn head(peer: &str, headers: &[(&HeaderName, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.peer_addr = Some(format!("{peer}:1").parse().unwrap());
        for (name, value) in headers {
            head.headers_mut().append((*name).clone(), HeaderValue::from_str(value).unwrap());
        }
        head
    }

    fn network(address: &str, prefix: u8) -> Network {
        Network { address: address.parse().unwrap(), prefix }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = [network("10.0.0.0", 8)];
        let said = [(&FORWARDED_FOR, "1.1.1.1, 2.2.2.2, 10.9.9.9"), (&FORWARDED_PROTO, "https")];
        let spoofed = Client::of(&head("3.3.3.3", &said), false, &proxies);
        assert_eq!((spoofed.address, spoofed.secure), ("3.3.3.3".parse().ok(), false));
        let relayed = Client::of(&head("10.1.2.3", &said), false, &proxies);
        assert_eq!((relayed.address, relayed.secure), ("2.2.2.2".parse().ok(), true));
    }

    #[test]
    fn networks_compare_leading_bits() {
        assert!(network("192.168.1.0", 24).contains("192.168.1.200".parse().unwrap()));
        assert!(!network("192.168.1.0", 24).contains("192.168.2.1".parse().unwrap()));
        assert!(network("0.0.0.0", 0).contains("8.8.8.8".parse().unwrap()));
        assert!(network("fd00::", 8).contains("fd12::1".parse().unwrap()));
        assert!(!network("0.0.0.0", 0).contains("::1".parse().unwrap()));
    }

    #[test]
    fn origins_are_compared_as_they_stand() {
        let allowed = vec!["https://app.example.com".to_owned()];
        for (origin, comes) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://app.example.com.evil.com", false),
            ("null", false),
        ] {
            let client = Client::of(&head("1.1.1.1", &[(&ORIGIN, origin)]), false, &[]);
            assert_eq!(client.comes_from(&allowed), comes, "{origin}");
            assert!(client.comes_from(&[]));
        }
        assert!(Client::of(&head("1.1.1.1", &[]), false, &[]).comes_from(&allowed));
    }
}
