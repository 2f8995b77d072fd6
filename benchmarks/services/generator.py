"""Load for `http_services`: a request at a time on each of many keep-alive connections, and a count of answers.

A process of its own: ``python generator.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a
`Result`. Requests are bytes made beforehand; of an answer no more is read than its status and where it ends.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from typing import Literal

import msgspec

RING = 512
"""Different requests of each connection, made beforehand; then they repeat."""
PATHS = {"get": b"/healthz", "post": b"/api/v1/events/gate"}
STATUS = {"get": b"HTTP/1.1 200 ", "post": b"HTTP/1.1 202 "}
LENGTH = b"\r\ncontent-length: "
"""In lower case, as a head is searched for it."""


class Plan(msgspec.Struct, frozen=True):
    """What to ask."""

    port: int
    kind: Literal["get", "post"]
    connections: int
    warm_up: float
    seconds: float
    """How long answers are counted, after ``warm_up`` seconds in which they are not."""


class Result(msgspec.Struct, frozen=True):
    """What came back."""

    counted: int
    """Answers within the measured time."""
    seconds: float
    answered: int
    """Answers in all, those before and after the measured time included."""
    busy: float
    """Share of the measured time in which this process ran on a processor: at 1.0 it was the limit itself."""
    p50_ms: float
    p99_ms: float


def event(connection: int, number: int) -> bytes:
    """Return one event of the shop floor as JSON, always of the same length."""
    return b'{"kind":"count","scan_id":"%04d-%05d","item":"%05d","qty":%d,"station":"press-07","shift":"A"}' % (
        connection,
        number,
        number % 200,
        number % 9 + 1,
    )


def request(plan: Plan, connection: int, number: int) -> bytes:
    """Return one request."""
    host = b"HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % plan.port
    if plan.kind == "get":
        return b"GET %s %s\r\n" % (PATHS["get"], host)
    body = event(connection, number)
    head = b"POST %s %sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (PATHS["post"], host, len(body)) + body


class Connection:
    """One socket, and the one request that is under way on it."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._requests = [request(plan, number, n) for n in range(RING)]
        self._status = STATUS[plan.kind]
        self._next = 0
        self._came = b""
        self.sent_at = 0.0
        self.socket = socket.create_connection(("127.0.0.1", plan.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        """Send the next request; a socket that has its answer takes one at once."""
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._requests[self._next])
        self._next = (self._next + 1) % RING

    def answered(self) -> bool:
        """Read what came, and tell whether the answer is whole."""
        came = self.socket.recv(65_536)
        if not came:
            raise SystemExit("the server closed a connection")
        self._came += came
        end = self._came.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._came.startswith(self._status):
            raise SystemExit(f"the server answered {self._came[:400]!r}")
        head = self._came[: end + 2].lower()
        at = head.find(LENGTH)
        if at < 0:
            raise SystemExit(f"an answer has no length: {head!r}")
        at += len(LENGTH)
        missing = end + 4 + int(head[at : head.index(b"\r", at)]) - len(self._came)
        if missing < 0:
            raise SystemExit(f"more came than was asked for: {self._came!r}")
        if missing:
            return False
        self._came = b""
        return True


def percentile(ordered: list[float], percent: float) -> float:
    """Return the nearest rank, in milliseconds."""
    return round(1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 3)


def drive(plan: Plan) -> Result:
    """Ask, count, and wait at the end until every request has its answer."""
    poll = select.epoll()
    connections = {each.socket.fileno(): each for each in (Connection(plan, n) for n in range(plan.connections))}
    began = time.perf_counter()
    counted_from, counted_to = began + plan.warm_up, began + plan.warm_up + plan.seconds
    give_up = counted_to + 30
    times: list[float] = []
    answered = 0
    for number, connection in connections.items():
        poll.register(number, select.EPOLLIN)
        connection.ask()
    waiting = len(connections)
    # Processor seconds used when the measured time began and when it ended.
    used = [0.0, 0.0]
    phase = 0
    while waiting:
        ready = poll.poll(1.0)
        now = time.perf_counter()
        if now > give_up:
            raise SystemExit(f"{waiting} requests had no answer 30 s after the end")
        if phase < 2 and now >= (counted_from, counted_to)[phase]:
            used[phase] = time.process_time()
            phase += 1
        counting, asking = counted_from <= now < counted_to, now < counted_to
        for number, _ in ready:
            connection = connections[number]
            if not connection.answered():
                continue
            answered += 1
            if counting:
                times.append(time.perf_counter() - connection.sent_at)
            if asking:
                connection.ask()
            else:
                waiting -= 1
    if not times:
        raise SystemExit("no answer came within the measured time")
    times.sort()
    return Result(
        counted=len(times),
        seconds=plan.seconds,
        answered=answered,
        busy=round((used[1] - used[0]) / plan.seconds, 2),
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
    )


if __name__ == "__main__":
    print(msgspec.json.encode(drive(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
