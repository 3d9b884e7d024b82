//! The Pusher protocol as values: names, frames, signatures. Pure: no actor, no clock, no socket.

pub mod code;
pub mod frame;
pub mod kind;
pub mod message;
pub mod name;
pub mod sign;

pub use code::ErrorCode;
pub use frame::Frame;
pub use kind::ChannelKind;
pub use name::{AppId, ChannelKey, ChannelName, EventName, NameError, SocketId, UserId};
