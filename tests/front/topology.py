"""Starts what docker/compose.yaml describes, by hand: Redis with its ACL, three nodes, and nginx or haproxy before them."""

import http.client
import json
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time

from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MICRONOTIFIER_BIN", str(ROOT / "target/release/micronotifier"))
DOCKER = ROOT / "docker"
NODES = ("node-1", "node-2", "node-3")
APP_ID, KEY = "1", "front-key"
DEADLINE_SECONDS = 30


def free_ports(count):
    """Returns free ports below those that the kernel gives to outgoing connections, so that none is taken meanwhile."""
    free = []
    for port in random.sample(range(15000, 32000), 2000):
        try:
            socket.create_server(("0.0.0.0", port)).close()
        except OSError:
            continue
        free.append(port)
        if len(free) == count:
            return free
    raise AssertionError("no free ports")


def until(what, question):
    """Asks again and again until the answer is truthy, and returns it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s for {what}")


class Topology:
    """Redis, three nodes and a proxy. `with` ends them all."""

    def __init__(self, proxy, binary=BINARY):
        self.proxy, self.binary = proxy, binary
        self.redis_port, self.port, *ports = free_ports(8)
        self.ports = dict(zip(NODES, ports[:3]))
        self.admin_ports = dict(zip(NODES, ports[3:]))
        self.secret, self.token, self.redis_password, self.cluster_secret = (secrets.token_hex(24) for _ in range(4))
        self.processes = {}

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="micronotifier-front-")
        self.directory = pathlib.Path(self._directory.name)
        self.directory.chmod(0o755)  # nginx's workers are another user's when root starts them
        self.services = self._compose()["services"]
        self._write_secrets()
        try:
            self._start("redis", [*self.services["redis"]["command"], "--bind", "127.0.0.1", "--port", str(self.redis_port)])
            until("Redis to be healthy", self.redis_is_healthy)
            for name in NODES:
                self.start(name)
            for name in NODES:
                self.wait_ready(name)
            getattr(self, f"_start_{self.proxy}")()
            until("GET /up through the proxy", self._is_up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._directory.cleanup()

    # --- What is written ---

    def _compose(self):
        """Reads compose.yaml with every variable at its default and every secret in the directory."""
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DOCKER / "compose.yaml").read_text()).replace("$$", "$")
        return YAML(typ="safe").load(text.replace("/run/secrets", str(self.directory)))

    def _write_secrets(self):
        app = {"name": "front", "id": APP_ID, "key": KEY, "secret": self.secret, "client-events": True}
        acl = (DOCKER / "redis.acl").read_text().replace("CHANGE-ME", self.redis_password)
        for name, text in {
            "applications.json": json.dumps([app]),
            "admin-token": self.token,
            "cluster-secret": self.cluster_secret,
            "redis-password": self.redis_password,
            "redis.acl": acl,
        }.items():
            (self.directory / name).write_text(text + "\n")

    # --- What is started ---

    def _start(self, name, command, **environment):
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment
            )

    def start(self, name, binary=None, redis_port=None):
        """Starts a node, of another release or with another Redis if need be, and does not wait for it."""
        given = self.services[name]["environment"] | {
            "MICRONOTIFIER__PORT": str(self.ports[name]),
            "MICRONOTIFIER__ADMIN_PORT": str(self.admin_ports[name]),
            "MICRONOTIFIER__TRUSTED_PROXIES": '["127.0.0.1"]',
            "MICRONOTIFIER__REDIS__ADDRESS": f"127.0.0.1:{redis_port or self.redis_port}",
        }
        self._start(name, [binary or self.binary, "serve", "-c", str(DOCKER / "node.json")], **given)

    def _start_nginx(self):
        own = self.directory / "nginx"
        own.mkdir(mode=0o777)
        own.chmod(0o777)
        text = (DOCKER / "nginx.conf").read_text().replace("/tmp/", f"{own}/")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{self.port}").replace("/dev/stdout", f"{own}/access.log")
        for name, port in self.ports.items():
            text = text.replace(f"server {name}:8111", f"server 127.0.0.1:{port}")
        path = own / "nginx.conf"
        path.write_text(text)
        self._start("nginx", ["nginx", "-c", str(path), "-g", "daemon off;"])

    def _start_haproxy(self):
        text = (DOCKER / "haproxy.cfg").read_text().replace("bind :8080", f"bind 127.0.0.1:{self.port}")
        for name, port in self.ports.items():
            text = text.replace(f"{name}:8111 check port 9111", f"127.0.0.1:{port} check port {self.admin_ports[name]}")
            text = text.replace(f"{name}:8111", f"127.0.0.1:{port}")
        text = text.replace("maxconn 32768", "maxconn 2048")  # what the descriptors of any machine allow
        path = self.directory / "haproxy.cfg"
        path.write_text(text)
        self._start("haproxy", ["haproxy", "-W", "-f", str(path)], ADMIN_TOKEN=self.token)

    def end(self, name, number=signal.SIGTERM):
        """Sends a signal to a process and returns its exit code."""
        process = self.processes[name]
        process.send_signal(number)
        return process.wait(DEADLINE_SECONDS)

    # --- What is asked ---

    def redis_is_healthy(self):
        """Runs the health check of compose.yaml against this Redis."""
        kind, command = self.services["redis"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL", kind
        command = command.replace("redis-cli", f"redis-cli -p {self.redis_port}")
        return subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0

    def redis(self, *command):
        """Sends one command as the nodes' user."""
        run = ["redis-cli", "-p", str(self.redis_port), "--user", "micronotifier", "--no-auth-warning", *command]
        environment = os.environ | {"REDISCLI_AUTH": self.redis_password}
        return subprocess.run(run, env=environment, capture_output=True, check=True, text=True).stdout.strip()

    def admin(self, name, path):
        """Asks the operator's port of a node; `None` where it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_ports[name], timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return None
        finally:
            connection.close()

    def wait_ready(self, name):
        """Waits until a node is ready for clients."""

        def is_ready():
            if (code := self.processes[name].poll()) is not None:
                raise AssertionError(f"{name} ended with {code}:\n{self.log(name)}")
            answer = self.admin(name, "/ready")
            return answer and answer[0] == 200

        until(f"{name} to be ready", is_ready)

    def log(self, name):
        """Returns what a process has written."""
        return (self.directory / f"{name}.log").read_text()

    def metric(self, name, family):
        """Returns the numbers of a family of metrics by their labels; none where the node does not answer."""
        _, text = self.admin(name, "/metrics") or (0, "")
        pairs = re.findall(rf"^{family}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(number) for labels, number in pairs}

    def connections(self):
        """Returns how many sockets each node has."""
        return {name: int(sum(self.metric(name, "micronotifier_connections").values())) for name in NODES}

    def _is_up(self):
        if (code := self.processes[self.proxy].poll()) is not None:
            raise AssertionError(f"{self.proxy} ended with {code}:\n{self.log(self.proxy)}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/up")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
