"""Three nodes behind nginx and behind haproxy: everybody hears everything, and a node may be killed."""

import asyncio
import secrets
import signal
import time
import unittest

from clients import Backend, statuses, until
from scene import Scene
from topology import NODES, Topology, free_ports

KILLED = NODES[1]
GONE_SECONDS = 10


class ThreeNodes:
    """The tests of any proxy."""

    proxy = None

    @classmethod
    def setUpClass(cls):
        cls.topology = cls.enterClassContext(Topology(cls.proxy))

    async def test_what_is_triggered_anywhere_is_heard_everywhere(self):
        everybody = await self.connect(9)
        counts = self.topology.connections()
        self.assertTrue(all(counts.values()), f"sockets on some nodes only: {counts}")
        self.publish(per_second=50)
        await self.wait_promised(40)
        await self.settle(everybody)
        await self.wait_present(everybody)
        self.check()
        self.assertEqual(set(statuses(self.publishers)), {200})
        taken = [self.topology.metric(name, "micronotifier_bridge_events_taken_total")[""] for name in NODES]
        self.assertTrue(all(taken), f"triggers went by way of some nodes only: {taken}")

    async def test_a_request_repeated_with_its_key_is_carried_out_once(self):
        asked = await self.repeat([Backend(self.topology, number) for number in range(3)])
        self.assertEqual(asked, [0, 0, 0], "the proxy finds the node that knows the answer")

    async def test_a_request_repeated_on_other_nodes_is_carried_out_once(self):
        asked = await self.repeat([Backend(self.topology, number, self.topology.ports[name]) for number, name in enumerate(NODES)])
        self.assertEqual(asked, [0, 30, 30])

    async def repeat(self, backends):
        """Sends 30 requests by way of every backend, which must be heard once; returns how many each node found in Redis."""
        found = lambda: [self.topology.metric(name, "micronotifier_bridge_events_repeated_total")[""] for name in NODES]
        before = found()
        (subscriber,) = await self.connect(1)
        channel = self.channels[0]
        numbers = list(range(30))
        for number in numbers:
            key = secrets.token_hex(16)
            answers = [await backend.trigger(channel, number, key) for backend in backends]
            self.assertEqual(answers, [200, 200, 200])
        await until("the last event", lambda: numbers[-1] in subscriber.life.heard[channel])
        self.assertEqual(subscriber.life.heard[channel], numbers)
        for backend in backends:
            backend.close()
        return [now - then for now, then in zip(found(), before)]

    async def test_a_node_is_killed_and_comes_back(self):
        stay = await self.connect(9)
        leave = await self.connect(6, returns=False)
        self.publish(per_second=25)
        await self.wait_promised(10)
        broken = lambda: [s for s in stay + leave if len(s.lives) > 1 or s.life is None]
        lost = self.topology.connections()[KILLED]
        before = time.monotonic()
        self.assertEqual(self.topology.end(KILLED, signal.SIGKILL), -signal.SIGKILL)
        await until("the sockets of the node to break", lambda: len(broken()) == lost)
        gone = {subscriber.user for subscriber in leave if subscriber.life is None}
        witnesses = [subscriber for subscriber in stay + leave if subscriber not in broken()]
        self.assertTrue(gone and witnesses, f"{lost} sockets broke")
        await self.wait_back(stay)
        removed = lambda s: [(when, user) for when, kind, user in s.life.changes if kind == "removed"]
        for subscriber in witnesses:
            await until("those who are gone to be removed", lambda: len(removed(subscriber)) >= len(gone))
            self.assertEqual(sorted(user for _, user in removed(subscriber)), sorted(gone))
            self.assertLess(max(when for when, _ in removed(subscriber)) - before, GONE_SECONDS)
        self.assertGreater(self.promised(since=before), 3 * 25)

        self.topology.start(KILLED)
        await asyncio.to_thread(self.topology.wait_ready, KILLED)
        while self.topology.connections()[KILLED] < 3:
            await self.connect(1)
            await asyncio.sleep(0.25)  # the pace at which they come: nginx leaves the node out for 2 s
        await self.wait_promised(25)
        present = [subscriber for subscriber in self.subscribers if subscriber.life]
        await self.settle(present)
        await self.wait_present(present)
        for subscriber in witnesses:
            self.assertEqual(sorted(user for _, user in removed(subscriber)), sorted(gone), "and nobody else, nor twice")
        self.check()
        answers = statuses(self.publishers)
        self.assertLessEqual(set(answers), {200, 502, 503, 504})
        self.assertTrue(all(t.is_promised for p in self.publishers for t in p.triggers), f"not at the second try: {answers}")

    async def asyncTearDown(self):
        await super().asyncTearDown()
        await until("all sockets to be gone", lambda: not sum(self.topology.connections().values()))


class BehindNginx(ThreeNodes, Scene):
    proxy = "nginx"


class BehindHaproxy(ThreeNodes, Scene):
    proxy = "haproxy"

    async def test_a_node_without_its_redis_gets_no_sockets(self):
        # it would refuse their subscriptions; nginx does not look, and sends it some
        (nobody,) = free_ports(1)
        left_out = lambda: self.topology.log("haproxy").count(f"Server sockets/{KILLED} is DOWN")
        before = left_out()
        self.topology.end(KILLED)
        self.topology.start(KILLED, redis_port=nobody)
        await until("the node to live", lambda: self.topology.admin(KILLED, "/health"))
        self.assertEqual(self.topology.admin(KILLED, "/ready")[0], 503)
        await until("haproxy to leave it out", lambda: left_out() > before)
        await self.connect(4)
        self.assertEqual(list(self.topology.connections().values()), [2, 0, 2])
        self.topology.end(KILLED)
        self.topology.start(KILLED)
        await asyncio.to_thread(self.topology.wait_ready, KILLED)
        while self.topology.connections()[KILLED] == 0:
            await self.connect(1)
            await asyncio.sleep(0.25)


if __name__ == "__main__":
    unittest.main()
