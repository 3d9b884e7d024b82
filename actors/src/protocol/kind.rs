//! What a channel may do, told by the prefix of its name (protocol section 3.1).

/// The kind of a channel. Prefixes are anchored; the longest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// Open to everybody who has the application key.
    Public,
    /// `cache-`: public, and remembers its last event.
    Cache,
    /// `private-`: a subscription is signed by the application's backend.
    Private,
    /// `private-cache-`.
    PrivateCache,
    /// `private-encrypted-`: private, with data that only the clients can read.
    Encrypted,
    /// `private-encrypted-cache-`.
    EncryptedCache,
    /// `presence-`: private, and its members know of each other.
    Presence,
    /// `presence-cache-`.
    PresenceCache,
    /// `#server-to-user-`: the connections of one signed-in user.
    ServerToUser,
}

/// The capabilities of a kind: one row of the table, instead of questions scattered about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table row: each column is one independent fact"
)]
pub struct Capabilities {
    /// A subscription carries a signature.
    pub signed: bool,
    /// Subscribers are members with a user id.
    pub members: bool,
    /// The last event is kept for those who come later.
    pub caches: bool,
    /// Subscribers may send client events.
    pub client_events: bool,
    /// Data is opaque ciphertext.
    pub encrypted: bool,
    /// The channel shows in `GET /channels`.
    pub listed: bool,
    /// Subscribers are told the subscription count, where the application asks for it.
    pub counted: bool,
    /// Those who watch its user are told, on all nodes, when it is occupied and when it is vacated.
    pub watched: bool,
}

const PREFIXES: [(&str, ChannelKind); 8] = [
    ("#server-to-user-", ChannelKind::ServerToUser),
    ("presence-cache-", ChannelKind::PresenceCache),
    ("presence-", ChannelKind::Presence),
    ("private-encrypted-cache-", ChannelKind::EncryptedCache),
    ("private-encrypted-", ChannelKind::Encrypted),
    ("private-cache-", ChannelKind::PrivateCache),
    ("private-", ChannelKind::Private),
    ("cache-", ChannelKind::Cache),
];

impl ChannelKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Public,
        Self::Cache,
        Self::Private,
        Self::PrivateCache,
        Self::Encrypted,
        Self::EncryptedCache,
        Self::Presence,
        Self::PresenceCache,
        Self::ServerToUser,
    ];

    /// Returns what an operator calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Cache => "cache",
            Self::Private => "private",
            Self::PrivateCache => "private_cache",
            Self::Encrypted => "encrypted",
            Self::EncryptedCache => "encrypted_cache",
            Self::Presence => "presence",
            Self::PresenceCache => "presence_cache",
            Self::ServerToUser => "server_to_user",
        }
    }

    /// Returns the kind that a name belongs to. Every name has one.
    pub fn of(name: &str) -> Self {
        PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map_or(Self::Public, |(_, kind)| *kind)
    }

    /// Returns what channels of this kind can do.
    pub const fn capabilities(self) -> Capabilities {
        let row = Capabilities {
            signed: true,
            members: false,
            caches: false,
            client_events: false,
            encrypted: false,
            listed: true,
            counted: true,
            watched: false,
        };
        match self {
            Self::Public => Capabilities { signed: false, ..row },
            Self::Cache => Capabilities { signed: false, caches: true, ..row },
            Self::Private => Capabilities { client_events: true, ..row },
            Self::PrivateCache => Capabilities { client_events: true, caches: true, ..row },
            Self::Encrypted => Capabilities { encrypted: true, ..row },
            Self::EncryptedCache => Capabilities { encrypted: true, caches: true, ..row },
            Self::Presence => {
                Capabilities { members: true, client_events: true, counted: false, ..row }
            }
            Self::PresenceCache => Capabilities {
                members: true,
                client_events: true,
                caches: true,
                counted: false,
                ..row
            },
            Self::ServerToUser => {
                Capabilities { listed: false, counted: false, watched: true, ..row }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_stand_at_their_numbers() {
        for (number, kind) in ChannelKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number, "{}", kind.name());
        }
    }

    #[test]
    fn prefixes_are_anchored_and_the_longest_wins() {
        for (name, kind) in [
            ("room", ChannelKind::Public),
            ("my-cache-x", ChannelKind::Public),
            ("presencex", ChannelKind::Public),
            ("Private-a", ChannelKind::Public),
            ("cache-x", ChannelKind::Cache),
            ("private-x", ChannelKind::Private),
            ("private-encryptedx", ChannelKind::Private),
            ("private-cache-x", ChannelKind::PrivateCache),
            ("private-encrypted-x", ChannelKind::Encrypted),
            ("private-encrypted-cache-x", ChannelKind::EncryptedCache),
            ("presence-x", ChannelKind::Presence),
            ("presence-cache-x", ChannelKind::PresenceCache),
            ("#server-to-user-7", ChannelKind::ServerToUser),
        ] {
            assert_eq!(ChannelKind::of(name), kind, "{name}");
        }
    }
}
