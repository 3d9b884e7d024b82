//! Subscribing and unsubscribing (protocol sections 3.2 to 3.7).

use serde_json::from_str;

use super::auth::{self, AuthError};
use super::effect::{Effect, JoinRefusal, Subscription};
use super::member::{self, MemberError};
use super::refusal::{self, Complaint, Malformed};
use super::{Now, Session};
use crate::channel::Member;
use crate::clock::Moment;
use crate::config::DuplicateSubscribe;
use crate::protocol::message::{ClientMessage, SubscribeData, UnsubscribeData};
use crate::protocol::sign::subscription_text;
use crate::protocol::{ChannelName, Frame};

/// Why a connection does not get a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SubscribeError<'a> {
    /// Not the name of a channel.
    Name,
    /// The connection has the channel already.
    Existing,
    /// The connection has all the channels it may have.
    TooManyChannels,
    /// The channel wants a signature, or somebody else's sign-in.
    AuthMissing,
    /// The signature does not count.
    Auth(AuthError<'a>),
    /// The presence data names no member.
    Member(MemberError),
    /// The channel itself did not take it.
    Channel(JoinRefusal),
}

impl Session {
    pub(super) fn subscribe(
        &mut self,
        message: &ClientMessage<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let text = message.object_text();
        let Some(data) = text.as_deref().and_then(|text| from_str(text).ok()) else {
            return self.malformed(Malformed::SubscribeData, now.moment, effects);
        };
        let data: SubscribeData<'_> = data;
        match self.admit(&data, now.unix) {
            Ok(effect) => effects.push(effect),
            Err(error) => refusal::subscription(&error, &data.channel, self.client, effects),
        }
    }

    fn admit<'a>(
        &mut self,
        data: &'a SubscribeData<'_>,
        unix: i64,
    ) -> Result<Effect, SubscribeError<'a>> {
        let channel = ChannelName::parse(&data.channel, self.app.limits.channel_name)
            .map_err(|_| SubscribeError::Name)?;
        if let Some(user) = channel.user() {
            if self.user() != Some(&user) {
                return Err(SubscribeError::AuthMissing);
            }
            return self.hear_user(&channel);
        }
        if self.subscriptions.get(channel.as_str()).is_some() {
            return match self.app.duplicate_subscribe {
                DuplicateSubscribe::Error => Err(SubscribeError::Existing),
                DuplicateSubscribe::Succeed => Ok(Effect::Resend(channel)),
            };
        }
        if self.subscriptions.len() >= self.limits.channels_per_connection {
            return Err(SubscribeError::TooManyChannels);
        }
        let capabilities = channel.kind().capabilities();
        if capabilities.signed {
            self.check_signature(&channel, data, unix)?;
        }
        let member = if capabilities.members {
            Some(self.member(data).map_err(SubscribeError::Member)?)
        } else {
            None
        };
        if capabilities.signed {
            self.authorize_by = None;
        }
        self.attempts = self.attempts.wrapping_add(1);
        self.subscriptions.insert(channel.clone(), self.attempts);
        Ok(Effect::Subscribe(Subscription { channel, attempt: self.attempts, member }))
    }

    /// Answers a subscription to the signed-in user's own channel: sign-in has joined it already.
    fn hear_user(&mut self, channel: &ChannelName) -> Result<Effect, SubscribeError<'static>> {
        if self.hears_user && self.app.duplicate_subscribe == DuplicateSubscribe::Error {
            return Err(SubscribeError::Existing);
        }
        self.hears_user = true;
        Ok(Effect::Send(Frame::subscription_succeeded(channel)))
    }

    fn check_signature<'a>(
        &self,
        channel: &ChannelName,
        data: &'a SubscribeData<'_>,
        unix: i64,
    ) -> Result<(), SubscribeError<'a>> {
        // pusher-js sends an empty text where it has nothing to send
        let auth = data
            .auth
            .as_deref()
            .filter(|auth| !auth.is_empty())
            .ok_or(SubscribeError::AuthMissing)?;
        let signed = subscription_text(self.socket, channel.as_str(), data.channel_data.as_deref());
        auth::check(&self.app, auth, signed, unix).map_err(SubscribeError::Auth)
    }

    /// Returns who joins a presence channel: whom the signed data names, else the signed-in user.
    fn member(&self, data: &SubscribeData<'_>) -> Result<Member, MemberError> {
        let limit = self.app.limits.presence_data_bytes;
        if let Some(channel_data) = &data.channel_data {
            return member::parse(channel_data, limit);
        }
        let signed_in = self.signed_in.as_deref();
        let signed_in = signed_in.filter(|member| member::may_be_member(&member.user));
        let signed_in = signed_in.ok_or(MemberError::Data)?;
        if signed_in.user.as_str().len() + signed_in.info.len() > limit {
            return Err(MemberError::TooLarge);
        }
        Ok(signed_in.clone())
    }

    pub(super) fn unsubscribe(
        &mut self,
        message: &ClientMessage<'_>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let text = message.object_text();
        let Some(data) = text.as_deref().and_then(|text| from_str(text).ok()) else {
            return self.malformed(Malformed::UnsubscribeData, now, effects);
        };
        let data: UnsubscribeData<'_> = data;
        if let Some(channel) = self.subscriptions.remove(&data.channel) {
            effects.push(Effect::Unsubscribe(channel));
        } else if self.hears_user && self.is_own_channel(&data.channel) {
            self.hears_user = false;
        } else {
            effects.push(refusal::complaint(&Complaint::NotSubscribed(&data.channel)));
        }
    }

    fn is_own_channel(&self, channel: &str) -> bool {
        self.user().is_some_and(|user| ChannelName::of_user(user).as_str() == channel)
    }
}
