"""A rolling change under load: every node is stopped and replaced by one of another release, and then back again."""

import asyncio
import hashlib
import json
import os
import time
import unittest

from clients import sign, until
from scene import Scene
from topology import APP_ID, BINARY, NODES, Topology

PREVIOUS = os.environ.get("MICRONOTIFIER_PREVIOUS_BIN")
# Causes of dropped messages that say that one release did not understand the other
MISUNDERSTANDINGS = ("too_large", "malformed", "version", "forged", "misplaced")


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Rolling:
    """The tests of any proxy."""

    proxy = None

    @classmethod
    def setUpClass(cls):
        if not PREVIOUS:
            raise AssertionError("MICRONOTIFIER_PREVIOUS_BIN names no binary of another release")
        cls.topology = cls.enterClassContext(Topology(cls.proxy, PREVIOUS))

    async def test_nothing_that_was_promised_is_lost(self):
        self.assertNotEqual(hash_of(PREVIOUS), hash_of(BINARY), "both releases are the same file")
        self.excused = []  # when nodes of the release before were stopped: how they end cannot be mended any more
        everybody = await self.connect(12)
        self.publish(per_second=25)
        await self.wait_promised(10)
        for old, new in ((PREVIOUS, BINARY), (BINARY, PREVIOUS)):
            for name in NODES:
                began = time.monotonic()
                await self.replace(name, new)
                if old == PREVIOUS:
                    self.excused.append((began, time.monotonic()))
                await self.wait_back(everybody)
                await self.wait_promised(10)
                await self.tell_something_new(everybody)
        await self.settle(everybody)
        await self.wait_present(everybody)
        self.check()
        for name in NODES:
            self.check_understood(name)
        triggers = [trigger for publisher in self.publishers for trigger in publisher.triggers]
        refused = [t for t in triggers if not t.is_promised and not any(start < t.began < end for start, end in self.excused)]
        self.assertEqual(refused, [], "neither try was taken")

    async def tell_something_new(self, everybody):
        """Says what a later release might say, with a field and of a kind that nobody knows yet: it is heard, and passed over."""
        before = {subscriber: subscriber.life.news for subscriber in everybody}
        for kind in ("foreseen", "published"):
            envelope = {"v": 1, "n": "later", "k": kind, "a": APP_ID, "c": self.channels[0], "e": "news", "d": "{}", "later": [{}]}
            text = json.dumps(envelope, separators=(",", ":"))
            mac = sign(self.topology.cluster_secret, text)
            topic = f"mn:{{0}}:t:{len(APP_ID)}:{APP_ID}:{self.channels[0]}"
            nodes = await asyncio.to_thread(self.topology.redis, "PUBLISH", topic, f'::{text[:-1]},"mac":"{mac}"}}')
            self.assertEqual(nodes, "3", "nodes that follow the channel")
        for subscriber, count in before.items():
            await until(f"{subscriber.user} to hear the news", lambda: subscriber.life.news == count + 1)

    async def replace(self, name, binary):
        """Stops a node and starts the other release in its place."""
        self.check_understood(name)
        code = await asyncio.to_thread(self.topology.end, name)
        self.assertEqual(code, 0, f"{name} on SIGTERM")
        self.topology.start(name, binary)
        await asyncio.to_thread(self.topology.wait_ready, name)

    def check_understood(self, name):
        """What the node has dropped must not be for what the others said."""
        dropped = self.topology.metric(name, "micronotifier_bridge_messages_dropped_total")
        for cause in MISUNDERSTANDINGS:
            self.assertEqual(dropped[f'{{cause="{cause}"}}'], 0, f"{name}: {cause}")


class BehindNginx(Rolling, Scene):
    proxy = "nginx"


class BehindHaproxy(Rolling, Scene):
    proxy = "haproxy"


if __name__ == "__main__":
    unittest.main()
