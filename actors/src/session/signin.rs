//! Signing in: a connection takes the identity of a user (protocol sections 5.1 to 5.3).

use std::borrow::Cow;

use hashbrown::HashSet;
use serde::Deserialize;
use serde_json::from_str;
use serde_json::value::RawValue;

use super::auth::{self, AuthError};
use super::effect::{Effect, SignIn};
use super::refusal::{self, Malformed};
use super::{Now, Session, member};
use crate::channel::Member;
use crate::protocol::message::{ClientMessage, SigninData, is_object, text_of};
use crate::protocol::sign::signin_text;
use crate::protocol::{Frame, UserId};

/// Why a sign-in is refused. The connection stays as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignInError<'a> {
    /// The signature does not count.
    Auth(AuthError<'a>),
    /// The user's data is not an object with an `id` that is a user id.
    UserData,
    /// `user_info` is not an object.
    UserInfo,
    /// `watchlist` is not a list of user ids.
    Watchlist,
    /// The connection belongs to somebody else already.
    OtherUser,
}

/// The signed data of a user.
#[derive(Deserialize)]
struct UserData<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    user_info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    watchlist: Option<&'a RawValue>,
}

impl Session {
    pub(super) fn sign_in(
        &mut self,
        message: &ClientMessage<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let text = message.object_text();
        let Some(data) = text.as_deref().and_then(|text| from_str(text).ok()) else {
            return self.malformed(Malformed::SigninData, now.moment, effects);
        };
        let data: SigninData<'_> = data;
        match self.check_sign_in(&data, now.unix) {
            Ok((member, mut watchlist)) => {
                let limit = self.app.limits.watchlist;
                let is_cut = watchlist.len() > limit;
                watchlist.truncate(limit);
                let mut seen = HashSet::with_capacity(watchlist.len());
                watchlist.retain(|user| seen.insert(user.clone()));
                let mut replies = vec![Frame::signin_success(&data.user_data)];
                if is_cut {
                    replies.push(refusal::watchlist_cut(limit));
                }
                let user = member.user.clone();
                effects.push(Effect::SignIn(SignIn { user, watchlist, replies }));
                self.authorize_by = None;
                self.signed_in = Some(Box::new(member));
            }
            Err(error) => effects.push(refusal::sign_in(&error)),
        }
    }

    /// Returns the user and the whole watchlist, empty where the application keeps none.
    fn check_sign_in<'a>(
        &self,
        data: &'a SigninData<'_>,
        unix: i64,
    ) -> Result<(Member, Vec<UserId>), SignInError<'a>> {
        let signed = signin_text(self.socket, &data.user_data);
        auth::check(&self.app, &data.auth, signed, unix).map_err(SignInError::Auth)?;
        if !is_object(&data.user_data) {
            return Err(SignInError::UserData);
        }
        let user_data: UserData<'_> =
            from_str(&data.user_data).map_err(|_| SignInError::UserData)?;
        let user = text_of(user_data.id)
            .and_then(|id| UserId::parse(&id).ok())
            .ok_or(SignInError::UserData)?;
        let info = member::info(user_data.user_info).ok_or(SignInError::UserInfo)?;
        let watchlist = match user_data.watchlist {
            Some(list) if self.app.watchlist => users(list).ok_or(SignInError::Watchlist)?,
            _ => Vec::new(),
        };
        if self.user().is_some_and(|present| *present != user) {
            return Err(SignInError::OtherUser);
        }
        Ok((Member { user, info }, watchlist))
    }
}

/// Reads a list of user ids. They may be ids that cannot sign in here: such users are always offline.
fn users(list: &RawValue) -> Option<Vec<UserId>> {
    from_str::<Vec<Cow<'_, str>>>(list.get())
        .ok()?
        .iter()
        .map(|id| UserId::member(id).ok())
        .collect()
}
