//! The channels of a run: their names by number. They stand in `run.json` for the checker.

use serde::{Deserialize, Serialize};

/// All channels of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    /// Names by number.
    pub(crate) channels: Vec<String>,
}

impl Names {
    /// Adds channels `⟨start⟩0`, `⟨start⟩1`, …; returns their numbers.
    pub(crate) fn add(&mut self, start: &str, count: u32) -> Vec<u32> {
        let first = self.channels.len();
        self.channels.extend((0..count).map(|number| format!("{start}{number}")));
        (first..self.channels.len()).filter_map(|number| u32::try_from(number).ok()).collect()
    }

    /// Returns the name of a channel.
    pub(crate) fn of(&self, channel: u32) -> &str {
        let index = usize::try_from(channel).unwrap_or(usize::MAX);
        self.channels.get(index).map_or("", String::as_str)
    }

    /// Tells whether a channel is one of those that were added with this start.
    pub(crate) fn is(&self, channel: u32, start: &str) -> bool {
        self.of(channel).starts_with(start)
    }
}
