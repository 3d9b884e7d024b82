//! What a request wants to know about channels: the `info` parameter (protocol sections 6.4, 6.6, 6.7).

use micronotifier_actors::ChannelFacts;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::ChannelName;
use serde::ser::{Serialize, Serializer};

/// The known words of a comma text; others are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Info {
    /// `user_count`
    pub(crate) user_count: bool,
    /// `subscription_count`
    pub(crate) subscription_count: bool,
    /// `cache`
    pub(crate) cache: bool,
}

impl Info {
    /// Reads the words of one or more comma texts.
    pub(crate) fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut info = Self::default();
        for word in texts.into_iter().flat_map(|text| text.split(',')) {
            match word.trim() {
                "user_count" => info.user_count = true,
                "subscription_count" => info.subscription_count = true,
                "cache" => info.cache = true,
                _ => {}
            }
        }
        info
    }

    /// Returns what was asked for and applies to the target of an event; the rest is left out
    /// without an error.
    pub(crate) fn of_target(
        self,
        app: &App,
        channel: &ChannelName,
        facts: &ChannelFacts,
    ) -> Counts {
        let kind = channel.kind().capabilities();
        Counts {
            user_count: (self.user_count && kind.members).then_some(facts.users),
            subscription_count: (self.subscription_count && kind.counted && app.subscription_count)
                .then_some(facts.subscriptions),
        }
    }

    /// As [`Self::of_target`], for a listed channel: subscriptions of every kind are told.
    pub(crate) fn of_listed(
        self,
        app: &App,
        channel: &ChannelName,
        facts: &ChannelFacts,
    ) -> Counts {
        let kind = channel.kind().capabilities();
        Counts {
            user_count: (self.user_count && kind.members).then_some(facts.users),
            subscription_count: (self.subscription_count && app.subscription_count)
                .then_some(facts.subscriptions),
        }
    }
}

/// The counts of one channel:
///
/// ```json
/// {"user_count":42,"subscription_count":13}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Counts {
    /// Distinct users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_count: Option<u64>,
    /// Subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscription_count: Option<u64>,
}

/// Channels and their counts, always an object on the wire:
///
/// ```json
/// {"presence-a":{"user_count":42},"b":{}}
/// ```
pub(crate) struct CountsByChannel(pub(crate) Vec<(ChannelName, Counts)>);

impl Serialize for CountsByChannel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(channel, counts)| (channel.as_str(), counts)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use micronotifier_actors::protocol::sign::Credential;

    use super::*;

    #[test]
    fn unknown_words_are_ignored() {
        let info = Info::parse(["user_count, nonsense", "cache"]);
        assert!(info.user_count && info.cache && !info.subscription_count);
        assert_eq!(Info::parse(["", "User_Count"]), Info::default());
    }

    #[test]
    fn each_channel_gets_what_applies_to_it() {
        let mut app = App::new("1", Credential::new("key", "secret"));
        let facts = ChannelFacts { subscriptions: 3, users: 2, cached: None, partial: false };
        let info = Info::parse(["user_count,subscription_count"]);
        let tell = |app: &App| {
            let counts = ["presence-a", "b"].map(|name| {
                let channel = ChannelName::parse(name, 164).unwrap();
                let counts = info.of_target(app, &channel, &facts);
                (channel, counts)
            });
            serde_json::to_string(&CountsByChannel(counts.into())).unwrap()
        };
        assert_eq!(tell(&app), r#"{"presence-a":{"user_count":2},"b":{}}"#);
        app.subscription_count = true;
        assert_eq!(tell(&app), r#"{"presence-a":{"user_count":2},"b":{"subscription_count":3}}"#);
    }
}
