//! What a browser of any origin may ask of the HTTP API (protocol section 6.10).
//!
//! Any origin, never with credentials: the API reads signatures, not cookies.

use actix_web::HttpResponse;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HeaderValue,
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, Content-Type, X-Auth-Token, X-Requested-With, Accept, Authorization, X-CSRF-TOKEN, \
     XSRF-TOKEN, X-Socket-Id, X-Pusher-Library, Idempotency-Key",
);
/// A day, in seconds; browsers shorten it as they like.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Tells whether a path belongs to the API, so that `OPTIONS` on it is a preflight.
pub(crate) fn covers(path: &str) -> bool {
    path == "/apps" || path.starts_with("/apps/") || path.starts_with("/users/")
}

/// Answers a preflight: 204, whatever was asked for.
pub(crate) fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE))
        .finish()
}

/// Opens an answer to any origin.
pub(crate) fn open(response: &mut HttpResponse) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}
