"""A topology with load on it: subscribers and publishers, and what all tests do with them."""

import asyncio
import contextlib
import json
import unittest
import urllib.request

from clients import ROOM, Publisher, Subscriber, faults, has_heard_all, signed, statuses, until
from topology import APP_ID

KINDS = ("open", "private", "cache")


class Scene(unittest.IsolatedAsyncioTestCase):
    """A test with clients of a topology."""

    def setUp(self):
        self.subscribers, self.publishers = [], []
        # of this test alone: cache channels remember
        self.channels = [f"{kind}-{self.id()}" for kind in KINDS]

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest's default, which complains of a busy machine

    async def asyncTearDown(self):
        for publisher in self.publishers:
            publisher.task.cancel()
        await asyncio.gather(*(publisher.task for publisher in self.publishers), return_exceptions=True)
        await asyncio.gather(*(subscriber.close() for subscriber in self.subscribers))

    async def connect(self, count, returns=True):
        """Adds subscribers of everything, one after the other, and waits until all are subscribed."""
        added = []
        for _ in range(count):
            number = len(self.subscribers)
            added.append(Subscriber(self.topology, number, (*self.channels, ROOM), returns))
            self.subscribers.append(added[-1])
            await until(f"{added[-1].user} to be subscribed", lambda: added[-1].is_subscribed)
        return added

    def publish(self, per_second):
        """Starts a publisher for each channel."""
        for number, channel in enumerate(self.channels):
            self.publishers.append(Publisher(self.topology, number, channel, per_second))

    def promised(self, since=0.0):
        """Returns how many events were promised after a moment."""
        return sum(t.is_promised and t.began > since for publisher in self.publishers for t in publisher.triggers)

    async def wait_promised(self, count):
        """Waits until each publisher has been promised so many more events."""
        for publisher in self.publishers:
            goal = len(publisher.triggers) + count
            await until(f"{count} events of {publisher.channel}", lambda: len(publisher.triggers) >= goal)

    async def wait_back(self, subscribers):
        """Waits until all are subscribed to everything."""
        for subscriber in subscribers:
            await until(f"{subscriber.user} to be back", lambda: subscriber.is_subscribed)

    async def settle(self, subscribers):
        """Ends the load, and waits until everybody has heard everything."""
        for publisher in self.publishers:
            await publisher.stop()
        for subscriber in subscribers:
            with contextlib.suppress(AssertionError):  # `faults` says what is missing
                await until("the last events", lambda: has_heard_all(subscriber, self.publishers))

    def check(self):
        """Compares what was promised with what was heard; prints what it is about."""
        lives = sum(len(subscriber.lives) for subscriber in self.subscribers)
        heard = sum(len(n) for s in self.subscribers for life in s.lives for n in life.heard.values())
        answers = dict(sorted(statuses(self.publishers).items()))
        print(f"\n  {self.id()}: {self.promised()} promised, {heard} heard on {lives} sockets; answers {answers}")
        self.assertEqual(faults(self.subscribers, self.publishers), [])
        self.assertEqual([subscriber.refusals for subscriber in self.subscribers if subscriber.refusals], [])

    def check_presence(self, present):
        """Everybody there, and the API, must know exactly who is there."""
        users = {subscriber.user for subscriber in present}
        for subscriber in present:
            self.assertEqual(subscriber.life.roster, users, subscriber.user)
        path = signed(self.topology.secret, "GET", f"/apps/{APP_ID}/channels/{ROOM}/users")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.topology.port}{path}", timeout=5) as answer:
            self.assertEqual({user["id"] for user in json.load(answer)["users"]}, users)

    async def wait_present(self, present):
        """Waits until everybody knows of everybody, and checks that the API does."""
        users = {subscriber.user for subscriber in present}
        await until("all rosters to be whole", lambda: all(s.life.roster == users for s in present))
        self.check_presence(present)
