//! Reads what the scripts answer. Pure; whatever is not of the expected form is an error.

use redis::{FromRedisValue, RedisError, RedisResult, Value, from_redis_value};

use crate::channel::Member;
use crate::membership::{Counts, Position, Roster};

/// What a script that writes has to say first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<Done> {
    /// It was done.
    Done(Done),
    /// There are as many users as may be.
    Full,
    /// The incarnation may not write any more: it was declared dead, or Redis has lost it.
    Gone,
    /// The connection has a younger one beside it, or the node that was to be dead lives.
    Refused,
}

/// How something turned by a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It did not.
    Stayed,
    /// A channel was occupied, a user came.
    Came,
    /// A channel was vacated, a user went.
    Went,
}

/// A user's connections were set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MemberSet {
    pub(super) occupancy: Turn,
    pub(super) user: Turn,
    /// Without members unless they were asked for.
    pub(super) roster: Roster,
}

/// A node's subscriptions were set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CountSet {
    pub(super) occupancy: Turn,
    pub(super) counts: Counts,
}

/// A lease was renewed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Renewed {
    /// Which run of which server it was.
    pub(super) run: String,
    pub(super) connections: Vec<(String, u64)>,
}

/// Dead nodes were looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Swept {
    /// When, in milliseconds by the clock of Redis.
    pub(super) at: u64,
    /// How many were declared dead.
    pub(super) declared: u64,
    /// The one that is to be cleared.
    pub(super) claimed: Option<String>,
}

/// Reads the answer of `lua/member.lua`.
pub(super) fn member_set(answer: Value) -> RedisResult<Answer<MemberSet>> {
    done(answer, |mut parts| {
        let occupancy = parts.turn()?;
        let user = parts.turn()?;
        Ok(MemberSet { occupancy, user, roster: parts.roster()? })
    })
}

/// Reads the answer of `lua/count.lua`.
pub(super) fn count_set(answer: Value) -> RedisResult<Answer<CountSet>> {
    done(answer, |mut parts| {
        let occupancy = parts.turn()?;
        Ok(CountSet { occupancy, counts: parts.counts()? })
    })
}

/// Reads the answer of `lua/renew.lua`.
pub(super) fn renewed(answer: Value) -> RedisResult<Answer<Renewed>> {
    done(answer, |mut parts| Ok(Renewed { run: parts.next()?, connections: parts.next()? }))
}

/// Reads the answer of `lua/sweep.lua`.
pub(super) fn swept(answer: Value) -> RedisResult<Swept> {
    let mut parts = Parts(from_redis_value::<Vec<Value>>(answer)?.into_iter());
    let (at, declared) = (parts.next()?, parts.next()?);
    Ok(Swept { at, declared, claimed: parts.0.next().map(from_redis_value).transpose()? })
}

/// Reads the answer of `lua/roster.lua`.
pub(super) fn roster(answer: Value) -> RedisResult<Roster> {
    match done(answer, |mut parts| parts.roster())? {
        Answer::Done(roster) => Ok(roster),
        _ => Err(malformed()),
    }
}

/// Reads members. A user whom no node of ours can have written is left out.
fn members(answer: Value) -> RedisResult<Vec<Member>> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(answer)?;
    let member = |(user, info): (Vec<u8>, Vec<u8>)| {
        Member::parse(std::str::from_utf8(&user).ok()?, std::str::from_utf8(&info).ok()?)
    };
    Ok(rows.into_iter().filter_map(member).collect())
}

struct Parts(std::vec::IntoIter<Value>);

impl Parts {
    fn next<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        Ok(from_redis_value(self.0.next().ok_or_else(malformed)?)?)
    }

    fn counts(&mut self) -> RedisResult<Counts> {
        Ok(Counts { subscriptions: self.next()?, users: self.next()?, at: self.next()? })
    }

    fn roster(&mut self) -> RedisResult<Roster> {
        let counts = self.counts()?;
        let epoch: String = self.next()?;
        let position = Position { epoch: epoch.into(), serial: self.next()? };
        Ok(Roster { position, members: members(self.next()?)?, counts })
    }

    fn turn(&mut self) -> RedisResult<Turn> {
        match self.next()? {
            0 => Ok(Turn::Stayed),
            1 => Ok(Turn::Came),
            -1 => Ok(Turn::Went),
            _ => Err(malformed()),
        }
    }
}

fn done<T>(answer: Value, read: impl FnOnce(Parts) -> RedisResult<T>) -> RedisResult<Answer<T>> {
    let mut parts = Parts(from_redis_value::<Vec<Value>>(answer)?.into_iter());
    match parts.next::<String>()?.as_str() {
        "ok" => Ok(Answer::Done(read(parts)?)),
        "full" => Ok(Answer::Full),
        "gone" => Ok(Answer::Gone),
        "stale" | "alive" => Ok(Answer::Refused),
        _ => Err(malformed()),
    }
}

fn malformed() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "a script answered in an unknown form").into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::UserId;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_is_read_whole() {
        let odd = || Value::BulkString(vec![0xff]);
        let strange = [text(""), text("{}"), odd(), text("{}"), text("u"), odd()];
        let roster = Value::Array([text("é|:"), text("{}")].into_iter().chain(strange).collect());
        let parts = [1, 1, 3, 2, 1_700_000_000_000_000].map(Value::Int);
        let mut answer = vec![text("ok")];
        answer.extend(parts);
        answer.extend([text("e1"), Value::Int(7), roster]);
        let expected = MemberSet {
            occupancy: Turn::Came,
            user: Turn::Came,
            roster: Roster {
                counts: Counts { subscriptions: 3, users: 2, at: 1_700_000_000_000_000 },
                position: Position { epoch: "e1".into(), serial: 7 },
                members: vec![Member { user: UserId::member("é|:").unwrap(), info: "{}".into() }],
            },
        };
        assert_eq!(member_set(Value::Array(answer.clone())).unwrap(), Answer::Done(expected));
        for length in 0..answer.len() {
            assert!(
                member_set(Value::Array(answer.iter().take(length).cloned().collect())).is_err()
            );
        }
        for (word, expected) in [
            ("gone", Answer::Gone),
            ("full", Answer::Full),
            ("stale", Answer::Refused),
            ("alive", Answer::Refused),
        ] {
            assert_eq!(count_set(Value::Array(vec![text(word)])).unwrap(), expected);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            ".{0,4}".prop_map(|made| text(&made)),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::BulkString),
            Just(text("ok")),
        ];
        leaf.prop_recursive(3, 32, 10, |inner| {
            prop::collection::vec(inner, 0..10).prop_map(Value::Array)
        })
    }

    proptest! {
        /// Whatever a hostile Redis answers, it is read or refused.
        #[test]
        fn any_answer_is_read_or_refused(answer in any_value()) {
            member_set(answer.clone()).ok();
            count_set(answer.clone()).ok();
            renewed(answer.clone()).ok();
            swept(answer.clone()).ok();
            roster(answer).ok();
        }
    }
}
