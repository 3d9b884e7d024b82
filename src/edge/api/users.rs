//! POST `/users/{id}/terminate_connections` (protocol section 6.8).

use bytes::Bytes;
use micronotifier_actors::protocol::UserId;
use serde::de::IgnoredAny;

use super::{Call, decode, empty_object};
use crate::edge::auth::Signed;
use crate::edge::error::ApiError;

/// Closes the connections of a signed-in user. One that nobody knows has none: still 200.
///
/// # Errors
/// 400 for an id that nobody can sign in with, or a body that is not JSON; 503.
pub(crate) async fn terminate(
    call: &Call<'_>,
    signed: &Signed<'_>,
    segment: &str,
) -> Result<Bytes, ApiError> {
    let user = decode(segment)
        .and_then(|id| UserId::parse(&id).ok())
        .ok_or(ApiError::invalid("Invalid user id"))?;
    if !signed.body.is_empty() && serde_json::from_slice::<IgnoredAny>(&signed.body).is_err() {
        return Err(ApiError::invalid("Invalid JSON"));
    }
    call.state.node.terminate(&signed.app, user).await?;
    Ok(empty_object())
}
