//! How the node talks to Redis: where it is, how a connection is opened, what its keys and scripts are.

mod keys;
mod link;
mod master;
mod options;
mod partition;
mod script;

pub(crate) use keys::{Keys, entry, read_entry};
pub use link::LinkError;
pub(crate) use link::{Link, config as connection_config, is_master, without_arguments};
pub use options::{Address, RedisOptions, Topology};
pub(crate) use partition::ByPartition;
pub use partition::Partition;
pub(crate) use script::{Lua, Scripts};
