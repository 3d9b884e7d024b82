//! The endpoints of the HTTP API: each takes a checked request and makes a JSON object.

pub(crate) mod channels;
pub(crate) mod events;
mod info;
pub(crate) mod ops;
mod publication;
pub(crate) mod users;

use std::borrow::Cow;

use actix_web::HttpRequest;
use bytes::Bytes;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::ChannelName;
use serde::Serialize;

use super::error::ApiError;
use super::query::{Plus, percent_decode};
use super::rate::Allowance;
use super::state::EdgeState;

/// One request on its way through the edge.
#[derive(Clone, Copy)]
pub(crate) struct Call<'r> {
    /// What the workers hold in common.
    pub(crate) state: &'r EdgeState,
    /// The request.
    pub(crate) request: &'r HttpRequest,
    /// Its raw path, without the configured prefix.
    pub(crate) path: &'r str,
}

impl Call<'_> {
    /// Takes one read from the application's allowance.
    fn count_read(&self, app: &App) -> Result<(), ApiError> {
        let limit = app.limits.read_requests_per_second;
        let now = self.state.clock.now();
        self.state.rates.take(&app.id, Allowance::Reads, limit, 1, now)?;
        Ok(())
    }
}

/// The largest body, in bytes, of a request that needs none; SDKs send `{}`.
const SMALL_BODY_BYTES: usize = 4 * 1024;

/// Returns the largest body of an endpoint that needs none.
pub(crate) fn small_body(_app: &App) -> usize {
    SMALL_BODY_BYTES
}

fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode(segment, Plus::Literal)
}

fn channel_name(text: &str, app: &App) -> Result<ChannelName, ApiError> {
    ChannelName::parse(text, app.limits.channel_name)
        .map_err(|_| ApiError::invalid("Invalid channel name"))
}

fn channel_in_path(segment: &str, app: &App) -> Result<ChannelName, ApiError> {
    let name = decode(segment).ok_or(ApiError::invalid("Invalid channel name"))?;
    channel_name(&name, app)
}

fn to_json(reply: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(reply).map(Bytes::from).map_err(|_| ApiError::Internal)
}

const fn empty_object() -> Bytes {
    Bytes::from_static(b"{}")
}
