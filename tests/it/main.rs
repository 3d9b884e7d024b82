//! The node as clients and backends see it: whole servers, real sockets, exact frames.
//!
//! Numbers in test names are those of the conformance checks in protocol section 12 and of the attacks in section 13.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    reason = "a test may stop, and reads better when it says plainly what it wants"
)]

mod admin;
mod admission;
mod api;
mod api_auth;
mod api_channels;
mod attack_auth;
mod attack_http;
mod attack_json;
mod attack_logs;
mod attack_origin;
mod attack_smuggling;
mod attack_supply;
mod attack_websocket;
mod cache;
mod compatibility;
mod counts;
mod encrypted;
mod endpoint;
mod listen;
mod liveness;
mod logs;
mod presence;
mod recount;
mod slow_consumer;
mod start;
mod subscribe;
mod support;
mod tap;
mod two_nodes;
mod users;
mod watching;
mod watchlist;
mod whisper;
