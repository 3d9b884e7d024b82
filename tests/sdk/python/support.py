"""Starts the built binary on a free port of this machine, and waits with a deadline."""

import json
import os
import pathlib
import queue
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

import pusher

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MICRONOTIFIER_BIN", str(ROOT / "target/release/micronotifier"))
APP_ID, KEY, SECRET = "1", "1234567890", "abcdefghij"
DEADLINE_SECONDS = 15


def free_port():
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, question):
    """Asks again and again until the answer is truthy, and returns it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s for {what}")


class Inbox(queue.Queue):
    """What a client was told, in order."""

    def take(self):
        """Removes and returns the oldest entry, waiting for it if there is none yet."""
        return self.get(timeout=DEADLINE_SECONDS)


class NodeTest(unittest.TestCase):
    """A test class with a node of its own."""

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        directory = tempfile.TemporaryDirectory(prefix="micronotifier-sdk-")
        cls.addClassCleanup(directory.cleanup)
        app = {"name": "testapp", "id": APP_ID, "key": KEY, "secret": SECRET, "client-events": True}
        config = {
            "host": "127.0.0.1",
            "port": cls.port,
            "admin-port": 0,
            "log": {"level": "warn"},
            "applications": [app],
        }
        path = pathlib.Path(directory.name, "config.json")
        path.write_text(json.dumps(config))
        process = subprocess.Popen([BINARY, "-c", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        eventually("GET /up to answer 200", lambda: cls._is_up(process))
        cls.backend = cls.server()

    @classmethod
    def _is_up(cls, process):
        if process.poll() is not None:
            raise AssertionError(f"the node ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{cls.port}/up") as answer:
                return answer.status == 200
        except OSError:
            return False

    @classmethod
    def server(cls, secret=SECRET, **options):
        """Returns the server SDK, pointed at the node."""
        return pusher.Pusher(APP_ID, KEY, secret, host="127.0.0.1", port=cls.port, ssl=False, **options)
