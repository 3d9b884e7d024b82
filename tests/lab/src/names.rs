//! The channels of a run: their names by number. They stand in `run.json` for the checker.

use serde::{Deserialize, Serialize};

/// All channels of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Names {
    /// Names by number.
    pub channels: Vec<String>,
}

impl Names {
    /// Adds channels `⟨start⟩0`, `⟨start⟩1`, …; returns their numbers.
    pub fn add(&mut self, start: &str, count: u32) -> Vec<u32> {
        let first = self.channels.len();
        self.channels.extend((0..count).map(|number| format!("{start}{number}")));
        (first..self.channels.len()).filter_map(|number| u32::try_from(number).ok()).collect()
    }

    /// Returns the name of a channel.
    pub fn of(&self, channel: u32) -> &str {
        let index = usize::try_from(channel).unwrap_or(usize::MAX);
        self.channels.get(index).map_or("", String::as_str)
    }

    /// Returns the number of a channel.
    pub fn number(&self, name: &str) -> Option<u32> {
        let index = self.channels.iter().position(|channel| channel == name)?;
        u32::try_from(index).ok()
    }

    /// Tells whether a channel is one of those that were added with this start.
    pub fn is(&self, channel: u32, start: &str) -> bool {
        self.of(channel).starts_with(start)
    }
}
