//! Bytes that were read from a socket and not yet taken.

/// The part of a read buffer that the reader has not taken yet.
#[derive(Debug)]
pub struct Input<'i> {
    bytes: &'i mut [u8],
}

impl<'i> Input<'i> {
    /// Takes the filled part of a read buffer. It is overwritten by unmasking.
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { bytes }
    }

    /// Returns what is not yet taken.
    pub fn left(&self) -> &[u8] {
        self.bytes
    }

    /// Cuts at most `count` bytes off the front.
    pub(super) fn take(&mut self, count: usize) -> &'i mut [u8] {
        let whole = std::mem::take(&mut self.bytes);
        let (front, rest) = whole.split_at_mut(count.min(whole.len()));
        self.bytes = rest;
        front
    }
}
