"""Does to a node of two, for a while, what gives every panel of the dashboard something to show, beside the load of `micronotifier bench`: clients that
talk, clients that do not read, calls that nobody signed, more events than are done at once, and connections to Redis that break.

Usage: load.py PORT KEY SECRET REDIS_PORT SECONDS
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse

port, key, secret, redis_port, seconds = sys.argv[1:]
ADDRESS = ("127.0.0.1", int(port))
END = time.monotonic() + float(seconds)
TEN_KILOBYTES = "x" * 10_000


def sign(text):
    """Returns the signature of a text, as Pusher has it."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def call(method, path, body="", signed=True):
    """Makes one call of the API and returns the status of its answer."""
    query = ""
    if signed:
        parameters = {"auth_key": key, "auth_timestamp": int(time.time()), "auth_version": "1.0"}
        if body:
            parameters["body_md5"] = hashlib.md5(body.encode()).hexdigest()
        query = urllib.parse.urlencode(sorted(parameters.items()))
        query += "&auth_signature=" + sign(f"{method}\n{path}\n{query}")
    connection = http.client.HTTPConnection(*ADDRESS, timeout=5)
    try:
        connection.request(method, f"{path}?{query}", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def trigger(channel, data):
    """Publishes one event."""
    return call("POST", "/apps/1/events", json.dumps({"name": "event", "channel": channel, "data": data}))


def upgrade(application):
    """Returns the request for a connection to the application of that key."""
    nonce = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /app/{application}?protocol=7 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode()
    )


class Client:
    """A connection that knows as much of WebSocket as is needed here."""

    def __init__(self, receive_bytes=65_536):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(5)
        self.socket.connect(ADDRESS)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(upgrade(key))
        while self.stream.readline().strip():
            pass
        self.socket_id = json.loads(self.read()["data"])["socket_id"]

    def read(self):
        """Returns the next message."""
        _, length = self.stream.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.stream.read(2))
        return json.loads(self.stream.read(length))

    def send(self, event, data, **more):
        """Sends a message; its mask is all zeros."""
        text = json.dumps({"event": event, "data": data, **more}).encode()
        self.socket.sendall(struct.pack(">BBHI", 0x81, 0x80 | 126, len(text), 0) + text)

    def subscribe(self, channel):
        """Subscribes, with a signature where the channel wants one, and waits for the answer."""
        auth = {"auth": f"{key}:{sign(f'{self.socket_id}:{channel}')}"} if channel.startswith("private-") else {}
        self.send("pusher:subscribe", {"channel": channel, **auth})
        self.read()

    def close(self):
        self.stream.close()
        self.socket.close()


def talk():
    """A client tells the others of its channel something, five times a second."""
    client = Client()
    try:
        client.subscribe("private-talk")
        while time.monotonic() < END:
            client.send("client-said", "something", channel="private-talk")
            time.sleep(0.2)
    finally:
        client.close()


def stall():
    """A client that is there but does not read, until the node closes it; then another comes."""
    client = Client(receive_bytes=4096)
    try:
        client.subscribe("heavy")
        while time.monotonic() < END:
            client.send("pusher:ping", {})
            time.sleep(1)
    finally:
        client.close()


def feed():
    """Publishes what such a client does not read, a little less than 100 KB a second."""
    trigger("heavy", TEN_KILOBYTES)
    time.sleep(0.1)


def look():
    """Asks the API for something, and so does somebody who may not; somebody else is at the wrong address."""
    call("GET", "/apps/1/channels")
    call("GET", "/apps/1/channels", signed=False)
    with contextlib.closing(socket.create_connection(ADDRESS, timeout=5)) as stray:
        stray.sendall(upgrade("nobody"))
        stray.recv(4096)
    time.sleep(0.2)


def crowd():
    """Publishes at once to as many channels as an event may have, again and again."""
    body = json.dumps({"name": "event", "channels": [f"crowded-{number}" for number in range(100)], "data": "x"})
    call("POST", "/apps/1/events", body)


def cut():
    """Redis closes the connections of who listens; what is missed meanwhile is read from its history."""
    time.sleep(10)
    with socket.create_connection(("127.0.0.1", int(redis_port)), timeout=5) as redis:
        redis.sendall(b"CLIENT KILL TYPE pubsub\r\n")
        redis.recv(64)


def again(work):
    """Does something until the end; what breaks is begun anew."""
    while time.monotonic() < END:
        try:
            work()
        except OSError as error:
            print(f"{work.__name__}: {error}", flush=True)
            time.sleep(0.5)


threads = [threading.Thread(target=again, args=(work,), daemon=True) for work in (talk, stall, feed, look, cut, *[crowd] * 4)]
for thread in threads:
    thread.start()
time.sleep(float(seconds))
