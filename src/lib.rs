//! MicroNotifier: a Pusher-compatible realtime node made of actors.

pub mod config;
pub mod edge;
