//! How many connections applications have on the other nodes: set by the membership, read at every upgrade.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::config::Apps;
use crate::protocol::AppId;

/// See the module. A few seconds old; what it was last stays while the broker is away.
#[derive(Debug)]
pub(crate) struct Elsewhere(HashMap<AppId, Count>);

#[derive(Debug, Default)]
struct Count {
    /// What this node has told of itself.
    told: AtomicU64,
    elsewhere: AtomicU64,
}

impl Elsewhere {
    pub(crate) fn new(apps: &Apps) -> Self {
        Self(apps.iter().map(|app| (app.id.clone(), Count::default())).collect())
    }

    /// Notes what this node tells of itself.
    pub(crate) fn tell(&self, connections: &[(AppId, u64)]) {
        for (app, connections) in connections {
            if let Some(count) = self.0.get(app) {
                count.told.store(*connections, Ordering::Relaxed);
            }
        }
    }

    /// Takes the connections of all nodes, this one's included as it told them last.
    pub(crate) fn hear(&self, all: &[(AppId, u64)]) {
        let all: HashMap<&AppId, u64> = all.iter().map(|(app, count)| (app, *count)).collect();
        for (app, count) in &self.0 {
            let all = all.get(app).copied().unwrap_or_default();
            let elsewhere = all.saturating_sub(count.told.load(Ordering::Relaxed));
            count.elsewhere.store(elsewhere, Ordering::Relaxed);
        }
    }

    /// Returns how many there are on the other nodes.
    pub(crate) fn of(&self, app: &AppId) -> u64 {
        self.0.get(app).map_or(0, |count| count.elsewhere.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::App;
    use crate::protocol::sign::Credential;

    #[test]
    fn what_this_node_told_is_not_elsewhere() {
        let app = App::new("a", Credential::new("k", "s"));
        let (id, other) = (app.id.clone(), AppId::new("b"));
        let elsewhere = Elsewhere::new(&Apps::new([app]));
        elsewhere.tell(&[(id.clone(), 3), (other.clone(), 1)]);
        elsewhere.hear(&[(id.clone(), 5), (other.clone(), 7)]);
        assert_eq!((elsewhere.of(&id), elsewhere.of(&other)), (2, 0));
        elsewhere.hear(&[]);
        assert_eq!(elsewhere.of(&id), 0);
    }
}
