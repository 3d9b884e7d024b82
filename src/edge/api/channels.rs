//! GET `/channels`, `/channels/{name}` and `/channels/{name}/users` (protocol sections 6.6 and 6.7).

use bytes::Bytes;
use bytestring::ByteString;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::{ChannelName, UserId};
use micronotifier_actors::{CachedEvent, ChannelFacts};
use serde::{Serialize, Serializer};

use super::info::{Counts, CountsByChannel, Info};
use super::{Call, channel_in_path, to_json};
use crate::edge::auth::Signed;
use crate::edge::error::ApiError;
use crate::edge::rate::whole_seconds;

#[derive(Serialize)]
struct ChannelList {
    channels: CountsByChannel,
    #[serde(skip_serializing_if = "is_whole")]
    partial: bool,
}

/// `partial` is told when it is `true` alone.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
const fn is_whole(partial: &bool) -> bool {
    !*partial
}

/// Lists the occupied channels:
///
/// ```json
/// {"channels":{"presence-a":{"user_count":42}}}
/// ```
///
/// As all answers here it says `"partial":true` when the other nodes could not be asked.
///
/// # Errors
/// 400 for user counts of channels that may have no users, 429, 503.
pub(crate) async fn list(call: &Call<'_>, signed: &Signed<'_>) -> Result<Bytes, ApiError> {
    let app = &signed.app;
    call.count_read(app)?;
    let prefix = signed.query.all("filter_by_prefix").next().unwrap_or("");
    let info = Info::parse(signed.query.all("info"));
    if info.user_count && !prefix.starts_with("presence-") {
        return Err(ApiError::invalid(
            "user_count may only be requested for presence channels - please supply filter_by_prefix beginning with presence-",
        ));
    }
    let listed = call.state.node.channels(app, prefix, info.user_count).await?;
    let channels = listed
        .items
        .into_iter()
        .map(|(channel, facts)| {
            let counts = info.of_listed(app, &channel, &facts);
            (channel, counts)
        })
        .collect();
    to_json(&ChannelList { channels: CountsByChannel(channels), partial: listed.partial })
}

/// What is told of one channel.
#[derive(Serialize)]
struct ChannelState {
    occupied: bool,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Cache::is_not_asked")]
    cache: Cache,
    #[serde(skip_serializing_if = "is_whole")]
    partial: bool,
}

/// The cache of a channel: left out, `null`, or an object.
#[derive(Serialize)]
#[serde(untagged)]
enum Cache {
    NotAsked,
    Empty,
    Filled(CacheState),
}

impl Cache {
    fn is_not_asked(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}

#[derive(Serialize)]
struct CacheState {
    #[serde(serialize_with = "as_text")]
    data: ByteString,
    /// Seconds left.
    ttl: u64,
}

impl From<CachedEvent> for CacheState {
    fn from(event: CachedEvent) -> Self {
        Self { data: event.data, ttl: whole_seconds(event.expires_in) }
    }
}

fn as_text<S: Serializer>(text: &ByteString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl ChannelState {
    fn new(info: Info, facts: ChannelFacts) -> Self {
        Self {
            occupied: facts.subscriptions > 0,
            counts: Counts {
                user_count: info.user_count.then_some(facts.users),
                subscription_count: info.subscription_count.then_some(facts.subscriptions),
            },
            cache: match facts.cached {
                _ if !info.cache => Cache::NotAsked,
                None => Cache::Empty,
                Some(event) => Cache::Filled(event.into()),
            },
            partial: facts.partial,
        }
    }
}

/// Describes one channel; one that nobody knows is unoccupied:
///
/// ```json
/// {"occupied":true,"user_count":42,"cache":{"data":"{}","ttl":60}}
/// ```
///
/// # Errors
/// 400 for what the channel cannot have, 429, 503.
pub(crate) async fn describe(
    call: &Call<'_>,
    signed: &Signed<'_>,
    segment: &str,
) -> Result<Bytes, ApiError> {
    let app = &signed.app;
    call.count_read(app)?;
    let channel = channel_in_path(segment, app)?;
    let info = Info::parse(signed.query.all("info"));
    check_applies(info, &channel, app)?;
    let facts = call.state.node.describe(app, channel).await?;
    to_json(&ChannelState::new(info, facts))
}

fn check_applies(info: Info, channel: &ChannelName, app: &App) -> Result<(), ApiError> {
    let kind = channel.kind().capabilities();
    let refusal = if info.user_count && !kind.members {
        "Cannot retrieve the user count unless the channel is a presence channel"
    } else if info.subscription_count && !app.subscription_count {
        "Cannot retrieve the subscription count because subscription counting is not enabled"
    } else if info.cache && !kind.caches {
        "Cannot retrieve the cache unless the channel is a cache channel"
    } else {
        return Ok(());
    };
    Err(ApiError::invalid(refusal))
}

#[derive(Serialize)]
struct UserList<'u> {
    users: Vec<User<'u>>,
    #[serde(skip_serializing_if = "is_whole")]
    partial: bool,
}

#[derive(Serialize)]
struct User<'u> {
    id: &'u str,
}

/// Lists the users of a presence channel:
///
/// ```json
/// {"users":[{"id":"1"},{"id":"2"}]}
/// ```
///
/// # Errors
/// 400 for a channel of another kind, 429, 503.
pub(crate) async fn users(
    call: &Call<'_>,
    signed: &Signed<'_>,
    segment: &str,
) -> Result<Bytes, ApiError> {
    let app = &signed.app;
    call.count_read(app)?;
    let channel = channel_in_path(segment, app)?;
    if !channel.kind().capabilities().members {
        return Err(ApiError::invalid("Users can only be retrieved for presence channels"));
    }
    let members = call.state.node.members(app, channel).await?;
    let users = members.items.iter().map(UserId::as_str).map(|id| User { id }).collect();
    to_json(&UserList { users, partial: members.partial })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::time::Duration;

    use micronotifier_actors::protocol::sign::Credential;

    use super::*;

    fn tell(words: &str, facts: ChannelFacts) -> String {
        serde_json::to_string(&ChannelState::new(Info::parse([words]), facts)).unwrap()
    }

    #[test]
    fn channel_states_of_the_protocol() {
        let occupied = ChannelFacts {
            subscriptions: 43,
            users: 42,
            cached: Some(CachedEvent {
                data: r#"{"a":1}"#.into(),
                expires_in: Duration::from_millis(59_001),
            }),
            partial: false,
        };
        let nobody = ChannelFacts::default;
        for (told, expected) in [
            (tell("", nobody()), r#"{"occupied":false}"#),
            (tell("user_count", nobody()), r#"{"occupied":false,"user_count":0}"#),
            (tell("cache", nobody()), r#"{"occupied":false,"cache":null}"#),
            (
                tell("subscription_count,user_count", occupied.clone()),
                r#"{"occupied":true,"user_count":42,"subscription_count":43}"#,
            ),
            (
                tell("", ChannelFacts { partial: true, ..nobody() }),
                r#"{"occupied":false,"partial":true}"#,
            ),
            (tell("cache", occupied), r#"{"occupied":true,"cache":{"data":"{\"a\":1}","ttl":60}}"#),
        ] {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_channel_is_not_asked_for_what_it_cannot_have() {
        let mut app = App::new("1", Credential::new("key", "secret"));
        let applies = |words: &str, name: &str, app: &App| {
            let channel = ChannelName::parse(name, 164).unwrap();
            check_applies(Info::parse([words]), &channel, app).is_ok()
        };
        assert!(applies("user_count", "presence-a", &app));
        assert!(!applies("user_count", "a", &app));
        assert!(!applies("subscription_count", "a", &app));
        assert!(applies("cache", "private-cache-a", &app));
        assert!(!applies("cache", "a", &app));
        app.subscription_count = true;
        assert!(applies("subscription_count", "presence-a", &app));
    }

    #[test]
    fn nobody_and_nothing_are_still_containers() {
        let channels = CountsByChannel(Vec::new());
        let list = serde_json::to_string(&ChannelList { channels, partial: false }).unwrap();
        assert_eq!(list, r#"{"channels":{}}"#);
        let users = serde_json::to_string(&UserList { users: Vec::new(), partial: false }).unwrap();
        assert_eq!(users, r#"{"users":[]}"#);
    }
}
