//! `GET /tap`: what passes through the node, as server-sent events.
//!
//! ```text
//! data: {"at":1767225600000,"type":"event","app":"1","channel":"my-channel","event":"my-event","bytes":17}
//!
//! event: dropped
//! data: {"dropped":12}
//! ```
//!
//! `dropped` tells that the reader was too slow and how many it has missed there.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use micronotifier_actors::config::Apps;
use micronotifier_actors::protocol::{AppId, UserId};
use micronotifier_actors::tap::{Kind, Seen, Sighting, Tap, View, Wanted};
use serde::Serialize;

use super::exposition::{Exposition, Kind as FamilyKind};
use crate::edge::EdgeState;
use crate::edge::query::{Plus, Query};

/// How often a reader hears that it is still there, in a comment: less than proxies wait, and no longer than
/// `keep-alive-seconds`.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Bytes that are put together for one write.
const CHUNK: usize = 32 * 1024;

/// Why nobody is let look on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("Invalid query: not UTF-8")]
    Query,
    #[error("The app {0} could not be found.")]
    UnknownApp(String),
    #[error("No such type: {given} (there are: {known})")]
    UnknownType { given: String, known: String },
    #[error("As many look on as may")]
    Full,
}

/// What passed, as onlookers read it. What a kind does not have is left out.
#[derive(Serialize)]
struct SightingBody<'s> {
    /// Milliseconds since 1970.
    at: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'s str>,
}

/// Writes the metrics of the tap.
pub(super) fn expose(exposition: &mut Exposition, tap: &Tap) {
    exposition
        .family("micronotifier_tap_onlookers", FamilyKind::Gauge, "Who looks on at the tap.")
        .value(&[], tap.watching());
    exposition
        .family(
            "micronotifier_tap_dropped_total",
            FamilyKind::Counter,
            "What onlookers of the tap have missed because they were too slow.",
        )
        .value(&[], tap.dropped());
}

/// Lets somebody look on at what the query asks for: `app`, `channel` and `type`, which may list several.
pub(super) fn answer(edge: &EdgeState, query: &str) -> HttpResponse {
    let (tap, apps) = (edge.node.tap(), edge.node.apps());
    let view = wanted(query, apps).and_then(|wanted| tap.watch(wanted).ok_or(Refused::Full));
    // a connection that is idle for longer than that may be closed
    let sign_of_life = SIGN_OF_LIFE.min(edge.keep_alive);
    match view {
        Ok(view) => {
            let lines = lines(view, sign_of_life);
            HttpResponse::Ok().content_type("text/event-stream").streaming(lines)
        }
        Err(refused) => {
            let status = match refused {
                Refused::Full => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            super::error(status, &refused.to_string())
        }
    }
}

fn wanted(query: &str, apps: &Apps) -> Result<Wanted, Refused> {
    let query = Query::parse(query, Plus::Space).ok_or(Refused::Query)?;
    let first = |name| query.all(name).find(|value| !value.is_empty());
    let app = first("app").map(|id| {
        let app = apps.by_id(id).ok_or_else(|| Refused::UnknownApp(id.to_owned()))?;
        Ok(app.id.clone())
    });
    let named = query.all("type").flat_map(|names| names.split(','));
    let kinds = named.filter(|name| !name.is_empty()).map(|name| {
        Kind::of_name(name).ok_or_else(|| Refused::UnknownType {
            given: name.to_owned(),
            known: Kind::names().collect::<Vec<_>>().join(", "),
        })
    });
    Ok(Wanted {
        app: app.transpose()?,
        channel: first("channel").map(Into::into),
        kinds: kinds.collect::<Result<_, _>>()?,
    })
}

/// Returns the stream of a view. The first comment tells that from now on nothing is missed.
fn lines(view: View, sign_of_life: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let open = stream::once(async { Ok(Bytes::from_static(b": looking on\n\n")) });
    let rest = stream::unfold(view, move |mut view| async move {
        let chunk = match tokio::time::timeout(sign_of_life, view.next()).await {
            Ok(seen) => gather(seen, &mut view),
            Err(_) => Bytes::from_static(b": still there\n\n"),
        };
        Some((Ok(chunk), view))
    });
    stream::StreamExt::chain(open, rest)
}

/// Puts what is there already behind what was waited for.
fn gather(first: Seen, view: &mut View) -> Bytes {
    let mut text = BytesMut::new();
    let mut next = Some(first);
    while let Some(seen) = next {
        match seen {
            Seen::Sighting(sighting) => {
                text.extend_from_slice(b"data: ");
                text.extend_from_slice(sighting.written(json));
            }
            Seen::Dropped(count) => {
                // Writing to a buffer that grows cannot fail.
                write!(text, "event: dropped\ndata: {{\"dropped\":{count}}}").unwrap_or_default();
            }
        }
        text.extend_from_slice(b"\n\n");
        next = if text.len() < CHUNK { view.try_next() } else { None };
    }
    text.freeze()
}

fn json(sighting: &Sighting) -> Bytes {
    let Sighting { at_unix_millis, kind, app, channel, details, .. } = sighting;
    let body = SightingBody {
        at: *at_unix_millis,
        r#type: kind.name(),
        app: app.as_ref().map(AppId::as_str),
        channel: channel.as_deref(),
        event: details.event.as_deref(),
        socket: details.socket.map(|socket| socket.to_string()),
        user: details.user.as_ref().map(UserId::as_str),
        subscribers: details.subscribers,
        code: details.code,
        text: details.text.as_deref(),
        bytes: details.bytes,
        data: details.data.as_deref(),
    };
    // texts and numbers alone: always JSON
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::sync::Arc;

    use micronotifier_actors::config::App;
    use micronotifier_actors::protocol::sign::Credential;
    use micronotifier_actors::tap::Details;

    use super::*;

    #[test]
    fn the_query_says_what_is_wanted() {
        let mut app = App::new("1", Credential::new("k", "s"));
        app.alias = Some(AppId::new("name"));
        let apps = Apps::new([app]);
        let all = Wanted::default();
        assert_eq!(wanted("", &apps), Ok(all.clone()));
        assert_eq!(wanted("app=&channel=&type=", &apps), Ok(all.clone()));
        let one = Wanted {
            app: Some(AppId::new("1")),
            channel: Some("private-*".into()),
            kinds: vec![Kind::Error, Kind::ClientEvent],
        };
        let query = "app=name&channel=private-%2A&type=error,client-event";
        assert_eq!(wanted(query, &apps), Ok(one.clone()));
        let query = "app=1&channel=private-*&type=error&type=client-event";
        assert_eq!(wanted(query, &apps), Ok(one));
        for query in ["app=2", "type=error,other", "channel=%ff"] {
            assert!(wanted(query, &apps).is_err(), "{query}");
        }
    }

    #[test]
    fn a_slow_reader_is_told_between_lines() {
        let tap = Arc::new(Tap::default());
        let mut view = tap.watch(Wanted::default()).unwrap();
        tap.show(Kind::Error, None, Some("a\nb"), || Details {
            code: Some(4009),
            text: Some("no \"way\"".into()),
            ..Details::default()
        });
        let first = view.try_next().unwrap();
        let Seen::Sighting(sighting) = &first else { unreachable!() };
        let at = sighting.at_unix_millis;
        let expected = format!(
            "data: {{\"at\":{at},\"type\":\"error\",\"channel\":\"a\\nb\",\"code\":4009,\"text\":\"no \\\"way\\\"\"}}\n\n"
        );
        assert_eq!(gather(first, &mut view), expected);
        let dropped = gather(Seen::Dropped(12), &mut view);
        assert_eq!(dropped, "event: dropped\ndata: {\"dropped\":12}\n\n");
    }
}
