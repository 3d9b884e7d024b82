//! How many connections applications have on the other nodes: set by the membership, read at every upgrade.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::config::Apps;
use crate::protocol::AppId;

/// See the module. A few seconds old; what it was last stays while the broker is away.
#[derive(Debug)]
pub(crate) struct Elsewhere(HashMap<AppId, AtomicU64>);

impl Elsewhere {
    pub(crate) fn new(apps: &Apps) -> Self {
        Self(apps.iter().map(|app| (app.id.clone(), AtomicU64::default())).collect())
    }

    /// Takes the connections of the other nodes; an application that is not told of has none.
    pub(crate) fn hear(&self, told: &[(AppId, u64)]) {
        let told: HashMap<&AppId, u64> = told.iter().map(|(app, count)| (app, *count)).collect();
        for (app, count) in &self.0 {
            count.store(told.get(app).copied().unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// Returns how many there are on the other nodes.
    pub(crate) fn of(&self, app: &AppId) -> u64 {
        self.0.get(app).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::App;
    use crate::protocol::sign::Credential;

    #[test]
    fn an_application_that_is_not_told_of_has_nothing_elsewhere() {
        let app = App::new("a", Credential::new("k", "s"));
        let (id, other) = (app.id.clone(), AppId::new("b"));
        let elsewhere = Elsewhere::new(&Apps::new([app]));
        elsewhere.hear(&[(id.clone(), 5), (other.clone(), 7)]);
        assert_eq!((elsewhere.of(&id), elsewhere.of(&other)), (5, 0));
        elsewhere.hear(&[]);
        assert_eq!(elsewhere.of(&id), 0);
    }
}
