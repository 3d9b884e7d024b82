//! The HTTP and WebSocket edge of a node.

pub mod ws;
