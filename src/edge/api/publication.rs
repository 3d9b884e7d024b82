//! What the bodies of `/events` and `/batch_events` say, checked whole before anything is sent
//! (protocol sections 6.4 and 6.5).

use std::borrow::Cow;

use bytestring::ByteString;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::message::{compact, is_object, text_of};
use micronotifier_actors::protocol::{ChannelName, EventName, SocketId};
use micronotifier_actors::{ChannelFacts, Publication};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::channel_name;
use super::info::{Counts, CountsByChannel, Info};
use crate::edge::error::ApiError;

/// A JSON string, borrowed from the body where it has no escapes.
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

/// The body of a trigger. A known key given twice is refused, an unknown one ignored:
///
/// ```json
/// {"name":"e","data":"{}","channels":["a","b"],"socket_id":"1.2","info":"user_count"}
/// ```
#[derive(Deserialize)]
struct TriggerBody<'b> {
    #[serde(borrow)]
    name: Cow<'b, str>,
    #[serde(borrow)]
    data: &'b RawValue,
    #[serde(borrow, default)]
    channels: Option<Vec<Text<'b>>>,
    #[serde(borrow, default)]
    channel: Option<Text<'b>>,
    #[serde(borrow, default)]
    socket_id: Option<Text<'b>>,
    #[serde(borrow, default)]
    info: Option<Text<'b>>,
}

/// The body of a batch:
///
/// ```json
/// {"batch":[{"channel":"a","name":"e","data":"1","socket_id":"1.2","info":"user_count"}]}
/// ```
#[derive(Deserialize)]
struct BatchBody<'b> {
    #[serde(borrow)]
    batch: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct BatchItem<'b> {
    #[serde(borrow)]
    channel: Text<'b>,
    #[serde(borrow)]
    name: Cow<'b, str>,
    #[serde(borrow)]
    data: &'b RawValue,
    #[serde(borrow, default)]
    socket_id: Option<Text<'b>>,
    #[serde(borrow, default)]
    info: Option<Text<'b>>,
}

/// Events to publish, and what the answer is to tell of their channels.
pub(crate) struct Order {
    /// The events in their order.
    pub(crate) events: Vec<Publication>,
    /// The shape of the answer.
    pub(crate) wanted: Wanted,
}

/// What the answer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `{}`
    Nothing,
    /// `{"channels":{"a":{…},"b":{…}}}`
    ByChannel(Info),
    /// `{"batch":[{…},{…}]}`, one for each event.
    ByEvent(Vec<Info>),
}

impl Order {
    /// Reads a trigger: one event for each of its channels.
    ///
    /// # Errors
    /// 400 and 413.
    pub(crate) fn of_trigger(body: &[u8], app: &App) -> Result<Self, ApiError> {
        let body: TriggerBody<'_> = parse(text_of_body(body)?)?;
        let event = event_name(&body.name, app)?;
        let data = event_data(body.data, app)?;
        let except = socket_id(body.socket_id.as_ref())?;
        let wanted = match asked(body.info.as_ref()) {
            Some(info) => Wanted::ByChannel(info),
            None => Wanted::Nothing,
        };
        let events = targets(&body, app)?
            .into_iter()
            .map(|channel| Publication {
                channel,
                event: event.clone(),
                data: data.clone(),
                except,
            })
            .collect();
        Ok(Self { events, wanted })
    }

    /// Reads a batch: one event for each item.
    ///
    /// # Errors
    /// 400 and 413, if any item is wrong.
    pub(crate) fn of_batch(body: &[u8], app: &App) -> Result<Self, ApiError> {
        let BatchBody { batch } = parse(text_of_body(body)?)?;
        let limit = app.limits.events_per_batch;
        if batch.is_empty() || batch.len() > limit {
            return Err(ApiError::invalid(format!("A batch has 1 to {limit} events")));
        }
        let batch: Vec<BatchItem<'_>> =
            batch.into_iter().map(|item| parse(item.get())).collect::<Result<_, _>>()?;
        let infos: Vec<Option<Info>> = batch.iter().map(|item| asked(item.info.as_ref())).collect();
        let wanted = if infos.iter().any(Option::is_some) {
            Wanted::ByEvent(infos.into_iter().map(Option::unwrap_or_default).collect())
        } else {
            Wanted::Nothing
        };
        let events = batch
            .iter()
            .map(|item| {
                Ok(Publication {
                    channel: channel_name(&item.channel.0, app)?,
                    event: event_name(&item.name, app)?,
                    data: event_data(item.data, app)?,
                    except: socket_id(item.socket_id.as_ref())?,
                })
            })
            .collect::<Result<_, ApiError>>()?;
        Ok(Self { events, wanted })
    }
}

impl Wanted {
    /// Makes the answer. `channels` and `facts` stand in the order of the events.
    pub(crate) fn tell(
        &self,
        app: &App,
        channels: Vec<ChannelName>,
        facts: &[ChannelFacts],
    ) -> Told {
        let told = channels.into_iter().zip(facts);
        match self {
            Self::Nothing => Told::Nothing {},
            Self::ByChannel(info) => Told::ByChannel {
                channels: CountsByChannel(
                    told.map(|(channel, facts)| {
                        let counts = info.of_target(app, &channel, facts);
                        (channel, counts)
                    })
                    .collect(),
                ),
            },
            Self::ByEvent(infos) => Told::ByEvent {
                batch: told
                    .zip(infos)
                    .map(|((channel, facts), info)| info.of_target(app, &channel, facts))
                    .collect(),
            },
        }
    }
}

/// The answer to an order, as [`Wanted`] shows it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Told {
    Nothing {},
    ByChannel { channels: CountsByChannel },
    ByEvent { batch: Vec<Counts> },
}

fn text_of_body(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| ApiError::invalid("Invalid JSON: not UTF-8"))
}

fn parse<'b, T: Deserialize<'b>>(json: &'b str) -> Result<T, ApiError> {
    if !is_object(json) {
        // a derived parser would take an array of the fields too
        return Err(ApiError::invalid("Invalid JSON: expected an object"));
    }
    serde_json::from_str(json).map_err(|error| ApiError::invalid(format!("Invalid JSON: {error}")))
}

fn targets(body: &TriggerBody<'_>, app: &App) -> Result<Vec<ChannelName>, ApiError> {
    let limit = app.limits.channels_per_event;
    let too_many = || ApiError::invalid(format!("An event has at most {limit} channels"));
    let several = body.channels.as_deref().unwrap_or_default();
    if several.len() > limit {
        return Err(too_many());
    }
    let mut targets = Vec::with_capacity(several.len() + 1);
    for Text(name) in several.iter().chain(&body.channel) {
        let channel = channel_name(name, app)?;
        if !targets.contains(&channel) {
            targets.push(channel);
        }
    }
    if targets.is_empty() {
        return Err(ApiError::invalid("Missing channels"));
    }
    if targets.len() > limit {
        return Err(too_many());
    }
    Ok(targets)
}

fn event_name(name: &str, app: &App) -> Result<EventName, ApiError> {
    EventName::parse(name, app.limits.event_name)
        .map_err(|error| ApiError::invalid(format!("Invalid event name: it {error}")))
}

/// Returns what subscribers get: a text as it is, any other value as compact JSON.
fn event_data(raw: &RawValue, app: &App) -> Result<ByteString, ApiError> {
    let json = raw.get();
    let data = if json.starts_with('"') {
        text_of(raw).ok_or(ApiError::invalid("Invalid JSON: data is not text"))?
    } else {
        compact(json)
    };
    let limit = app.limits.event_data_bytes;
    if data.len() > limit {
        return Err(ApiError::DataTooLarge { limit });
    }
    Ok(data.into_owned().into())
}

/// Returns the connection to leave out. Absent, null and empty mean none, and so does an id of
/// another server: nobody here has it.
fn socket_id(text: Option<&Text<'_>>) -> Result<Option<SocketId>, ApiError> {
    match text {
        Some(Text(id)) if !id.is_empty() && !SocketId::is_well_formed(id) => {
            Err(ApiError::invalid("Invalid socket id"))
        }
        text => Ok(text.and_then(|Text(id)| SocketId::parse(id))),
    }
}

fn asked(info: Option<&Text<'_>>) -> Option<Info> {
    info.filter(|Text(words)| !words.is_empty()).map(|Text(words)| Info::parse([words.as_ref()]))
}

#[cfg(test)]
mod tests;
