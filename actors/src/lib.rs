//! The actor system of MicroNotifier: sessions, channels, couriers and the registry behind a
//! Pusher-compatible node. It knows no HTTP and no sockets; whoever embeds it brings those.
//!
//! # The way of an event
//!
//! ```text
//! NodeHandle::publish ─► Registry ─► channel ─► Courier ─► Outbox ─► Wire
//!  reserves a place      finds the    encodes    one for    what      the
//!  or says Busy          channel      once       a worker   waits     socket
//! ```
//!
//! A connection is a [`session::Session`], which holds its rules and does no IO, and an [`Outbox`], which
//! holds what waits for it. The transport around them gives messages to the session, carries its effects
//! out through the [`Worker`], and implements [`Wire`]. What a channel answers comes by the same way as
//! its events, so nothing overtakes it.
//!
//! # Mailboxes and queues
//!
//! Mailboxes have no capacity of their own: a place is reserved before work is posted, and travels with
//! it until the last actor is done.
//!
//! | Queue | Bound | When full |
//! |---|---|---|
//! | events of one registry shard | [`limits::NodeLimits::events_in_flight`] | [`NodeError::Busy`] |
//! | joins, sign-ins and questions of one shard | [`limits::NodeLimits::commands_in_flight`] | [`NodeError::Busy`] |
//! | leaves and sign-outs | one for each live subscription or connection | cannot be |
//! | commands of one connection without an answer | [`limits::NodeLimits::commands_per_connection`] | its transport reads no further |
//! | a session's mailbox | one tick, one answer for each command | cannot be |
//! | data for one socket | [`limits::NodeLimits::outbox_bytes`] and [`limits::NodeLimits::outbox_wait`] | the connection is closed (4100) |
//! | control frames for one socket | 16 | the newest gives way |
//! | joins that wait for the bridge | [`limits::NodeLimits::join`] | the subscription is refused |
//! | what the bridge has emitted | 4,096 events | the bridge reads no further |
//! | what one onlooker of the [`tap`] has not read | 1,024 entries, 1 MiB | the onlooker misses it, and is told how much |
//!
//! # Who asks whom
//!
//! The transport asks the [`NodeHandle`], which asks registries and channels. Actors tell each other and
//! wait for nobody. A [`Desk`] and what is on it never leave their thread.
//!
//! # A node in fifteen lines
//!
//! ```
//! use micronotifier_actors::config::{App, Apps, NodeConfig};
//! use micronotifier_actors::protocol::sign::Credential;
//! use micronotifier_actors::protocol::{ChannelName, EventName};
//! use micronotifier_actors::{Node, Publication};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! actix_rt::System::new().block_on(async {
//!     let app = App::new("1", Credential::new("key", "secret"));
//!     let node = Node::start(NodeConfig::new(Apps::new([app]))).handle();
//!     let _worker = node.attach_worker()?; // once on each worker thread; sessions live on it
//!     let app = node.apps().by_id("1").cloned().ok_or("no such application")?;
//!     let channel = ChannelName::parse("cache-news", 164)?;
//!     let event = EventName::parse("headline", 200)?;
//!     let data = r#"{"text":"hello"}"#.into();
//!     let publication = Publication { channel: channel.clone(), event, data, except: None };
//!     node.publish(&app, vec![publication], None).await?;
//!     let facts = node.describe(&app, channel).await?;
//!     assert_eq!(facts.cached.ok_or("not cached")?.data, r#"{"text":"hello"}"#);
//!     Ok(())
//! })
//! # }
//! ```

pub mod bridge;
mod channel;
pub mod clock;
pub mod config;
mod courier;
mod crew;
mod desk;
mod door;
mod errand;
mod facts;
mod later;
mod lifeline;
pub mod limits;
pub mod mailbox;
pub mod membership;
pub mod metrics;
mod node;
mod outbox;
pub mod protocol;
pub mod redis;
mod registry;
mod seat;
pub mod session;
mod shared;
pub mod tap;
mod users;
mod worker;

pub use channel::Member;
pub use desk::Desk;
pub use door::Usage;
pub use facts::{CachedEvent, ChannelFacts, Listed, NodeError, Publication, Repeatable};
pub use node::{Node, NodeHandle};
pub use outbox::{Ending, Outbox, Wire};
pub use seat::{Notice, Seat};
pub use worker::Worker;
