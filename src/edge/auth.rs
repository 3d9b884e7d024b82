//! Who sent an API request: the signature over its method, path, query and body (protocol section 6.2).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::sign::{self, Credential};

use super::api::Call;
use super::body::RequestBody;
use super::error::ApiError;
use super::query::{Plus, Query, Repeated, percent_decode};
use crate::config::Compatibility;

/// How far a request's timestamp may be from the server's time, in seconds. Source: Pusher.
pub const TIMESTAMP_TOLERANCE_SECONDS: u64 = 600;

const SIGNING_PARAMETERS: [&str; 4] =
    ["auth_key", "auth_version", "auth_timestamp", "auth_signature"];

/// Why a request was not believed. The texts are Pusher's where Pusher has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The query is not UTF-8 once decoded, so no SDK has signed it.
    #[error("Invalid query: not UTF-8")]
    Query,
    /// A parameter of the signature stands twice.
    #[error("Repeated parameter: {0}")]
    Repeated(&'static str),
    /// No key.
    #[error("Missing parameter: auth_key")]
    MissingKey,
    /// The key is not this application's, or was retired.
    #[error("Unknown auth_key")]
    UnknownKey,
    /// No version.
    #[error("Version required")]
    MissingVersion,
    /// Another version than 1.0.
    #[error("Version not supported")]
    UnsupportedVersion,
    /// No timestamp.
    #[error("Timestamp required")]
    MissingTimestamp,
    /// The timestamp is not a number of seconds.
    #[error("Invalid timestamp")]
    InvalidTimestamp,
    /// Too old, too far ahead, or a clock is wrong.
    #[error(
        "Timestamp expired: Given timestamp ({}) not within {TIMESTAMP_TOLERANCE_SECONDS}s of server time ({})",
        iso_8601(*.given),
        iso_8601(*.now)
    )]
    Expired {
        /// What the request says, in seconds since 1970.
        given: i64,
        /// What the server's clock says.
        now: i64,
    },
    /// Signed with another secret, or changed on its way. Never holds the expected signature.
    #[error(
        "Invalid signature: you should have sent HmacSHA256Hex(\"{}\", your_secret_key), but you sent \"{sent}\"",
        .text.replace('\n', "\\n")
    )]
    Signature {
        /// What should have been signed.
        text: String,
        /// What was sent as the signature.
        sent: String,
    },
    /// The body is not the one that was signed.
    #[error("Invalid body_md5")]
    Body,
}

/// A request that came from the application's backend, with its whole body.
pub(crate) struct Signed<'r> {
    /// The application.
    pub(crate) app: Arc<App>,
    /// The query, read the way it was signed.
    pub(crate) query: Query<'r>,
    /// The body, byte for byte.
    pub(crate) body: Bytes,
}

impl<'r> Signed<'r> {
    /// Checks a request in this order: application known, signature, application enabled, size of
    /// the body, the body's digest.
    ///
    /// `app_id` is the raw path segment; without one, the key names the application. `body_limit`
    /// is in bytes.
    ///
    /// # Errors
    /// The first check that failed.
    pub(crate) async fn check(
        call: &Call<'r>,
        app_id: Option<&str>,
        body: &mut RequestBody,
        body_limit: impl FnOnce(&App) -> usize,
    ) -> Result<Self, ApiError> {
        let raw_query = call.request.uri().query().unwrap_or_default();
        let app = match app_id {
            Some(id) => app_by_id(call, id)?,
            None => app_by_key(call, raw_query)?,
        };
        let unsigned = unsigned_query(call, raw_query);
        let must_name_body = unsigned.is_none();
        let line = RequestLine {
            method: call.request.method().as_str(),
            path: call.path,
            query: raw_query,
        };
        let query = unsigned.map_or_else(|| verify(&app, &line, call.state.wall.unix_now()), Ok)?;
        if !app.enabled {
            return Err(ApiError::Disabled);
        }
        let headers = call.request.headers();
        let limit = body_limit(&app).min(call.state.body_bytes);
        let body = body.read(headers, limit, call.state.body_wait).await?;
        check_body(&query, &body, must_name_body)?;
        Ok(Self { app, query, body })
    }
}

pub(super) fn app_by_id(call: &Call<'_>, raw_id: &str) -> Result<Arc<App>, ApiError> {
    let id = percent_decode(raw_id, Plus::Literal).unwrap_or(Cow::Borrowed(raw_id));
    match call.state.node.apps().by_id(&id) {
        Some(app) => Ok(Arc::clone(app)),
        None => Err(ApiError::UnknownApp(id.into_owned())),
    }
}

fn app_by_key(call: &Call<'_>, raw_query: &str) -> Result<Arc<App>, AuthError> {
    let query = Query::parse(raw_query, Plus::Literal).ok_or(AuthError::Query)?;
    let key = unique(&query, "auth_key")?.ok_or(AuthError::MissingKey)?;
    let app = call.state.node.apps().by_key(key);
    app.map(Arc::clone).ok_or(AuthError::UnknownKey)
}

/// Returns the query of a request that may go unsigned: in the `micronotifier` mode, one that does not
/// try to sign.
fn unsigned_query<'r>(call: &Call<'_>, raw_query: &'r str) -> Option<Query<'r>> {
    if call.state.edge.compatibility != Compatibility::MicroNotifier {
        return None;
    }
    let query = Query::parse(raw_query, Plus::Literal)?;
    let tries_to_sign = SIGNING_PARAMETERS.iter().any(|name| query.all(name).next().is_some());
    (!tries_to_sign).then_some(query)
}

/// What of a request its signature covers, as it was received.
#[derive(Debug, Clone, Copy)]
struct RequestLine<'r> {
    method: &'r str,
    /// Without the configured prefix.
    path: &'r str,
    /// Without the `?`.
    query: &'r str,
}

/// Checks a signature and returns the query in the reading that was signed.
///
/// The raw path is tried before the decoded one, and a `+` as itself before a space.
fn verify<'r>(app: &App, line: &RequestLine<'r>, now: i64) -> Result<Query<'r>, AuthError> {
    let query = Query::parse(line.query, Plus::Literal).ok_or(AuthError::Query)?;
    let key = unique(&query, "auth_key")?.ok_or(AuthError::MissingKey)?;
    let credential = app.credential(key, now).ok_or(AuthError::UnknownKey)?;
    match unique(&query, "auth_version")? {
        None => return Err(AuthError::MissingVersion),
        Some("1.0") => {}
        Some(_) => return Err(AuthError::UnsupportedVersion),
    }
    check_timestamp(unique(&query, "auth_timestamp")?, now)?;
    let sent = unique(&query, "auth_signature")?.unwrap_or_default();

    let decoded_path =
        percent_decode(line.path, Plus::Literal).filter(|decoded| decoded != line.path);
    let is_signed = |query: &Query<'_>| {
        std::iter::once(line.path)
            .chain(decoded_path.as_deref())
            .any(|path| is_signature(credential, line.method, path, query, sent))
    };
    if is_signed(&query) {
        return Ok(query);
    }
    if line.query.contains('+') {
        let spaced = Query::parse(line.query, Plus::Space).ok_or(AuthError::Query)?;
        if is_signed(&spaced) {
            return Ok(spaced);
        }
    }
    Err(AuthError::Signature {
        text: sign::request_text(line.method, line.path, query.pairs()),
        sent: sent.to_owned(),
    })
}

fn is_signature(
    credential: &Credential,
    method: &str,
    path: &str,
    query: &Query<'_>,
    sent: &str,
) -> bool {
    let text = sign::request_text(method, path, query.pairs());
    credential.verifies(&[text.as_bytes()], sent)
}

fn unique<'q>(query: &'q Query<'_>, name: &'static str) -> Result<Option<&'q str>, AuthError> {
    query.unique(name).map_err(|Repeated| AuthError::Repeated(name))
}

fn check_timestamp(given: Option<&str>, now: i64) -> Result<(), AuthError> {
    let text = given.ok_or(AuthError::MissingTimestamp)?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AuthError::InvalidTimestamp);
    }
    let given = text.parse::<i64>().map_err(|_| AuthError::InvalidTimestamp)?;
    if now.abs_diff(given) >= TIMESTAMP_TOLERANCE_SECONDS {
        return Err(AuthError::Expired { given, now });
    }
    Ok(())
}

/// Checks the digest of a body. One SDK sends the digest of nothing with its GETs.
fn check_body(query: &Query<'_>, body: &[u8], must_be_named: bool) -> Result<(), AuthError> {
    match unique(query, "body_md5")? {
        Some(digest) if digest == sign::body_md5(body) => Ok(()),
        None if body.is_empty() || !must_be_named => Ok(()),
        _ => Err(AuthError::Body),
    }
}

/// Returns a time as ISO 8601; one beyond the year 9999 as its number.
fn iso_8601(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
