//! The text on a topic: `⟨epoch⟩:⟨serial⟩:⟨envelope⟩` for what has a position, `::⟨envelope⟩` for what has none.

use std::fmt;

use rand::RngExt as _;

/// The longest epoch, in characters.
const EPOCH_CHARS: usize = 16;
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// One life of a channel's serials: 1 to 16 characters of `0-9a-z`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Epoch {
    text: [u8; EPOCH_CHARS],
    chars: u8,
}

impl Epoch {
    /// Draws an epoch that nobody has had.
    pub(super) fn fresh() -> Self {
        let mut random = rand::rng();
        let text = std::array::from_fn(|_| {
            let index = random.random_range(0..ALPHABET.len());
            ALPHABET.get(index).copied().unwrap_or_default()
        });
        Self { text, chars: 16 }
    }

    /// Parses an epoch.
    pub(super) fn parse(epoch: &str) -> Option<Self> {
        let bytes = epoch.as_bytes();
        if bytes.is_empty() || !bytes.iter().all(|byte| ALPHABET.contains(byte)) {
            return None;
        }
        let mut text = [0; EPOCH_CHARS];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { text, chars: u8::try_from(bytes.len()).ok()? })
    }

    /// Returns it as text.
    pub(super) fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.chars)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Splits the text of a topic into position and envelope; `None` if it has neither form.
pub(super) fn split(text: &str) -> Option<(Option<(Epoch, u64)>, &str)> {
    if let Some(envelope) = text.strip_prefix("::") {
        return Some((None, envelope));
    }
    let (epoch, rest) = text.split_once(':')?;
    let (serial, envelope) = rest.split_once(':')?;
    let position = (Epoch::parse(epoch)?, serial.parse().ok().filter(|serial| *serial > 0)?);
    Some((Some(position), envelope))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn positions_are_split_off() {
        let epoch = Epoch::parse("k3f9").unwrap();
        assert_eq!(split("k3f9:41:{a:b}"), Some((Some((epoch, 41)), "{a:b}")));
        assert_eq!(split("::{}"), Some((None, "{}")));
        for bad in [
            "",
            "{}",
            ":",
            "k:0:{}",
            "k:-1:{}",
            "K:1:{}",
            ":1:{}",
            "k::{}",
            "k:1",
            "12345678901234567:1:x",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn fresh_epochs_are_well_formed_and_differ() {
        let (one, other) = (Epoch::fresh(), Epoch::fresh());
        assert_ne!(one, other);
        assert_eq!(Epoch::parse(one.as_str()), Some(one));
    }
}
