//! What nodes tell each other, as text: versioned JSON that a broker carries without looking inside.
//!
//! ```json
//! {"v":1,"n":"⟨node⟩","k":"published","a":"⟨app⟩","c":"⟨channel⟩","e":"⟨event⟩","d":"⟨data⟩","x":"1.2"}
//! ```
//!
//! Unknown fields are ignored, unknown kinds too, so that nodes of two releases can work together; a
//! later version is refused. With a cluster secret a text ends in `,"mac":"⟨hex⟩"}`: HMAC-SHA256 of the
//! same text without it. Nothing that is read here is trusted: names are parsed as if a client had sent them.

use std::borrow::Cow;
use std::sync::Arc;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::Relayed;
use crate::channel::Member;
use crate::membership::{Announcer, Counts};
use crate::protocol::sign::Credential;
use crate::protocol::{ChannelKey, EventName, SocketId, UserId};

/// The version that is written. Those before it are read too; there are none.
const VERSION: u32 = 1;
/// The largest envelope, in bytes. Larger ones are neither sent nor read.
pub const MAX_BYTES: usize = 1 << 20;
/// What stands before a signature at the end of an envelope.
const MAC_FIELD: &str = r#","mac":""#;

/// What one node has told the others.
#[derive(Debug, Clone)]
pub struct Told {
    /// The node that tells it.
    pub node: String,
    /// That node has delivered it to its own subscribers already.
    pub delivered: bool,
    /// What is told.
    pub body: Relayed,
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Over [`MAX_BYTES`].
    #[error("it is too large")]
    TooLarge,
    /// Not an envelope, or with a name that breaks its rule.
    #[error("it is malformed")]
    Malformed,
    /// Of a version after ours.
    #[error("it is of a later version")]
    Version,
    /// Not signed with the cluster's secret.
    #[error("it is not signed by a node of this cluster")]
    Forged,
    /// About another channel than that of its topic.
    #[error("it is about another channel")]
    Misplaced,
    /// Something that this release does not know.
    #[error("its kind is not known")]
    Unknown,
}

/// Writes and reads envelopes. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct Wire {
    node: String,
    signer: Option<Credential>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'t> {
    v: u32,
    #[serde(borrow)]
    n: Cow<'t, str>,
    #[serde(borrow)]
    k: Cow<'t, str>,
    #[serde(borrow)]
    a: Cow<'t, str>,
    #[serde(borrow)]
    c: Cow<'t, str>,
    /// The event's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Cow<'t, str>>,
    /// Its data, or what is told of a user who came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<Cow<'t, str>>,
    /// The connection that gets no copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// The user who sent a client event, came or went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<Cow<'t, str>>,
    /// Subscriptions over all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
    /// When they were counted, in microseconds by the broker's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<u64>,
    /// The sender has delivered it to its own subscribers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    l: bool,
}

/// What every version has; a later one may have changed all the rest.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Wire {
    /// Builds the wire of a node; an empty secret signs nothing.
    pub fn new(node: &str, cluster_secret: &str) -> Self {
        let signer = (!cluster_secret.is_empty()).then(|| Credential::new("", cluster_secret));
        Self { node: node.to_owned(), signer }
    }

    /// Returns the name of this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Writes an envelope.
    ///
    /// # Errors
    /// [`WireError::TooLarge`].
    pub fn write(
        &self,
        key: &ChannelKey,
        body: &Relayed,
        delivered: bool,
    ) -> Result<String, WireError> {
        let mut envelope = Envelope {
            v: VERSION,
            n: Cow::Borrowed(&self.node),
            k: Cow::Borrowed("terminated"),
            a: Cow::Borrowed(key.app.as_str()),
            c: Cow::Borrowed(key.channel.as_str()),
            e: None,
            d: None,
            x: None,
            u: None,
            s: None,
            t: None,
            l: delivered,
        };
        match body {
            Relayed::Published { event, data, except } => {
                envelope.k = Cow::Borrowed("published");
                envelope.e = Some(Cow::Borrowed(event.as_str()));
                envelope.d = Some(Cow::Borrowed(data));
                envelope.x = except.map(|socket| socket.to_string());
            }
            Relayed::Whispered { event, data, user, socket } => {
                envelope.k = Cow::Borrowed("whispered");
                envelope.e = Some(Cow::Borrowed(event));
                envelope.d = Some(Cow::Borrowed(data));
                envelope.x = Some(socket.to_string());
                envelope.u = user.as_ref().map(|user| Cow::Borrowed(user.as_str()));
            }
            Relayed::Terminated => {}
            Relayed::Joined(Member { user, info }) => {
                envelope.k = Cow::Borrowed("joined");
                envelope.u = Some(Cow::Borrowed(user.as_str()));
                envelope.d = Some(Cow::Borrowed(info));
            }
            Relayed::Left(user) => {
                envelope.k = Cow::Borrowed("left");
                envelope.u = Some(Cow::Borrowed(user.as_str()));
            }
            Relayed::Counted(counts) => {
                envelope.k = Cow::Borrowed("counted");
                envelope.s = Some(counts.subscriptions);
                envelope.t = Some(counts.at);
            }
            Relayed::Occupied => envelope.k = Cow::Borrowed("occupied"),
            Relayed::Vacated => envelope.k = Cow::Borrowed("vacated"),
            Relayed::Nothing => envelope.k = Cow::Borrowed("nothing"),
            Relayed::Missing => envelope.k = Cow::Borrowed("missing"),
        }
        let text = serde_json::to_string(&envelope).map_err(|_| WireError::Malformed)?;
        let text = self.signed(text);
        if text.len() > MAX_BYTES { Err(WireError::TooLarge) } else { Ok(text) }
    }

    /// Writes what a broker is to publish by itself. What is too large for an envelope keeps its place in
    /// the sequence, whose followers find out by asking who is there.
    fn announce(&self, key: &ChannelKey, body: &Relayed) -> String {
        self.write(key, body, false).unwrap_or_else(|error| {
            log::warn!("what became of a channel cannot be told to other nodes: {error}");
            self.write(key, &Relayed::Missing, false).unwrap_or_default()
        })
    }

    fn signed(&self, mut text: String) -> String {
        if let Some(signer) = &self.signer {
            let mac = signer.sign(text.as_bytes());
            text.pop();
            text.push_str(MAC_FIELD);
            text.push_str(&mac);
            text.push_str("\"}");
        }
        text
    }

    /// Reads an envelope that came on the topic of `key`.
    ///
    /// # Errors
    /// [`WireError`] says why it is not taken.
    pub fn read(&self, key: &ChannelKey, text: &str) -> Result<Told, WireError> {
        if text.len() > MAX_BYTES {
            return Err(WireError::TooLarge);
        }
        self.verify(text)?;
        let envelope = match serde_json::from_str::<Envelope<'_>>(text) {
            Ok(envelope) if envelope.v <= VERSION => envelope,
            _ => return Err(misfit(text)),
        };
        if envelope.a != key.app.as_str() || envelope.c != key.channel.as_str() {
            return Err(WireError::Misplaced);
        }
        let (node, delivered) = (envelope.n.clone().into_owned(), envelope.l);
        Ok(Told { node, delivered, body: body_of(envelope)? })
    }

    fn verify(&self, text: &str) -> Result<(), WireError> {
        let Some(secret) = &self.signer else {
            return Ok(());
        };
        let split = text.strip_suffix("\"}").and_then(|text| text.rsplit_once(MAC_FIELD));
        let (signed, mac) = split.ok_or(WireError::Forged)?;
        if secret.verifies(&[signed.as_bytes(), b"}"], mac) {
            Ok(())
        } else {
            Err(WireError::Forged)
        }
    }
}

impl Announcer for Wire {
    fn joined(&self, key: &ChannelKey, member: &Member) -> String {
        self.announce(key, &Relayed::Joined(member.clone()))
    }

    fn left(&self, key: &ChannelKey, user: &UserId) -> String {
        self.announce(key, &Relayed::Left(user.clone()))
    }

    fn occupied(&self, key: &ChannelKey) -> Option<String> {
        is_watched(key).then(|| self.announce(key, &Relayed::Occupied))
    }

    fn vacated(&self, key: &ChannelKey) -> Option<String> {
        is_watched(key).then(|| self.announce(key, &Relayed::Vacated))
    }

    fn data_of(&self, key: &ChannelKey, envelope: &str) -> Option<ByteString> {
        match self.read(key, envelope).ok()?.body {
            Relayed::Published { data, .. } => Some(data),
            _ => None,
        }
    }
}

fn is_watched(key: &ChannelKey) -> bool {
    key.channel.kind().capabilities().watched
}

/// Tells a later version from what is no envelope.
fn misfit(text: &str) -> WireError {
    match serde_json::from_str(text) {
        Ok(Versioned { v }) if v > VERSION => WireError::Version,
        _ => WireError::Malformed,
    }
}

fn body_of(envelope: Envelope<'_>) -> Result<Relayed, WireError> {
    let except =
        envelope.x.as_deref().map(|text| SocketId::parse(text).ok_or(WireError::Malformed));
    let except = except.transpose()?;
    match &*envelope.k {
        "published" => {
            let (event, data) = event_of(envelope.e, envelope.d)?;
            let event = EventName::parse(&event, usize::MAX).map_err(|_| WireError::Malformed)?;
            let data = ByteString::from(data.into_owned());
            Ok(Relayed::Published { event, data, except })
        }
        "whispered" => {
            let (event, data) = event_of(envelope.e, envelope.d)?;
            if !event.starts_with("client-") {
                return Err(WireError::Malformed);
            }
            let user = envelope.u.map(|user| UserId::member(&user)).transpose();
            let user = user.map_err(|_| WireError::Malformed)?;
            let socket = except.ok_or(WireError::Malformed)?;
            let (event, data) = (Arc::from(&*event), Arc::from(&*data));
            Ok(Relayed::Whispered { event, data, user, socket })
        }
        "terminated" => Ok(Relayed::Terminated),
        "joined" => {
            let told = envelope.u.zip(envelope.d).ok_or(WireError::Malformed)?;
            let member = Member::parse(&told.0, &told.1).ok_or(WireError::Malformed)?;
            Ok(Relayed::Joined(member))
        }
        "left" => {
            let user = envelope.u.ok_or(WireError::Malformed)?;
            let user = UserId::member(&user).map_err(|_| WireError::Malformed)?;
            Ok(Relayed::Left(user))
        }
        "counted" => {
            let (subscriptions, at) = envelope.s.zip(envelope.t).ok_or(WireError::Malformed)?;
            Ok(Relayed::Counted(Counts { subscriptions, at, users: 0 }))
        }
        "occupied" => Ok(Relayed::Occupied),
        "vacated" => Ok(Relayed::Vacated),
        "nothing" => Ok(Relayed::Nothing),
        "missing" => Ok(Relayed::Missing),
        _ => Err(WireError::Unknown),
    }
}

type Texts<'t> = (Cow<'t, str>, Cow<'t, str>);

fn event_of<'t>(
    event: Option<Cow<'t, str>>,
    data: Option<Cow<'t, str>>,
) -> Result<Texts<'t>, WireError> {
    event.zip(data).ok_or(WireError::Malformed)
}

#[cfg(test)]
mod tests;
