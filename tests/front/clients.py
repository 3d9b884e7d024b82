"""Subscribers that come back like pusher-js, publishers that try once more, and the account of what was promised and heard."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import secrets
import struct
import time
from collections import Counter
from dataclasses import dataclass, field

from topology import APP_ID, DEADLINE_SECONDS, KEY

ROOM = "presence-room"


async def until(what, question):
    """Asks again and again until the answer is truthy, and returns it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if answer := question():
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s for {what}")


def sign(secret, text):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def address_of(number):
    """Returns an address of this machine for each client: the proxies count by address."""
    return f"127.1.{number // 200}.{number % 200 + 1}"


@dataclass
class Life:
    """One socket of a subscriber, from its opening to its end."""

    since: dict = field(default_factory=dict)  # channel -> when its subscription was answered
    heard: dict = field(default_factory=dict)  # channel -> numbers of events, as they came
    roster: set = None  # who is in the room
    changes: list = field(default_factory=list)  # (when, "added" or "removed", user) in the room
    news: int = 0  # events that the tests made themselves, see `test_rolling`
    code: int = None  # of the Close that ended it; 1006 without one
    ended: float = None


class Subscriber:
    """A client of the proxy. `lives` has one entry for each socket it had, the last one may be open."""

    def __init__(self, topology, number, channels, returns=True):
        self.topology, self.number, self.channels, self.returns = topology, number, channels, returns
        self.user = f"user-{number}"
        self.lives, self.refusals = [], []
        self.task = asyncio.create_task(self._live())

    @property
    def life(self):
        """The open socket, if there is one."""
        return self.lives[-1] if self.lives and self.lives[-1].ended is None else None

    @property
    def is_subscribed(self):
        if self.task.done():
            self.task.result()
        return self.life is not None and len(self.life.since) == len(self.channels)

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _live(self):
        """Connects again and again, with the waits of pusher-js."""
        for attempt in itertools.count(1):
            try:
                reader, writer = await self._connect()
            except (OSError, asyncio.IncompleteReadError, ConnectionError) as error:
                self.refusals.append(str(error))
                await asyncio.sleep(15 * attempt)
                continue
            life = Life()
            self.lives.append(life)
            try:
                life.code = await self._listen(life, reader, writer)
            finally:
                life.ended = time.monotonic()
                writer.close()
            if not self.returns:
                return
            await asyncio.sleep(0 if 4200 <= life.code < 4300 else 1)

    async def _connect(self):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.topology.port, local_addr=(address_of(self.number), 0)
        )
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        writer.write(
            f"GET /app/{KEY}?protocol=7&client=js&version=8.4.0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except BaseException:
            writer.close()
            raise
        if not head.startswith(b"HTTP/1.1 101 "):
            writer.close()
            raise ConnectionError(head.split(b"\r\n")[0].decode())
        return reader, writer

    async def _listen(self, life, reader, writer):
        """Reads until the socket ends, and returns the code of its Close."""
        try:
            while True:
                opcode, payload = await self._frame(reader)
                if opcode == 8:
                    return struct.unpack("!H", payload[:2])[0]
                if opcode == 9:
                    send(writer, 10, payload)
                elif opcode == 1:
                    self._take(life, json.loads(payload), writer)
        except (OSError, asyncio.IncompleteReadError):
            return 1006

    async def _frame(self, reader):
        first, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        return first & 15, await reader.readexactly(size)

    def _take(self, life, message, writer):
        event, channel = message["event"], message.get("channel")
        data = json.loads(message["data"]) if isinstance(message.get("data"), str) else message.get("data")
        match event:
            case "pusher:connection_established":
                for name in self.channels:
                    say(writer, "pusher:subscribe", self._subscription(name, data["socket_id"]))
            case "pusher:ping":
                say(writer, "pusher:pong", {})
            case "pusher_internal:subscription_succeeded":
                life.since[channel] = time.monotonic()
                life.heard[channel] = []
                if channel == ROOM:
                    life.roster = set(data["presence"]["hash"])
            case "pusher_internal:member_added":
                life.roster.add(data["user_id"])
                life.changes.append((time.monotonic(), "added", data["user_id"]))
            case "pusher_internal:member_removed":
                life.roster.discard(data["user_id"])
                life.changes.append((time.monotonic(), "removed", data["user_id"]))
            case "numbered":
                life.heard[channel].append(data["n"])
            case "news":
                life.news += 1
            case "pusher:cache_miss":
                pass
            case _:
                raise AssertionError(f"{self.user} was told {message}")

    def _subscription(self, channel, socket_id):
        wanted = {"channel": channel}
        text = f"{socket_id}:{channel}"
        if channel == ROOM:
            wanted["channel_data"] = json.dumps({"user_id": self.user})
            text += f":{wanted['channel_data']}"
        if channel.startswith(("private-", "presence-")):
            wanted["auth"] = f"{KEY}:{sign(self.topology.secret, text)}"
        return wanted


def say(writer, event, data):
    send(writer, 1, json.dumps({"event": event, "data": data}).encode())


def send(writer, opcode, payload):
    mask = secrets.token_bytes(4)
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    writer.write(bytes([0x80 | opcode]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))


@dataclass
class Trigger:
    """One event that was triggered: when, and what each try was answered; 0 is no answer at all."""

    began: float
    statuses: list = field(default_factory=list)
    answered: float = None

    @property
    def is_promised(self):
        return self.statuses[-1] == 200


class Backend:
    """A connection to the API through the proxy, or past it to a node, kept open like an SDK's."""

    def __init__(self, topology, number, port=None):
        self.topology, self.number, self.port = topology, number, port or topology.port
        self.reader = self.writer = None

    def close(self):
        if self.writer:
            self.writer.close()
            self.writer = None

    async def trigger(self, channel, number, key):
        """Triggers a numbered event with an `Idempotency-Key`; returns the status, 0 where nobody answered."""
        body = json.dumps({"name": "numbered", "channel": channel, "data": json.dumps({"n": number})})
        try:
            return await asyncio.wait_for(self._post(f"/apps/{APP_ID}/events", body, key), DEADLINE_SECONDS)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.close()
            return 0

    async def _post(self, path, body, key):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(address_of(1000 + self.number), 0)
            )
        self.writer.write(
            f"POST {signed(self.topology.secret, 'POST', path, body)} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1])


class Publisher:
    """Triggers numbered events on a channel of its own, one after the other; tries once more what did not succeed."""

    def __init__(self, topology, number, channel, per_second):
        self.backend, self.channel = Backend(topology, number), channel
        self.triggers, self.wait, self.stopped = [], 1 / per_second, False
        self.task = asyncio.create_task(self._publish())

    async def stop(self):
        """Stops after the event that is under way."""
        self.stopped = True
        await self.task
        self.backend.close()

    async def _publish(self):
        while not self.stopped:
            trigger = Trigger(time.monotonic())
            key = secrets.token_hex(16)
            for _ in range(2):
                trigger.statuses.append(await self.backend.trigger(self.channel, len(self.triggers), key))
                if trigger.is_promised:
                    break
            trigger.answered = time.monotonic()
            self.triggers.append(trigger)
            await asyncio.sleep(self.wait)


def signed(secret, method, path, body=""):
    """Returns the path with the query that the API wants."""
    query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
    query += f"&body_md5={hashlib.md5(body.encode()).hexdigest()}" if body else ""
    signature = sign(secret, f"{method}\n{path}\n{query}")
    return f"{path}?{query}&auth_signature={signature}"


def statuses(publishers):
    """Returns how many tries were answered what."""
    return Counter(status for publisher in publishers for trigger in publisher.triggers for status in trigger.statuses)


def has_heard_all(subscriber, publishers):
    """Tells whether a subscriber is there and has heard the last event of each publisher that was promised."""
    if not subscriber.is_subscribed:
        return False
    for publisher in publishers:
        due = owed(publisher, subscriber.life)
        if due and (not (heard := subscriber.life.heard[publisher.channel]) or max(heard) < due[-1]):
            return False
    return True


def owed(publisher, life):
    """Returns the promised events that began when the channel had been subscribed to."""
    since = life.since.get(publisher.channel, float("inf"))
    return [n for n, trigger in enumerate(publisher.triggers) if trigger.is_promised and trigger.began > since]


def faults(subscribers, publishers):
    """Compares what was promised with what every socket has heard: of a socket that broke, up to the last event it heard."""
    found = []
    for subscriber, publisher in itertools.product(subscribers, publishers):
        for count, life in enumerate(subscriber.lives):
            who = f"{subscriber.user}, socket {count}, {publisher.channel}"
            heard = life.heard.get(publisher.channel, [])
            if twice := {n for n, times in Counter(heard).items() if times > 1}:
                found.append(f"{who}: twice {sorted(twice)}")
            if heard != sorted(heard):
                found.append(f"{who}: out of order {heard}")
            last = max(heard, default=-1) if life.ended else float("inf")
            if lost := {n for n in owed(publisher, life) if n <= last} - set(heard):
                found.append(f"{who}: lost {sorted(lost)}")
    return found
