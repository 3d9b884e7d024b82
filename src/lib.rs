//! MicroNotifier: a Pusher-compatible realtime node made of actors.

pub mod cli;
mod commands;
pub mod config;
#[doc(hidden)]
pub mod edge;
mod listener;
pub mod logging;
mod server;
mod serving;
pub mod settings;
mod timed;
mod tls;
pub mod visible;
mod welcome;

pub use server::{RunningServer, ServeError, Unbound, run, serve, serve_with};
pub use tls::TlsError;
