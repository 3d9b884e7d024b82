//! What the page asks of an application: its channels, their members, and that an event be sent.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::{ChannelName, UserId};
use serde::Serialize;

use crate::edge::api::events::{Form, carry_out, trigger_bytes};
use crate::edge::body::RequestBody;
use crate::edge::query::{Plus, Query};
use crate::edge::{ApiError, EdgeState, sighting};

/// Channels and members that are told at once.
const TOLD: usize = 200;

/// The answer of `/channels`, by name; `total` tells how many there are, `partial` that other nodes could
/// not be asked.
///
/// ```json
/// {"channels":[{"name":"presence-a","subscriptions":3,"users":2}],"total":1,"partial":false}
/// ```
#[derive(Serialize)]
struct ChannelsBody<'c> {
    channels: Vec<ChannelBody<'c>>,
    total: usize,
    partial: bool,
}

#[derive(Serialize)]
struct ChannelBody<'c> {
    name: &'c str,
    subscriptions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
}

/// The answer of `/members`:
///
/// ```json
/// {"users":["10","11"],"total":2,"partial":false}
/// ```
#[derive(Serialize)]
struct MembersBody<'u> {
    users: Vec<&'u str>,
    total: usize,
    partial: bool,
}

/// Lists the occupied channels of an application that begin with `prefix`.
pub(super) async fn channels(edge: &EdgeState, request: &HttpRequest) -> Result<Bytes, ApiError> {
    let query = query(request)?;
    let app = app(edge, &query)?;
    let mut listed = edge.node.channels(&app, first(&query, "prefix"), true).await?;
    let total = listed.items.len();
    keep_first(&mut listed.items, |(channel, _)| channel.as_str());
    let channels = listed.items.iter().map(|(channel, facts)| ChannelBody {
        name: channel.as_str(),
        subscriptions: facts.subscriptions,
        users: channel.kind().capabilities().members.then_some(facts.users),
    });
    json(&ChannelsBody { channels: channels.collect(), total, partial: listed.partial })
}

/// Lists who is in a presence channel.
pub(super) async fn members(edge: &EdgeState, request: &HttpRequest) -> Result<Bytes, ApiError> {
    let query = query(request)?;
    let app = app(edge, &query)?;
    let channel = ChannelName::parse(first(&query, "channel"), app.limits.channel_name)
        .map_err(|_| ApiError::invalid("Invalid channel name"))?;
    let mut listed = edge.node.members(&app, channel).await?;
    let total = listed.items.len();
    keep_first(&mut listed.items, UserId::as_str);
    let users = listed.items.iter().map(UserId::as_str).collect();
    json(&MembersBody { users, total, partial: listed.partial })
}

/// Keeps those that are told, in their order by name. Sorts no others: there may be a hundred thousand, and
/// whoever else asks the operator's port waits meanwhile.
fn keep_first<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &str) {
    let order = |one: &T, other: &T| name(one).cmp(name(other));
    if items.len() > TOLD {
        items.select_nth_unstable_by(TOLD, order);
        items.truncate(TOLD);
    }
    items.sort_unstable_by(order);
}

/// Sends an event: the body is that of a trigger (protocol section 6.4), and so are the bounds and the answer.
/// The operator stands in for the application's signature. Onlookers see why one was not sent.
pub(super) async fn publish(
    edge: &EdgeState,
    request: &HttpRequest,
    body: &mut RequestBody,
) -> Result<Bytes, ApiError> {
    let query = query(request)?;
    let app = app(edge, &query)?;
    let outcome = send(edge, &app, request, body).await;
    if let Err(error) = &outcome {
        sighting::api_error(edge.node.tap(), Some(&app), error);
    }
    outcome
}

async fn send(
    edge: &EdgeState,
    app: &Arc<App>,
    request: &HttpRequest,
    body: &mut RequestBody,
) -> Result<Bytes, ApiError> {
    // what a page of another site may send without asking first is never of this type
    let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|given| {
        let given = given.to_str().unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(ApiError::invalid("The Content-Type must be application/json"));
    }
    let limit = trigger_bytes(app).min(edge.body_bytes);
    let body = body.read(request.headers(), limit, edge.body_wait).await?;
    carry_out(edge, app, &body, Form::Single, None).await
}

fn query(request: &HttpRequest) -> Result<Query<'_>, ApiError> {
    Query::parse(request.query_string(), Plus::Space)
        .ok_or_else(|| ApiError::invalid("Invalid query: not UTF-8"))
}

fn first<'q>(query: &'q Query<'_>, name: &str) -> &'q str {
    query.all(name).next().unwrap_or_default()
}

fn app(edge: &EdgeState, query: &Query<'_>) -> Result<Arc<App>, ApiError> {
    let id = first(query, "app");
    let app = edge.node.apps().by_id(id).map(Arc::clone);
    app.ok_or_else(|| ApiError::UnknownApp(id.to_owned()))
}

fn json(body: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|_| ApiError::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_by_name_are_kept_in_their_order() {
        for count in [0, 1, TOLD, TOLD + 1, 5 * TOLD] {
            let mut names: Vec<String> =
                (0..count).map(|number| format!("{:06}", number * 7919 % 100_003)).collect();
            let mut expected = names.clone();
            expected.sort();
            expected.truncate(TOLD);
            keep_first(&mut names, String::as_str);
            assert_eq!(names, expected);
        }
    }
}
