//! Who is present in a channel: users, and the connections that make them present.

use std::sync::Arc;

use crate::protocol::UserId;

/// One member of a presence channel, as a subscription announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// What the others are told of the user: the text of a JSON object, `{}` if nothing was given.
    pub info: Arc<str>,
}
