//! The rules of one connection.

pub mod effect;
