//! The operator's port: the list of its URLs, who may ask, and what is answered.
//!
//! Nothing here changes the node; the page may have it send an event. A page of another site can neither
//! read an answer (no CORS headers, foreign `Origin` and `Host` refused) nor embed one.

mod access;
mod bridge;
mod console;
mod exposition;
mod figures;
mod mailboxes;
mod membership;
mod overview;
mod page;
mod process;
mod readiness;
mod soketi;
mod tap;

use std::sync::Arc;

use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderName, HeaderValue, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;

use self::access::{Access, Denied};
use self::exposition::{Exposition, Format};
use super::body::RequestBody;
use super::{ApiError, EdgeState};
use crate::config::{AdminConfig, Compatibility};

/// What the operator's endpoints need.
#[derive(Clone)]
pub struct Operator {
    access: Arc<Access>,
    edge: EdgeState,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Page(page::File),
    Health,
    Ready,
    Metrics,
    Apps,
    Actors,
    Tap,
    Channels,
    Members,
    Events,
}

impl Endpoint {
    /// Finds the endpoint of a path: the one list of the operator's URLs.
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/apps" => Self::Apps,
            "/actors" => Self::Actors,
            "/tap" => Self::Tap,
            "/channels" => Self::Channels,
            "/members" => Self::Members,
            "/events" => Self::Events,
            _ => return page::at(path).map(Self::Page),
        })
    }

    /// Returns the method that it is meant for.
    fn method(self) -> &'static str {
        if self == Self::Events { "POST" } else { "GET" }
    }

    /// Tells whether it takes a method. What never ends has no head alone.
    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Events => *method == Method::POST,
            Self::Tap => *method == Method::GET,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    /// Tells whether it is answered without the token: it tells nothing about the node but that it runs.
    fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Page(_))
    }
}

/// The body of an error.
///
/// ```json
/// {"error":"Not found","code":404}
/// ```
#[derive(Serialize)]
struct ErrorBody<'e> {
    error: &'e str,
    code: u16,
}

impl Operator {
    /// Builds the operator's side of a server.
    pub fn new(config: &AdminConfig, edge: EdgeState) -> Self {
        Self { access: Arc::new(Access::new(config)), edge }
    }

    /// Mounts the endpoints.
    pub fn routes(self) -> impl FnOnce(&mut ServiceConfig) {
        move |config| {
            config.app_data(self).default_service(web::to(answer));
        }
    }

    async fn reply(&self, request: &HttpRequest, body: &mut RequestBody) -> HttpResponse {
        let headers = request.headers();
        if let Err(denied) = self.access.check_origin(headers) {
            return deny(denied);
        }
        let Some(endpoint) = Endpoint::at(request.path()) else {
            return error(StatusCode::NOT_FOUND, "Not found");
        };
        // a link to the page may stand anywhere
        if !matches!(endpoint, Endpoint::Page(_))
            && let Err(denied) = Access::check_site(headers)
        {
            return deny(denied);
        }
        if !endpoint.takes(request.method()) {
            let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
            insert(&mut response, ALLOW, HeaderValue::from_static(endpoint.method()));
            return response;
        }
        if !endpoint.is_open()
            && let Err(denied) = self.access.check_token(headers)
        {
            return deny(denied);
        }
        self.serve(endpoint, request, body).await
    }

    async fn serve(
        &self,
        endpoint: Endpoint,
        request: &HttpRequest,
        body: &mut RequestBody,
    ) -> HttpResponse {
        let edge = &self.edge;
        let host = access::host_name(request.headers());
        let host = host.as_deref();
        match endpoint {
            Endpoint::Page(file) => page::serve(file, &edge.public, host),
            Endpoint::Health => readiness::health(&edge.node),
            Endpoint::Ready => readiness::answer(&edge.node),
            Endpoint::Metrics => {
                let mut exposition = Exposition::new(Format::of(request.headers()));
                figures::expose(&mut exposition, edge);
                if edge.edge.compatibility == Compatibility::Soketi {
                    soketi::expose(&mut exposition, edge);
                }
                metrics(exposition)
            }
            Endpoint::Apps => HttpResponse::Ok().json(overview::apps(edge, host)),
            Endpoint::Actors => HttpResponse::Ok().json(overview::actors(&edge.node)),
            Endpoint::Channels => told(console::channels(edge, request).await),
            Endpoint::Members => told(console::members(edge, request).await),
            Endpoint::Events => told(console::publish(edge, request, body).await),
            Endpoint::Tap => tap::answer(edge, request.query_string()),
        }
    }
}

/// Returns whether this process serves: what the public port answers to health checks.
pub(super) fn up(edge: &EdgeState) -> HttpResponse {
    readiness::up(&edge.node)
}

/// Returns the metrics that soketi's users look for: what the public port answers in that mode.
pub(super) fn soketi_metrics(edge: &EdgeState) -> HttpResponse {
    let mut exposition = Exposition::default();
    soketi::expose(&mut exposition, edge);
    metrics(exposition)
}

fn metrics(exposition: Exposition) -> HttpResponse {
    let content_type = exposition.format().content_type();
    HttpResponse::Ok().content_type(content_type).body(exposition.finish())
}

fn told(answer: Result<Bytes, ApiError>) -> HttpResponse {
    match answer {
        Ok(body) => HttpResponse::Ok().content_type("application/json").body(body),
        Err(error) => error.response(),
    }
}

async fn answer(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let mut body = RequestBody::new(payload.into_inner());
    let mut response = match request.app_data::<Operator>() {
        Some(operator) => operator.reply(&request, &mut body).await,
        None => error(StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
    };
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        insert(&mut response, name, HeaderValue::from_static(value));
    }
    body.end_with(response)
}

fn deny(denied: Denied) -> HttpResponse {
    if denied == Denied::NoToken {
        let mut response = error(StatusCode::UNAUTHORIZED, &denied.to_string());
        let challenge = HeaderValue::from_static(r#"Bearer realm="micronotifier""#);
        insert(&mut response, WWW_AUTHENTICATE, challenge);
        return response;
    }
    error(StatusCode::FORBIDDEN, &denied.to_string())
}

fn error(status: StatusCode, text: &str) -> HttpResponse {
    let code = status.as_u16();
    HttpResponse::build(status).json(ErrorBody { error: text, code })
}

fn insert(response: &mut HttpResponse, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests;
