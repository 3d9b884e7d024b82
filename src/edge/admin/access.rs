//! Who may ask the operator's port: the token, and which hosts and pages requests may name.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use actix_web::http::uri::Authority;
use subtle::ConstantTimeEq as _;

use crate::config::{AdminConfig, is_loopback};

/// Who has made a browser ask.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// It names another host: a page may have led its own name to this address (DNS rebinding).
    #[error("This host name is not the operator's")]
    ForeignHost,
    /// A page of another site made it.
    #[error("This origin is not the operator's")]
    ForeignOrigin,
    /// It brings no token, or a wrong one.
    #[error("The admin token is needed")]
    NoToken,
}

/// What requests are judged by.
pub(super) struct Access {
    host: String,
    token: String,
}

impl Access {
    pub(super) fn new(config: &AdminConfig) -> Self {
        Self { host: config.host.clone(), token: config.token.clone() }
    }

    /// Refuses what a foreign page may have made.
    ///
    /// With a token any `Host` will do, and its pages may have come over TLS, which a proxy ends: no page of
    /// another site has the token, and a scraper may know the node by a name of its own.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.token.is_empty() && headers.contains_key(HOST) {
            let host = host_name(headers).ok_or(Denied::ForeignHost)?;
            if !self.is_own(&host) {
                return Err(Denied::ForeignHost);
            }
        }
        if headers.contains_key(ORIGIN) {
            let origin = only(headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
            let (scheme, authority) = origin.ok_or(Denied::ForeignOrigin)?;
            let is_own_scheme = scheme == "http" || (scheme == "https" && !self.token.is_empty());
            if !is_own_scheme || only(headers, &HOST) != Some(authority) {
                return Err(Denied::ForeignOrigin);
            }
        }
        Ok(())
    }

    /// Refuses what a browser says another site has asked for, where a request brings no `Origin`: an image,
    /// a script, a frame. What is no browser says nothing.
    pub(super) fn check_site(headers: &HeaderMap) -> Result<(), Denied> {
        if !headers.contains_key(&SEC_FETCH_SITE) {
            return Ok(());
        }
        // "none": typed, or a bookmark
        match only(headers, &SEC_FETCH_SITE) {
            Some("same-origin" | "none") => Ok(()),
            _ => Err(Denied::ForeignOrigin),
        }
    }

    /// Compares the token, in a time that depends on its length alone.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.token.is_empty() {
            return Ok(());
        }
        let given = only(headers, &AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let given = given.ok_or(Denied::NoToken)?;
        if bool::from(given.as_bytes().ct_eq(self.token.as_bytes())) {
            Ok(())
        } else {
            Err(Denied::NoToken)
        }
    }

    fn is_own(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        is_loopback(host) || host.eq_ignore_ascii_case(&self.host) || bare.parse::<IpAddr>().is_ok()
    }
}

/// Returns the host that a request names, without its port; `None` for text that is no host.
pub(super) fn host_name(headers: &HeaderMap) -> Option<String> {
    let authority: Authority = only(headers, &HOST)?.parse().ok()?;
    let host = authority.host();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let is_plain = !authority.as_str().contains('@') && host.bytes().all(plain);
    is_plain.then(|| host.to_owned())
}

/// Returns a header that stands exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use actix_web::http::header::HeaderValue;

    use super::*;

    fn access(token: &str) -> Access {
        Access { host: "node.internal".to_owned(), token: token.to_owned() }
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_own_names_and_addresses_are_answered_without_a_token() {
        for (host, is_own) in [
            ("localhost:9111", true),
            ("LOCALHOST", true),
            ("127.0.0.1:9111", true),
            ("[::1]:9111", true),
            ("192.168.1.7", true),
            ("node.internal:9111", true),
            ("evil.example:9111", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("", false),
        ] {
            let headers = headers(&[(HOST, host)]);
            let expected = if is_own { Ok(()) } else { Err(Denied::ForeignHost) };
            assert_eq!(access("").check_origin(&headers), expected, "{host}");
            assert_eq!(access("token").check_origin(&headers), Ok(()), "{host}");
        }
        let twice = headers(&[(HOST, "localhost"), (HOST, "evil.example")]);
        assert_eq!(access("").check_origin(&twice), Err(Denied::ForeignHost));
        assert_eq!(access("").check_origin(&HeaderMap::new()), Ok(()));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_whatever_the_token() {
        for (origin, is_own) in [
            ("http://localhost:9111", true),
            ("http://localhost:8111", false),
            ("https://localhost:8111", false),
            ("http://evil.example", false),
            ("https://evil.example", false),
            ("ftp://localhost:9111", false),
            ("localhost:9111", false),
            ("null", false),
        ] {
            let headers = headers(&[(HOST, "localhost:9111"), (ORIGIN, origin)]);
            for token in ["", "token"] {
                let outcome = access(token).check_origin(&headers);
                assert_eq!(outcome.is_ok(), is_own, "{origin}");
            }
        }
    }

    #[test]
    fn a_page_behind_a_proxy_that_ends_tls_needs_a_token() {
        let headers = headers(&[(HOST, "node.example"), (ORIGIN, "https://node.example")]);
        assert_eq!(access("token").check_origin(&headers), Ok(()));
        assert!(access("").check_origin(&headers).is_err());
        let own = self::headers(&[(HOST, "localhost"), (ORIGIN, "https://localhost")]);
        assert_eq!(access("").check_origin(&own), Err(Denied::ForeignOrigin));
    }

    #[test]
    fn what_another_site_has_a_browser_ask_for_is_refused() {
        for (site, is_own) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            let headers = headers(&[(SEC_FETCH_SITE, site)]);
            assert_eq!(Access::check_site(&headers).is_ok(), is_own, "{site}");
        }
        let twice = headers(&[(SEC_FETCH_SITE, "none"), (SEC_FETCH_SITE, "none")]);
        assert!(Access::check_site(&twice).is_err());
        assert!(Access::check_site(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn the_token_must_be_whole() {
        for (given, fits) in [
            ("Bearer token", true),
            ("bearer token", true),
            ("Bearer toke", false),
            ("Bearer tokens", false),
            ("Bearer ", false),
            ("Basic token", false),
            ("token", false),
        ] {
            let headers = headers(&[(AUTHORIZATION, given)]);
            assert_eq!(access("token").check_token(&headers).is_ok(), fits, "{given}");
        }
        assert!(access("token").check_token(&HeaderMap::new()).is_err());
        assert!(access("").check_token(&HeaderMap::new()).is_ok());
    }
}
