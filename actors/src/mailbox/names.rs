//! What the messages of each kind of actor are called, the most frequent first.

/// What session actors are told.
pub(crate) const SESSION: Names = Names(&["tick", "refused"]);

/// What channels are told.
pub(crate) const CHANNEL: Names = Names(&[
    "publish",
    "whisper",
    "relayed",
    "join",
    "leave",
    "tell",
    "describe",
    "resend",
    "counted",
    "entered",
    "followed",
    "list_members",
    "watch",
    "unwatch",
    "terminate",
    "retire",
]);

/// What couriers are told.
pub(crate) const COURIER: Names =
    Names(&["deliver", "attach", "detach", "tell", "forget", "refuse", "dismiss", "dismiss_all"]);

/// What registries are told.
pub(crate) const REGISTRY: Names = Names(&["route", "channel_ended", "describe_all"]);

/// What those are told who have the users.
pub(crate) const USERS: Names = Names(&["enter", "exit", "seen", "look_again"]);

/// What a bridge is told.
pub(crate) const BRIDGE: Names = Names(&["relay", "follow", "unfollow"]);

/// What keepers and the router before them are told.
pub(crate) const KEEPER: Names = Names(&[
    "count",
    "enter",
    "leave",
    "vacate",
    "count_channel",
    "list_members",
    "list_occupied",
    "report_connections",
    "retire",
]);

/// The names of all messages that a kind of actor takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names(&'static [&'static str]);

impl Names {
    /// Returns the place of a name. To be asked in a constant: a name that is missing does not compile.
    #[expect(clippy::panic, reason = "while it is compiled")]
    pub(crate) const fn index(self, name: &str) -> usize {
        let (mut rest, mut index) = (self.0, 0);
        loop {
            let [first, others @ ..] = rest else {
                panic!("the list lacks this name");
            };
            if is_same(first.as_bytes(), name.as_bytes()) {
                return index;
            }
            (rest, index) = (others, index + 1);
        }
    }

    /// Returns all names in their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

/// Compares texts, which `==` does not do in a constant.
const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([first, rest @ ..], [of_other, rest_of_other @ ..]) = (one, other) {
        if *first != *of_other {
            return false;
        }
        (one, other) = (rest, rest_of_other);
    }
    one.is_empty() && other.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_where_it_stands() {
        for names in [SESSION, CHANNEL, COURIER, REGISTRY, USERS, BRIDGE, KEEPER] {
            for (index, name) in names.iter().enumerate() {
                assert_eq!(names.index(name), index, "{name}");
            }
        }
    }
}
