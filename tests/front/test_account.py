"""The account itself: it must find what is planted, or all else here would prove nothing."""

import types
import unittest

from clients import Life, Trigger, faults


def publisher(*statuses):
    """Events a second apart, the first at 1, with what their tries were answered."""
    triggers = [Trigger(began=1 + n, statuses=list(tries)) for n, tries in enumerate(statuses)]
    return types.SimpleNamespace(channel="channel", triggers=triggers)


def subscriber(heard, since=0, ended=None):
    life = Life(since={"channel": since}, heard={"channel": heard}, ended=ended)
    return types.SimpleNamespace(user="user", lives=[life])


class Account(unittest.TestCase):
    def found(self, *heard_by, statuses=((200,), (200,), (200,))):
        return [fault.split(": ")[1] for fault in faults(heard_by, [publisher(*statuses)])]

    def test_nothing_where_nothing_is_wrong(self):
        self.assertEqual(self.found(subscriber([0, 1, 2])), [])

    def test_what_is_lost(self):
        self.assertEqual(self.found(subscriber([0, 2])), ["lost [1]"])
        self.assertEqual(self.found(subscriber([0, 1])), ["lost [2]"])

    def test_of_a_broken_socket_the_end_may_be_missing_and_no_more(self):
        self.assertEqual(self.found(subscriber([0, 1], ended=9)), [])
        self.assertEqual(self.found(subscriber([0, 2], ended=9)), ["lost [1]"])

    def test_what_began_before_the_subscription_is_not_owed(self):
        self.assertEqual(self.found(subscriber([2], since=2.5)), [])
        self.assertEqual(self.found(subscriber([2], since=1.5)), ["lost [1]"])

    def test_what_was_refused_is_not_owed_and_may_come(self):
        statuses = ((200,), (503, 503), (200,))
        self.assertEqual(self.found(subscriber([0, 2]), subscriber([0, 1, 2]), statuses=statuses), [])

    def test_what_comes_twice_or_out_of_order(self):
        self.assertEqual(self.found(subscriber([0, 1, 1, 2])), ["twice [1]"])
        self.assertEqual(self.found(subscriber([0, 2, 1])), ["out of order [0, 2, 1]"])

    def test_twice_is_twice_where_a_try_was_not_answered_too(self):
        self.assertEqual(self.found(subscriber([0, 1, 1, 2]), statuses=((200,), (502, 200), (200,))), ["twice [1]"])


if __name__ == "__main__":
    unittest.main()
