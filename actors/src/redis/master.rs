//! Where the master is: said by the configuration, by a Sentinel, or by a node of a cluster.

use std::sync::atomic::Ordering;

use redis::{ProtocolVersion, RedisConnectionInfo, RedisResult, Value, from_redis_value};

use super::link::{Link, LinkError, ask, config};
use super::options::{Address, Topology};

impl Link {
    /// Returns where the partition's master is now: asks one address after the other, until one says it.
    pub(super) async fn master(&self) -> Result<Address, LinkError> {
        let addresses = &self.options.addresses;
        let first = self.turn.load(Ordering::Relaxed).checked_rem(addresses.len()).unwrap_or(0);
        let mut last =
            LinkError::Refused { place: "?".to_owned(), cause: "no address is given".to_owned() };
        for address in addresses.iter().cycle().skip(first).take(addresses.len()) {
            let answer = match &self.options.topology {
                Topology::Single => Ok(address.clone()),
                Topology::Sentinel { master } => self.ask_sentinel(address, master).await,
                Topology::Cluster => self.ask_cluster_node(address).await,
            };
            match answer {
                Ok(master) => return Ok(master),
                Err(error) => {
                    // at once: whoever asks may give up before all have been asked
                    self.ask_another_first();
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Has another address asked first from now on.
    pub(super) fn ask_another_first(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    // --- Sentinel ---

    async fn ask_sentinel(&self, sentinel: &Address, master: &str) -> Result<Address, LinkError> {
        // a Sentinel has a password of its own or none: ours is tried where none is not enough
        let mut answer = self.master_of(sentinel, bare(), master).await;
        if matches!(answer, Err(LinkError::Refused { .. })) && !self.options.password.is_empty() {
            answer = self.master_of(sentinel, self.authenticated(bare()), master).await;
        }
        answer
    }

    async fn master_of(
        &self,
        sentinel: &Address,
        info: RedisConnectionInfo,
        master: &str,
    ) -> Result<Address, LinkError> {
        let mut connection = self.connect(sentinel, info, &config()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(master);
        let known: Option<(String, u16)> = ask(sentinel, &mut connection, &command).await?;
        known.map(|(host, port)| Address { host, port }).ok_or_else(|| LinkError::Refused {
            place: sentinel.to_string(),
            cause: format!("this Sentinel knows no master {master:?}"),
        })
    }

    // --- cluster ---

    async fn ask_cluster_node(&self, node: &Address) -> Result<Address, LinkError> {
        let mut connection = self.connect(node, self.authenticated(bare()), &config()).await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots = ask(node, &mut connection, &command).await.map_err(|error| match error {
            LinkError::Refused { place, cause } if cause.contains("cluster support disabled") => {
                let cause = "it is no node of a Redis Cluster, and redis.cluster is true";
                LinkError::Refused { place, cause: cause.to_owned() }
            }
            error => error,
        })?;
        let slot = self.partition.slot();
        let away = |cause| LinkError::Away { place: node.to_string(), cause };
        let known = master_of_slot(slots, slot);
        let (host, port) = known
            .map_err(|_| away("it does not say where slots are".to_owned()))?
            .ok_or_else(|| away(format!("it knows no master of slot {slot}")))?;
        // a node that does not know its own host is where it was found
        Ok(Address { host: host.unwrap_or_else(|| node.host.clone()), port })
    }
}

/// Returns how to greet who only knows where the master is.
fn bare() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name()
}

/// Reads host and port of a slot's master from what `CLUSTER SLOTS` answers: lists of first slot, last
/// slot, and nodes, the master first; each node has host and port first.
fn master_of_slot(slots: Value, slot: usize) -> RedisResult<Option<(Option<String>, u16)>> {
    for range in from_redis_value::<Vec<Vec<Value>>>(slots)? {
        let mut range = range.into_iter();
        let mut next = || range.next().unwrap_or(Value::Nil);
        let (first, last): (usize, usize) = (from_redis_value(next())?, from_redis_value(next())?);
        if (first..=last).contains(&slot) {
            let mut master = from_redis_value::<Vec<Value>>(next())?.into_iter();
            let mut next = || master.next().unwrap_or(Value::Nil);
            let host: Option<String> = from_redis_value(next())?;
            let host = host.filter(|host| !host.is_empty() && host != "?");
            return Ok(Some((host, from_redis_value(next())?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use std::net::TcpListener;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;
    use crate::redis::{Partition, RedisOptions};

    /// Makes a link to servers that take connections and never say a word.
    fn silent(topology: Topology, servers: &[TcpListener]) -> Link {
        let address = |server: &TcpListener| {
            let at = server.local_addr().unwrap();
            Address { host: at.ip().to_string(), port: at.port() }
        };
        let addresses: Vec<_> = servers.iter().map(address).collect();
        let options = RedisOptions::single(address(&servers[0]));
        Link::new(RedisOptions { addresses, topology, ..options }, Partition::WHOLE)
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_for_silent_servers_comes_to_the_others_all_the_same() {
        let servers = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let link = silent(Topology::Sentinel { master: "m".to_owned() }, &servers);
        let patience = Duration::from_millis(1500);
        for _ in 0..3 {
            assert!(!matches!(timeout(patience, link.open(|_| Ok::<(), ()>(()))).await, Ok(Ok(_))));
        }
        servers[2].set_nonblocking(true).unwrap();
        assert!(servers[2].accept().is_ok(), "the third was never asked");
    }

    #[tokio::test]
    async fn another_one_is_asked_each_time_that_the_master_is_looked_for() {
        let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        // where nobody needs to be asked, who would be shows
        let link = silent(Topology::Single, &servers);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(link.locate().await.unwrap().addr().to_string());
        }
        assert_ne!(places[0], places[1]);
        assert_eq!(places[0], places[2]);
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let (master, replica) = (node(host, 7000), node(text("replica"), 7001));
        Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
    }

    #[test]
    fn the_master_of_a_slot_is_the_first_of_its_range() {
        let slots = || {
            Value::Array(vec![
                range(0, 99, text("a")),
                range(100, 100, text("")),
                range(200, 300, Value::Nil),
            ])
        };
        let master = |slot| master_of_slot(slots(), slot).unwrap();
        assert_eq!(master(99), Some((Some("a".to_owned()), 7000)));
        assert_eq!(master(100), Some((None, 7000)));
        assert_eq!(master(300), Some((None, 7000)));
        assert_eq!(master(150), None);
        assert_eq!(master_of_slot(Value::Array(Vec::new()), 1).unwrap(), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            (-1..2_i64).prop_map(Value::Int),
            any::<i64>().prop_map(Value::Int),
            ".{0,4}".prop_map(|made| text(&made)),
        ];
        leaf.prop_recursive(3, 32, 10, |inner| {
            prop::collection::vec(inner, 0..5).prop_map(Value::Array)
        })
    }

    proptest! {
        /// Whatever a hostile node answers, it is read or refused.
        #[test]
        fn any_answer_is_read_or_refused(answer in any_value()) {
            master_of_slot(answer, 0).ok();
        }
    }
}
