//! MicroNotifier: a Pusher-compatible realtime node made of actors.

pub mod config;
#[doc(hidden)]
pub mod edge;
