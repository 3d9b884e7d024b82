"""PyPI pusher 3.3.4, the server SDK: triggers, questions (it signs the MD5 of nothing), terminate."""

import json
import unittest

import pusher.errors
import pysher

from support import KEY, SECRET, Inbox, NodeTest, eventually


class PusherTest(NodeTest):
    def subscriber(self, *names, user_id="ann"):
        """Returns an inbox of `(channel, event, data)`, once the node knows the subscriptions."""
        inbox = Inbox()
        client = pysher.Pusher(
            KEY, secure=False, custom_host="127.0.0.1", port=self.port, secret=SECRET, user_data={"user_id": user_id}
        )
        client.connection.event_handler = lambda event, data, channel: inbox.put((channel, event, data))
        client.connect()
        self.addCleanup(client.disconnect, 5)
        eventually("the state connected", lambda: client.connection.state == "connected")
        for name in names:
            client.subscribe(name)
            self.assertEqual(inbox.take()[:2], (name, "pusher_internal:subscription_succeeded"))
        return client, inbox

    def test_trigger(self):
        _, inbox = self.subscriber("one", "two")
        self.assertEqual(self.backend.trigger(["one", "two"], "event", {"text": "wörld"}), {})
        heard = [inbox.take(), inbox.take()]
        self.assertEqual(sorted(channel for channel, _, _ in heard), ["one", "two"])
        self.assertEqual([json.loads(data) for _, _, data in heard], [{"text": "wörld"}] * 2)

    def test_trigger_leaves_out_the_socket_named(self):
        client, inbox = self.subscriber("excluding")
        self.backend.trigger("excluding", "event", 1, socket_id=client.connection.socket_id)
        self.backend.trigger("excluding", "event", 2)
        self.assertEqual(inbox.take(), ("excluding", "event", "2"))

    def test_trigger_batch(self):
        _, inbox = self.subscriber("batch")
        events = [{"channel": "batch", "name": "event", "data": {"n": n}} for n in range(3)]
        self.assertEqual(self.backend.trigger_batch(events), {})
        self.assertEqual([json.loads(inbox.take()[2]) for _ in range(3)], [{"n": n} for n in range(3)])

    def test_questions_that_carry_the_md5_of_nothing(self):
        self.subscriber("presence-room", "open-room", user_id="ann")
        self.subscriber("presence-room", user_id="bob")
        channels = self.backend.channels_info("presence-room", ["user_count"])
        self.assertEqual(channels, {"channels": {"presence-room": {"user_count": 2}}})
        self.assertEqual(self.backend.channels_info("open-room"), {"channels": {"open-room": {}}})
        channel = self.backend.channel_info("presence-room", ["user_count"])
        self.assertEqual(channel, {"occupied": True, "user_count": 2})
        self.assertEqual(self.backend.channel_info("nobody-there"), {"occupied": False})
        users = self.backend.users_info("presence-room")["users"]
        self.assertEqual(sorted(user["id"] for user in users), ["ann", "bob"])

    def test_terminate_closes_the_connections_of_a_signed_in_user(self):
        client, _ = self.subscriber("terminated")
        refusals = Inbox()
        successes = Inbox()
        client.connection.bind("pusher:error", refusals.put)
        client.connection.bind("pusher:signin_success", successes.put)
        client.connection.send_event("pusher:signin", self.backend.authenticate_user(client.connection.socket_id, {"id": "u1"}))
        successes.take()
        # This SDK leaves /apps/{id} out of the path: the key in the query names the application.
        self.assertEqual(self.backend.terminate_user_connections("u1"), {})
        self.assertEqual(refusals.take()["code"], 4009)
        eventually("the channel to be vacated", lambda: not self.backend.channel_info("terminated")["occupied"])

    def test_encrypted_trigger(self):
        _, inbox = self.subscriber("private-encrypted-vault")
        sealing = self.server(encryption_master_key_base64="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        sealing.trigger("private-encrypted-vault", "event", {"word": "swordfish"})
        data = inbox.take()[2]
        self.assertEqual(sorted(json.loads(data)), ["ciphertext", "nonce"])
        self.assertNotIn("swordfish", data)

    def test_wrong_secret(self):
        with self.assertRaises(pusher.errors.PusherBadAuth):
            self.server(secret="wrong").trigger("open", "event", 1)

    def test_question_that_makes_no_sense(self):
        with self.assertRaises(pusher.errors.PusherBadRequest):
            self.backend.users_info("open-room")


if __name__ == "__main__":
    unittest.main()
