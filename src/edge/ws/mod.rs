//! WebSocket: the opening handshake, the frames of clients, and the sessions behind them.

pub mod admission;
pub mod control;
pub mod frame;
pub mod handshake;
mod pump;
pub mod refusals;
mod session;
pub mod stream;
pub(crate) mod upgrade;
