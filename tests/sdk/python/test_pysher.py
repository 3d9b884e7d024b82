"""PyPI pysher 1.0.8, the websocket client: protocol 6, a ping on open, errors by code."""

import json
import unittest

import pysher

from support import KEY, SECRET, Inbox, NodeTest, eventually


class PysherTest(NodeTest):
    def client(self, key=KEY, **options):
        client = pysher.Pusher(key, secure=False, custom_host="127.0.0.1", port=self.port, secret=SECRET, **options)
        client.connect()
        self.addCleanup(client.disconnect, 5)
        return client

    def connected(self, **options):
        client = self.client(**options)
        eventually("the state connected", lambda: client.connection.state == "connected")
        return client

    def subscribed(self, client, name, events):
        """Returns an inbox of these events of the channel, once the node knows the subscription."""
        before = self.members(name)
        channel = client.subscribe(name)
        inbox = Inbox()
        for event in events:
            channel.bind(event, lambda data, event=event: inbox.put((event, json.loads(data))))
        eventually("the subscription", lambda: self.members(name) > before)
        return inbox

    def members(self, name):
        if name.startswith("presence-"):
            return len(self.backend.users_info(name)["users"])
        return int(self.backend.channel_info(name)["occupied"])

    def test_connects_and_hears_the_answer_to_its_early_ping(self):
        client = self.connected()
        self.assertRegex(client.connection.socket_id, r"^\d+\.\d+$")
        eventually("the pong", lambda: client.connection.pong_received)

    def test_public_channel(self):
        inbox = self.subscribed(self.connected(), "public", ["event"])
        self.backend.trigger("public", "event", {"text": "wörld"})
        self.assertEqual(inbox.take(), ("event", {"text": "wörld"}))

    def test_private_channel(self):
        inbox = self.subscribed(self.connected(), "private-room", ["event"])
        self.backend.trigger("private-room", "event", {"n": 1})
        self.assertEqual(inbox.take(), ("event", {"n": 1}))

    def test_presence_channel(self):
        ann = self.connected(user_data={"user_id": "ann", "user_info": {"name": "Ann"}})
        changes = ["pusher_internal:member_added", "pusher_internal:member_removed", "client-hi"]
        inbox = self.subscribed(ann, "presence-room", changes)
        bob = self.connected(user_data={"user_id": "bob", "user_info": {"name": "Bob"}})
        self.subscribed(bob, "presence-room", [])
        self.assertEqual(inbox.take(), (changes[0], {"user_id": "bob", "user_info": {"name": "Bob"}}))
        bob.channel("presence-room").trigger("client-hi", {"n": 1})
        self.assertEqual(inbox.take(), ("client-hi", {"n": 1}))
        bob.unsubscribe("presence-room")
        self.assertEqual(inbox.take(), (changes[1], {"user_id": "bob"}))

    def test_refused_subscription_leaves_the_connection_alone(self):
        client = self.connected()
        errors = Inbox()
        client.connection.bind("pusher:error", errors.put)
        client.subscribe("private-room", auth=f"{KEY}:{'0' * 64}")
        error = errors.take()
        self.assertIsNone(error["code"])
        self.assertTrue(error["message"].startswith("Invalid signature: "))
        self.subscribed(client, "after-refusal", [])
        self.assertEqual(client.connection.state, "connected")

    def test_unknown_key_stops_the_client(self):
        client = self.client(key="nobody")
        eventually("the client to give up", lambda: client.connection.disconnect_called)


if __name__ == "__main__":
    unittest.main()
