//! What is said to the server to send something, and what its answer means.

use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::office::Office;
use super::publisher::{Event, Work, answer};
use super::topic::Epoch;
use crate::bridge::{BridgeError, Once};

/// How long the position of a silent channel is kept. After it a new epoch begins.
const META: Duration = Duration::from_hours(1);
/// How long the server knows what it published of a request that may come again.
const REPEATS: Duration = Duration::from_mins(2);

impl Office {
    /// Builds the command that sends something.
    pub(super) fn command(&self, what: &Work) -> Cmd {
        let event = match what {
            Work::Event(event) => event,
            Work::Probe { topic, text } => {
                let mut command = redis::cmd(self.partition.publish());
                command.arg(topic).arg(text);
                return command;
            }
        };
        let topic = self.keys.topic(&event.key);
        if !event.is_sequenced {
            let mut command = redis::cmd(self.partition.publish());
            command.arg(topic).arg(format!("::{}", event.envelope));
            return command;
        }
        let [meta, history, cached] = [
            self.keys.meta(&event.key),
            self.keys.history(&event.key),
            self.keys.cached(&event.key),
        ];
        let publish = &self.link.scripts().publish;
        let mut command = match &event.once {
            None => publish.call(&[meta, history, cached]),
            Some(Once { request, .. }) => {
                let repeats = self.keys.repeats(&event.key, &request.key);
                publish.call(&[meta, history, cached, repeats])
            }
        };
        command
            .arg(topic)
            .arg(&event.envelope)
            .arg(self.repair_events)
            .arg(millis(self.repair_wait))
            .arg(millis(META))
            .arg(Epoch::fresh().as_str())
            .arg(event.remember.map_or(0, millis));
        if let Some(Once { request, place }) = &event.once {
            command.arg(&request.request[..]).arg(*place).arg(millis(REPEATS));
        }
        command
    }

    /// Counts and answers what the server did with an event.
    pub(super) fn confirm(&self, event: Event, told: &Value) {
        let (counter, result) = match told {
            Value::SimpleString(word) if word == "REPEATED" => (&self.watch.repeated, Ok(())),
            Value::SimpleString(word) if word == "DIFFERENT" => {
                (&self.watch.refused, Err(BridgeError::Different))
            }
            _ => (&self.watch.taken, Ok(())),
        };
        counter.add(1);
        answer(event, result);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Tells what is known of an event that was not confirmed.
pub(super) fn verdict(error: &RedisError) -> BridgeError {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => BridgeError::TimedOut,
        _ => BridgeError::Refused,
    }
}

/// Tells whether this server will take no event, such as a master that has become a replica.
pub(super) fn is_useless(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::Moved
                | ServerErrorKind::ClusterDown
        )
    )
}
