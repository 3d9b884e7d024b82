"""Opens WebSockets one after the other and keeps them open; prints a line for each: its status, and its first message or who refused it.

Usage: sockets.py PORT KEY ADDRESS[,HEADER=VALUE]...     ADDRESS is the one it comes from, such as 127.0.0.2
"""

import socket
import sys

DEADLINE_SECONDS = 5
# What a refusal says that is not the node's
MARKS = {"nginx": "<center>nginx", "haproxy": "of this address"}


def connect(port, key, source, headers):
    """Returns the socket and what was answered."""
    peer = socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS, (source, 0))
    lines = [
        f"GET /app/{key}?protocol=7 HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(header.replace("=", ": ", 1) for header in headers),
    ]
    peer.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    reader = peer.makefile("rb")
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    if status != 101:
        body = reader.read(length).decode()
        return peer, f"{status} {next((name for name, mark in MARKS.items() if mark in body), 'node')}"
    _, size = reader.read(2)
    size = int.from_bytes(reader.read(2), "big") if size == 126 else size
    return peer, f"{status} {reader.read(size).decode()}"


def main():
    port, key, *clients = sys.argv[1:]
    kept = []
    for client in clients:
        source, *headers = client.split(",")
        peer, answer = connect(int(port), key, source, headers)
        kept.append(peer)
        print(answer)


main()
