//! The only place where an error becomes an HTTP status and a body (protocol section 6.3).

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use micronotifier_actors::NodeError;
use serde::Serialize;

use super::auth::AuthError;
use super::body::BodyError;
use super::rate::Refused;

/// Why an HTTP request was not carried out. The text is what the client reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing lives at this path.
    #[error("Not found")]
    NotFound,
    /// The path knows another method.
    #[error("Method not allowed")]
    Method {
        /// The method it knows.
        allow: &'static str,
    },
    /// A socket's path, asked for without an upgrade.
    #[error("Connect with a WebSocket")]
    UpgradeRequired,
    /// No application has this id.
    #[error("The app {0} could not be found.")]
    UnknownApp(String),
    /// The application is switched off.
    #[error("The app is disabled")]
    Disabled,
    /// Not signed, or not well.
    #[error(transparent)]
    Unauthorized(#[from] AuthError),
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Malformed JSON, a missing field, a name that breaks its rule.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// An event's data is over the application's limit.
    #[error(
        "The data content of this event exceeds the allowed maximum ({limit} bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"
    )]
    DataTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// An idempotency key came again with another request.
    #[error("The Idempotency-Key was used with a different request")]
    KeyReused,
    /// Over the application's allowance.
    #[error("Too many requests.")]
    RateLimited(Refused),
    /// The node refused or did not answer.
    #[error(transparent)]
    Node(NodeError),
    /// Our fault.
    #[error("Internal error")]
    Internal,
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Different => Self::KeyReused,
            other => Self::Node(other),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::RateLimited(refused)
    }
}

#[derive(Serialize)]
struct ErrorBody<'e> {
    error: &'e str,
    code: u16,
}

impl ApiError {
    /// Builds the error of a request that breaks a rule.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(text.into())
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownApp(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::Disabled => StatusCode::FORBIDDEN,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Body(BodyError::Encoded) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge { .. }) | Self::DataTooLarge { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Node(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the answer:
    ///
    /// ```json
    /// {"error":"Unknown auth_key","code":401}
    /// ```
    pub(crate) fn response(&self) -> HttpResponse {
        let status = self.status();
        let mut response = HttpResponse::build(status);
        self.add_headers(&mut response);
        response.json(ErrorBody { error: &self.to_string(), code: status.as_u16() })
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::Method { allow } => {
                response.insert_header((ALLOW, *allow));
            }
            Self::UpgradeRequired => {
                response.insert_header((UPGRADE, "websocket"));
            }
            Self::Node(NodeError::Busy) => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            Self::RateLimited(refused) => {
                response.insert_header((RETRY_AFTER, HeaderValue::from(refused.retry_after)));
                for (name, value) in [
                    ("x-ratelimit-limit", refused.limit),
                    ("x-ratelimit-remaining", refused.remaining),
                ] {
                    response
                        .insert_header((HeaderName::from_static(name), HeaderValue::from(value)));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use actix_web::body::to_bytes;

    use super::*;

    #[actix_rt::test]
    async fn errors_are_json_with_their_status() {
        let response = ApiError::from(AuthError::UnknownKey).response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
        let body = to_bytes(response.into_body()).await.unwrap();
        assert_eq!(body, r#"{"error":"Unknown auth_key","code":401}"#);
    }

    #[test]
    fn a_rate_limited_answer_says_when_to_come_back() {
        let response =
            ApiError::from(Refused { limit: 10, remaining: 3, retry_after: 2 }).response();
        for (name, value) in
            [("retry-after", "2"), ("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "3")]
        {
            assert_eq!(response.headers().get(name).unwrap(), value);
        }
    }
}
