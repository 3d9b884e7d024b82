//! The names that soketi has for keys of ours, for who comes from there.

/// Names in kebab-case, and our key: of the same object, or of the top level.
const SOKETI: [(&str, &str); 20] = [
    // of an application
    ("enable-client-messages", "client-events"),
    ("enable-user-authentication", "authorized-connections"),
    ("max-connections", "limits.max-connections"),
    ("max-backend-events-per-second", "limits.backend-events-per-second"),
    ("max-client-events-per-second", "limits.client-events-per-second"),
    ("max-read-requests-per-second", "limits.read-requests-per-second"),
    ("max-presence-members-per-channel", "limits.presence-members"),
    ("max-presence-member-size-in-kb", "limits.presence-data-bytes"),
    ("max-channel-name-length", "limits.channel-name"),
    ("max-event-channels-at-once", "limits.channels-per-event"),
    ("max-event-name-length", "limits.event-name"),
    ("max-event-payload-in-kb", "limits.event-data-bytes"),
    ("max-event-batch-size", "limits.events-per-batch"),
    // of the server
    ("apps", "applications"),
    ("app-manager", "applications"),
    ("debug", "log.level"),
    ("ssl", "certificate"),
    ("adapter", "redis"),
    ("database", "redis"),
    ("metrics", "admin-port"),
];

/// Returns our key for another's name, which is in kebab-case.
pub(super) fn ours(name: &str) -> Option<&'static str> {
    SOKETI.iter().find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::super::tests::known_keys;
    use super::*;

    #[test]
    fn every_name_leads_to_a_key() {
        let known = known_keys();
        for (foreign, ours) in SOKETI {
            let of_application = format!("applications[].{ours}");
            assert!(known.iter().any(|key| *key == ours || *key == of_application), "{foreign}");
        }
    }
}
