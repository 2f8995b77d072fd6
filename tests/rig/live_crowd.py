"""Many live clients on plain sockets, and the device whose lines they see; told line by line what to do.

A process of its own: ``python live_crowd.py OPTIONS``, JSON with ``url``, ``token``, the device's ``port``, and
``authority``, a file, where the gateway speaks TLS. How late an event was is counted from when its line was due.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import ssl
import sys
import time
from typing import Any
from urllib.parse import urlsplit

TOGETHER = 50
"""Clients that connect at a time."""
PATIENCE = 60.0
"""Seconds without anything that came."""
PING = b"\x81\x02{}"
PONG = b"\x81\x82\0\0\0\0{}"
EVENT = re.compile(rb'"n":(\d+),"at":(\d+),')


def _head(begin: bytes) -> int:
    """Return how long a frame's head is; none is longer than 64 KiB."""
    return 4 if len(begin) > 1 and begin[1] == 126 else 2


def masked(text: str) -> bytes:
    """Return a client's text frame, masked with zeros as a mask may be (RFC 6455, section 5.2)."""
    payload = text.encode()
    head = bytes((0x81, 0x80 | len(payload))) if len(payload) < 126 else b"\x81\xfe" + len(payload).to_bytes(2)
    return head + bytes(4) + payload


class Client:
    """One that reads at once, whatever comes."""

    def __init__(self, connection: Any, first: int) -> None:
        self.connection = connection
        self.rest = b""
        self.next = first
        self.joined = False

    def read(self) -> list[int]:
        """Take what came; returns when its events were due, in their order."""
        due = []
        data = self.rest
        while True:
            try:
                more = self.connection.recv(1 << 18)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            if not more:
                raise SystemExit("the gateway closed a connection of the crowd")
            data += more
            if not isinstance(self.connection, ssl.SSLSocket):
                break
        end = 0
        while (begins := end + _head(data[end : end + 4])) <= len(data):
            size = int.from_bytes(data[end + 2 : end + 4]) if begins - end == 4 else data[end + 1]
            if begins + size > len(data):
                break
            if data[end : begins + size] == PING:
                self.connection.send(PONG)
            elif not self.joined:
                if b'"error"' in data[begins : begins + size]:
                    raise SystemExit(f"the gateway said {data[begins : begins + size]!r}")
                self.joined = b'"id":2' in data[begins : begins + size]
            else:
                found = EVENT.search(data, begins, begins + size)
                if found is None or int(found[1]) != self.next:
                    raise SystemExit(f"where event {self.next} was to come, {data[begins:][:200]!r} came")
                self.next += 1
                due.append(int(found[2]))
            end = begins + size
        self.rest = data[end:]
        return due


class Crowd:
    """All clients, and the device."""

    def __init__(self, url: str, token: str, port: int, authority: str | None) -> None:
        self._address = urlsplit(url)
        commands = [
            {"id": 1, "connect": {"token": token}},
            {"id": 2, "subscribe": {"channel": "events:gate"}},
        ]
        self._hello = masked("\n".join(json.dumps(command) for command in commands))
        self._context = None if authority is None else ssl.create_default_context(cafile=authority)
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._device = socket.create_connection(("127.0.0.1", port))
        self._device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(self._device, select.EPOLLIN)
        self._answers = b""
        self._unanswered: list[int] = []
        self._sent = 0
        self._late: list[float] = []

    def join(self, clients: int) -> dict[str, Any]:
        """Let so many come in and subscribe."""
        while len(self._clients) < clients:
            new = [Client(each, self._sent) for each in self._enter(min(TOGETHER, clients - len(self._clients)))]
            for client in new:
                self._clients[client.connection.fileno()] = client
                self._poll.register(client.connection, select.EPOLLIN)
                client.connection.send(self._hello)
            while not all(client.joined for client in new):
                self._take(1.0, [])
        return {}

    def send(self, messages: int, rate: float, size: int) -> dict[str, Any]:
        """Send lines at a rate; returns their sequences when each client has each of them, in order."""
        first, late = self._sent, list[float]()
        acknowledged: dict[int, int] = {}
        began = last = time.monotonic()
        while len(late) < messages * len(self._clients) or self._unanswered or self._sent < first + messages:
            now = time.monotonic()
            while self._sent < first + messages and (due := began + (self._sent - first) / rate) <= now:
                filling = "x" * size
                line = f'{{"n":{self._sent},"at":{int(due * 1e9)},"filling":"{filling}"}}\n'
                self._device.sendall(line.encode())
                self._unanswered.append(self._sent)
                self._sent += 1
            if self._take(max(0.0, due - now) if self._sent < first + messages else 1.0, late, acknowledged):
                last = now
            elif now - last > PATIENCE:
                raise SystemExit(f"of {messages * len(self._clients)} events {len(late)} came")
        self._late += late
        return {"acknowledged": list(acknowledged.items())}

    def late(self) -> dict[str, Any]:
        """Return by how many milliseconds each client had each event too late, since this was asked last."""
        late, self._late = sorted(self._late), []
        if not late:
            return {"late_ms": {}}
        told = {f"p{share}": round(late[int(share / 100 * len(late))], 2) for share in (50, 90, 99)}
        return {"late_ms": {**told, "max": round(late[-1], 2)}}

    def wait(self) -> str:
        """Return the next order; until it is there, what comes is taken and pings are answered."""
        with select.epoll() as both:
            both.register(sys.stdin, select.EPOLLIN)
            both.register(self._poll, select.EPOLLIN)
            while sys.stdin.fileno() not in dict(both.poll()):
                self._take(0, [])
        return sys.stdin.readline()

    def _take(self, timeout: float, late: list[float], acknowledged: dict[int, int] | None = None) -> bool:
        came = self._poll.poll(timeout)
        for number, _ in came:
            client = self._clients.get(number)
            if client is not None:
                due = client.read()
                now = time.monotonic_ns()
                late += [(now - each) / 1e6 for each in due]
                continue
            *answers, self._answers = (self._answers + self._device.recv(1 << 16)).split(b"\n")
            assert acknowledged is not None
            for answer in answers:
                word, sequence = answer.split()[:2]
                assert word == b"OK", answer
                acknowledged[self._unanswered.pop(0)] = int(sequence)
        return bool(came)

    def _enter(self, number: int) -> list[Any]:
        host, port = str(self._address.hostname), int(self._address.port or 0)
        made: list[Any] = [socket.create_connection((host, port), timeout=PATIENCE) for _ in range(number)]
        if self._context is not None:
            made = [self._context.wrap_socket(each, server_hostname=host) for each in made]
        upgrade = (
            f"GET {self._address.path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        for each in made:
            each.sendall(upgrade.encode())
        for each in made:
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += (more := each.recv(65_536))
                if not more:
                    raise SystemExit(f"the gateway closed a connection; it said {answer[-300:]!r}")
        for each in made:
            each.setblocking(False)
        return made


def tell(event: str, **facts: Any) -> None:
    """Print what happened."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(**json.loads(sys.argv[1]))
    tell("started")
    while line := crowd.wait():
        order = json.loads(line)
        do = order.pop("do")
        answer: dict[str, Any] = getattr(crowd, do)(**order)
        tell("answer", do=do, **answer)
