//! MicroNotifier: a Pusher-compatible realtime node made of actors.

pub mod cli;
mod commands;
pub mod config;
pub mod logging;
pub mod settings;
pub mod visible;
