//! The mailboxes of one worker's actors, by kind.

use super::{Mail, names};

/// What is counted of the mailboxes of one worker's actors, by kind. Clones count together.
#[derive(Debug, Clone)]
pub struct Mailboxes {
    /// Of all sessions together.
    pub sessions: Mail,
    /// Of all channels of its registry together.
    pub channels: Mail,
    /// Of its courier; what its desk has not begun yet still waits.
    pub courier: Mail,
    /// Of its registry.
    pub registry: Mail,
    /// Of its users.
    pub users: Mail,
}

impl Mailboxes {
    /// Makes those of a worker, which are measured or not.
    pub(crate) fn new(measured: bool) -> Self {
        let of = |names| Mail::new(names, measured);
        Self {
            sessions: of(names::SESSION),
            channels: of(names::CHANNEL),
            courier: of(names::COURIER),
            registry: of(names::REGISTRY),
            users: of(names::USERS),
        }
    }

    /// Returns each kind of actor and its mailboxes.
    pub fn by_kind(&self) -> [(&'static str, &Mail); 5] {
        [
            ("session", &self.sessions),
            ("channel", &self.channels),
            ("courier", &self.courier),
            ("registry", &self.registry),
            ("users", &self.users),
        ]
    }
}
