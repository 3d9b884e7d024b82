//! Reads who joins a presence channel out of `channel_data` (protocol section 3.7).

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::channel::Member;
use crate::protocol::UserId;
use crate::protocol::message::{compact, is_object, text_of};

/// Why signed presence data does not name a member. The matter of the client's backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberError {
    /// No JSON object, or without a usable `user_id`; or there is none and nobody is signed in.
    Data,
    /// `user_info` is not an object.
    Info,
    /// More bytes than a member may have.
    TooLarge,
}

/// Reads `channel_data` of at most `limit` bytes.
///
/// # Errors
/// [`MemberError`] says what is wrong with it.
pub(super) fn parse(channel_data: &str, limit: usize) -> Result<Member, MemberError> {
    #[derive(Deserialize)]
    struct ChannelData<'a> {
        #[serde(borrow)]
        user_id: &'a RawValue,
        #[serde(borrow, default)]
        user_info: Option<&'a RawValue>,
    }
    if channel_data.len() > limit {
        return Err(MemberError::TooLarge);
    }
    if !is_object(channel_data) {
        return Err(MemberError::Data);
    }
    let data: ChannelData<'_> =
        serde_json::from_str(channel_data).map_err(|_| MemberError::Data)?;
    Ok(Member {
        user: user(data.user_id).ok_or(MemberError::Data)?,
        info: info(data.user_info).ok_or(MemberError::Info)?,
    })
}

/// Returns the text of a `user_info`, `{}` if there is none; `None` if it is not an object.
///
/// It goes out to all members as it is. So it is read in full here: what a strict parser refuses (half
/// a surrogate pair, a number out of range, great depth) must not spoil the member list for the others.
pub(super) fn info(raw: Option<&RawValue>) -> Option<Arc<str>> {
    let Some(raw) = raw else {
        return Some("{}".into());
    };
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(raw.get()).ok()?;
    Some(compact(raw.get()).into())
}

/// Takes a text, or an integer as it is written.
fn user(raw: &RawValue) -> Option<UserId> {
    let digits = raw.get().strip_prefix('-').unwrap_or(raw.get());
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_integer { Cow::Borrowed(raw.get()) } else { text_of(raw)? };
    UserId::member(&id).ok().filter(may_be_member)
}

/// Browsers keep members in an object by id; `__proto__` would set that object's prototype instead.
pub(super) fn may_be_member(user: &UserId) -> bool {
    user.as_str() != "__proto__"
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_or_integers() {
        for (data, id) in [
            (r#"{"user_id":"1"}"#, "1"),
            (r#"{"user_id":10}"#, "10"),
            (r#"{"user_id":-7}"#, "-7"),
            (r#"{"user_id":123456789012345678901234567890}"#, "123456789012345678901234567890"),
            (r#" {"user_id" : "é" , "more":[1]}"#, "é"),
        ] {
            assert_eq!(parse(data, 1024).unwrap().user.as_str(), id, "{data}");
        }
        for data in [
            "",
            "1",
            "null",
            "not json",
            r#"["1"]"#,
            "{}",
            r#"{"user_id":""}"#,
            r#"{"user_id":null}"#,
            r#"{"user_id":1.5}"#,
            r#"{"user_id":1e3}"#,
            r#"{"user_id":true}"#,
            r#"{"user_id":["1"]}"#,
            r#"{"user_id":"__proto__"}"#,
            r#"{"user_id":"\ud800"}"#,
            r#"{"user_id":"1","user_id":"2"}"#,
        ] {
            assert_eq!(parse(data, 1024), Err(MemberError::Data), "{data}");
        }
        let longest = |length| format!(r#"{{"user_id":"{}"}}"#, "x".repeat(length));
        assert!(parse(&longest(128), 1024).is_ok());
        assert_eq!(parse(&longest(129), 1024), Err(MemberError::Data));
    }

    #[test]
    fn info_is_an_object_that_every_parser_takes() {
        let with = |info: &str| parse(&format!(r#"{{"user_id":"1","user_info":{info}}}"#), 1024);
        assert_eq!(with(r#"{ "name": "A b" }"#).unwrap().info.as_ref(), r#"{"name":"A b"}"#);
        assert_eq!(with("null").unwrap().info.as_ref(), "{}");
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(400), "]".repeat(400));
        for bad in [r#""text""#, "[]", "1", r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#, deep.as_str()] {
            assert_eq!(with(bad), Err(MemberError::Info), "{bad}");
        }
    }

    #[test]
    fn the_limit_counts_all_bytes() {
        let data = r#"{"user_id":"é"}"#;
        assert!(parse(data, data.len()).is_ok());
        assert_eq!(parse(data, data.len() - 1), Err(MemberError::TooLarge));
    }
}
