//! WebSocket: the opening handshake, the reader of client frames, the writers of control frames.

pub mod control;
pub mod frame;
pub mod handshake;
