//! The public HTTP port: the one list of its URLs, and how a request finds its endpoint.
//!
//! Paths are matched as they were received, before any decoding: a path in other clothes
//! (`//apps`, `%61pps`, `/apps/1/../2`) is another path, whatever its signature covers.

pub mod admin;
pub mod api;
pub mod auth;
pub mod body;
mod cors;
pub mod error;
pub mod idempotency;
mod origin;
pub mod query;
pub mod rate;
mod sighting;
pub mod state;
mod tally;
pub mod ws;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

pub use self::error::ApiError;
pub use self::state::{EdgeState, PublicSide, WallClock};

use self::api::Call;
use self::auth::Signed;
use self::body::RequestBody;
use crate::config::Compatibility;

/// Mounts all URLs that are not sockets. Anything mounted before keeps its paths.
///
/// ```text
/// App::new().configure(edge::routes(state.clone()))
/// ```
pub fn routes(state: EdgeState) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.app_data(state).default_service(web::to(answer));
    }
}

/// What a path leads to. Segments of the path are raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'p> {
    Socket,
    Up,
    Ready,
    Metrics,
    Apps,
    Trigger { app: &'p str },
    Batch { app: &'p str },
    Channels { app: &'p str },
    Channel { app: &'p str, channel: &'p str },
    Users { app: &'p str, channel: &'p str },
    Terminate { app: Option<&'p str>, user: &'p str },
}

impl<'p> Endpoint<'p> {
    /// Finds the endpoint of a raw path without its prefix: the one list of URLs.
    fn at(path: &'p str, compatibility: Compatibility) -> Option<Self> {
        // No URL has more than six segments; whatever follows stays in the seventh.
        let segments: Vec<&str> = path.strip_prefix('/')?.splitn(7, '/').collect();
        Some(match *segments.as_slice() {
            ["app", _] => Self::Socket,
            ["up"] => Self::Up,
            ["" | "ready" | "accept-traffic"] if compatibility == Compatibility::Soketi => {
                Self::Ready
            }
            ["metrics"] if compatibility == Compatibility::Soketi => Self::Metrics,
            ["apps"] if compatibility == Compatibility::MicroNotifier => Self::Apps,
            ["apps", app, "events"] => Self::Trigger { app },
            ["apps", app, "batch_events"] => Self::Batch { app },
            ["apps", app, "channels"] => Self::Channels { app },
            // `stats` is deprecated by Pusher and the same.
            ["apps", app, "channels", channel] | ["apps", app, "channels", channel, "stats"] => {
                Self::Channel { app, channel }
            }
            ["apps", app, "channels", channel, "users"] => Self::Users { app, channel },
            ["apps", app, "users", user, "terminate_connections"] => {
                Self::Terminate { app: Some(app), user }
            }
            // The Python SDK leaves the application out; its key names it.
            ["users", user, "terminate_connections"] => Self::Terminate { app: None, user },
            _ => return None,
        })
    }

    /// Returns the application that the path names, raw.
    fn app(self) -> Option<&'p str> {
        match self {
            Self::Trigger { app }
            | Self::Batch { app }
            | Self::Channels { app }
            | Self::Channel { app, .. }
            | Self::Users { app, .. } => Some(app),
            Self::Terminate { app, .. } => app,
            Self::Socket | Self::Up | Self::Ready | Self::Metrics | Self::Apps => None,
        }
    }

    /// Returns the one method of the endpoint.
    fn method(self) -> Method {
        match self {
            Self::Trigger { .. } | Self::Batch { .. } | Self::Terminate { .. } => Method::POST,
            Self::Socket
            | Self::Up
            | Self::Ready
            | Self::Metrics
            | Self::Apps
            | Self::Channels { .. }
            | Self::Channel { .. }
            | Self::Users { .. } => Method::GET,
        }
    }

    /// Tells whether it answers health checks, which come without the configured prefix too.
    fn is_health(self) -> bool {
        matches!(self, Self::Up | Self::Ready)
    }

    /// Tells whether the endpoint takes a method. Health checks may come as `HEAD`.
    fn takes(self, method: &Method) -> bool {
        *method == self.method() || (self.is_health() && *method == Method::HEAD)
    }
}

/// Returns a path behind the configured prefix; what lacks the prefix leads nowhere.
fn without_prefix<'p>(raw_path: &'p str, prefix: &str) -> &'p str {
    raw_path.strip_prefix(prefix).unwrap_or_default()
}

async fn answer(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let state: Option<&EdgeState> = request.app_data();
    let _call = state.map(|state| state.calls.begin());
    let mut body = RequestBody::new(payload.into_inner());
    let mut response = serve(&request, &mut body).await.unwrap_or_else(|error| error.response());
    cors::open(&mut response);
    if state.is_some_and(|state| state.node.is_stopping()) {
        // a proxy that keeps this connection would send its next request into nothing
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    body.end_with(response)
}

async fn serve(request: &HttpRequest, body: &mut RequestBody) -> Result<HttpResponse, ApiError> {
    let state: &EdgeState = request.app_data().ok_or(ApiError::Internal)?;
    let raw_path = request.uri().path();
    let path = without_prefix(raw_path, &state.edge.path_prefix);
    if request.method() == Method::OPTIONS && cors::covers(path) {
        return Ok(cors::preflight());
    }
    let at = |path| Endpoint::at(path, state.edge.compatibility);
    let endpoint = at(path)
        .or_else(|| at(raw_path).filter(|endpoint| endpoint.is_health()))
        .ok_or(ApiError::NotFound)?;
    if !endpoint.takes(request.method()) {
        let allow = if endpoint.method() == Method::POST { "POST" } else { "GET" };
        return Err(ApiError::Method { allow });
    }
    let call = Call { state, request, path };
    match endpoint {
        Endpoint::Socket => Err(ApiError::UpgradeRequired),
        Endpoint::Ready => {
            Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK"))
        }
        Endpoint::Up => Ok(admin::up(state)),
        Endpoint::Metrics => Ok(admin::soketi_metrics(state)),
        _ => {
            let outcome = reply(&call, endpoint, body).await;
            tally::count(&call, endpoint, body, &outcome);
            outcome.map(json)
        }
    }
}

/// Lets an endpoint make its JSON.
async fn reply(
    call: &Call<'_>,
    endpoint: Endpoint<'_>,
    body: &mut RequestBody,
) -> Result<Bytes, ApiError> {
    use api::{channels, events, ops, users};
    match endpoint {
        Endpoint::Trigger { app } => {
            let signed = Signed::check(call, Some(app), body, events::trigger_bytes).await?;
            events::publish(call, signed, events::Form::Single).await
        }
        Endpoint::Batch { app } => {
            let signed = Signed::check(call, Some(app), body, events::batch_bytes).await?;
            events::publish(call, signed, events::Form::Batch).await
        }
        Endpoint::Channels { app } => {
            let signed = Signed::check(call, Some(app), body, api::small_body).await?;
            channels::list(call, &signed).await
        }
        Endpoint::Channel { app, channel } => {
            let signed = Signed::check(call, Some(app), body, api::small_body).await?;
            channels::describe(call, &signed, channel).await
        }
        Endpoint::Users { app, channel } => {
            let signed = Signed::check(call, Some(app), body, api::small_body).await?;
            channels::users(call, &signed, channel).await
        }
        Endpoint::Terminate { app, user } => {
            let signed = Signed::check(call, app, body, api::small_body).await?;
            users::terminate(call, &signed, user).await
        }
        Endpoint::Apps => ops::apps(call),
        Endpoint::Socket | Endpoint::Up | Endpoint::Ready | Endpoint::Metrics => {
            Err(ApiError::NotFound)
        }
    }
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .body(body)
}

#[cfg(test)]
mod tests;
