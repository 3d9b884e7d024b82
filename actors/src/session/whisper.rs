//! Client events: what one subscriber sends to the others (protocol section 4.2).

use super::Session;
use super::effect::{Effect, Whisper};
use super::rate::SECOND;
use super::refusal;
use crate::clock::Moment;
use crate::protocol::ChannelKind;
use crate::protocol::message::ClientMessage;

/// Why a client event goes nowhere, in the order of the checks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WhisperError {
    /// It names no channel.
    NoChannel,
    /// The application does not allow client events.
    SwitchedOff,
    /// Channels of this kind carry none: public, encrypted and server-to-user ones.
    Kind,
    /// The sender is not in the channel.
    NotSubscribed(String),
    /// The event's name has too many characters.
    NameTooLong,
    /// The data has too many bytes.
    DataTooLarge,
    /// The connection sends too many of them.
    Rate,
}

impl Session {
    pub(super) fn whisper(
        &mut self,
        message: &ClientMessage<'_>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(match self.check_whisper(message, now) {
            Ok(whisper) => Effect::Whisper(whisper),
            Err(error) => refusal::whisper(&error),
        });
    }

    fn check_whisper(
        &mut self,
        message: &ClientMessage<'_>,
        now: Moment,
    ) -> Result<Whisper, WhisperError> {
        let channel = message.channel_text().ok_or(WhisperError::NoChannel)?;
        if !self.app.client_events {
            return Err(WhisperError::SwitchedOff);
        }
        if !ChannelKind::of(&channel).capabilities().client_events {
            return Err(WhisperError::Kind);
        }
        let Some(channel) = self.subscriptions.get(&channel).cloned() else {
            return Err(WhisperError::NotSubscribed(channel.into_owned()));
        };
        let limits = &self.app.limits;
        if message.event.chars().count() > limits.event_name {
            return Err(WhisperError::NameTooLong);
        }
        let data = message.data_text();
        if data.len() > limits.event_data_bytes {
            return Err(WhisperError::DataTooLarge);
        }
        if let Some(limit) = limits.client_events_per_second
            && self.whispers.hit(now, SECOND) > limit
        {
            return Err(WhisperError::Rate);
        }
        Ok(Whisper { channel, event: message.event.as_ref().into(), data: data.into() })
    }
}
