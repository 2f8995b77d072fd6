"""Load for lines: keeps many in flight on many connections, with TLS or without, and counts the answers.

A process of its own: ``python generator.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a
`Result`. It knows the gateway's lines and Redis' XADD, each with keys and without, and spends on both the same work
for each line: a slice of bytes made beforehand, and a count of one byte in what comes back.
"""

from __future__ import annotations

import hashlib
import select
import socket
import ssl
import sys
import time
from typing import Literal

import msgspec

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
RING = 8_192
"""Different lines of each connection, made beforehand; then they repeat, on keyed wires under new keys."""
LAP_DIGITS = 7
RECORD = 16_384
"""The most bytes that TLS puts into one record (RFC 8446, section 5.1)."""

DEDUPE = """\
local first = redis.call('GET', KEYS[1])
if first then return first end
first = redis.call('XADD', KEYS[2], '*', 'v', ARGV[1])
redis.call('SET', KEYS[1], first, 'EX', 604800)
return first
"""
"""What Redis does for a line on its keyed wire: a repeat within seven days is told its first id, and not stored."""
DEDUPE_SHA = hashlib.sha1(DEDUPE.encode()).hexdigest().encode()


class Plan(msgspec.Struct, frozen=True):
    """What to send."""

    port: int
    wire: Literal["lines", "redis", "keyed-lines", "keyed-redis"]
    connections: int
    in_flight: int
    """Unanswered lines of each connection."""
    warm_up: float
    seconds: float
    """How long answers are counted, after ``warm_up`` seconds in which they are not."""
    timed: bool
    """Measure each line's time to its answer; for one line in flight only."""
    authority: str | None = None
    """The file with the CA of the server's certificate: then TLS is spoken."""


class Result(msgspec.Struct, frozen=True):
    """What came back."""

    counted: int
    """Answers within the measured time."""
    seconds: float
    answered: int
    """Answers in all, those before and after the measured time included."""
    line_bytes: int
    busy: float
    """Share of the measured time in which this process ran on a processor: at 1.0 it was the limit itself."""
    p50_ms: float | None
    p99_ms: float | None


def payload(connection: int, number: int) -> bytes:
    """Return one line of the shop floor, always of the same length."""
    return b'{"kind":"count","scan_id":"%s","item":"%05d","qty":%d,"station":"press-07","shift":"A"}' % (
        scan_id(connection, number),
        number % 200,
        number % 9 + 1,
    )


def scan_id(connection: int, number: int) -> bytes:
    """Return a line's key; those of a connection ascend."""
    lap, place = divmod(number, RING)
    return b"%04d-%0*d%05d" % (connection, LAP_DIGITS, lap, place)


def framed(wire: str, line: bytes, key: bytes) -> bytes:
    """Return the bytes that carry one line."""
    if wire.endswith("lines"):
        return line + b"\n"
    if wire == "redis":
        return b"*5\r\n$4\r\nXADD\r\n$5\r\nlines\r\n$1\r\n*\r\n$1\r\nv\r\n$%d\r\n%s\r\n" % (len(line), line)
    words = (b"EVALSHA", DEDUPE_SHA, b"2", key, b"lines", line)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Connection:
    """One socket, the lines it is to send, and the answers it got."""

    def __init__(self, plan: Plan, number: int) -> None:
        frames = [framed(plan.wire, payload(number, n), scan_id(number, n)) for n in range(RING)]
        self.frame = len(frames[0])
        assert all(len(frame) == self.frame for frame in frames)
        self._bytes = bytearray().join(frames)
        self._ring = memoryview(self._bytes)
        self._lap = 0
        self._laps_at = self._places_of_laps(plan.wire, number, frames[0]) if plan.wire.startswith("keyed") else []
        # One byte that each answer holds exactly once: the line end, or what begins a bulk string.
        self._mark = b"\n" if plan.wire.endswith("lines") else b"$"
        self._place = 0
        self._owed = 0
        self.socket = socket.create_connection(("127.0.0.1", plan.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._most = len(self._ring)
        if plan.authority is not None:
            self._most = RECORD
            trust = ssl.create_default_context(cafile=plan.authority)
            self.socket = trust.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.setblocking(False)

    def _places_of_laps(self, wire: str, number: int, first: bytes) -> list[list[int]]:
        """Return where in a frame each digit of the lap stands, from its last on."""
        places = []
        for digit in range(LAP_DIGITS):
            lap = RING * 10**digit
            other = framed(wire, payload(number, lap), scan_id(number, lap))
            places.append([place for place in range(self.frame) if other[place] != first[place]])
        return places

    def _begin_lap(self) -> None:
        # All that the ring holds was sent. A slice for each digit gives every line its next key.
        self._lap += 1
        for digit, places in enumerate(self._laps_at):
            figure = b"%d" % (self._lap // 10**digit % 10)
            for place in places:
                self._bytes[place :: self.frame] = figure * RING

    def send(self, lines: int) -> bool:
        """Owe so many more lines, and send what the socket takes; returns whether all went."""
        self._owed += lines * self.frame
        while self._owed:
            try:
                sent = self.socket.send(self._ring[self._place : self._place + min(self._owed, self._most)])
            except (BlockingIOError, ssl.SSLWantWriteError):
                return False
            self._owed -= sent
            self._place += sent
            if self._place == len(self._ring):
                self._place = 0
                self._begin_lap()
        return True

    def receive(self, into: bytearray) -> int:
        """Return how many answers came."""
        try:
            # With TLS that is a record at most, and what follows is still in the socket.
            size = self.socket.recv_into(into)
        except ssl.SSLWantReadError:
            return 0
        if not size:
            raise SystemExit("the server closed a connection")
        if into.find(b"ERR", 0, size) >= 0:
            raise SystemExit(f"the server did not store a line: {bytes(into[: min(size, 200)])!r}")
        return into.count(self._mark, 0, size)


def percentile(ordered: list[float], percent: float) -> float:
    """Return the nearest rank, in milliseconds."""
    return round(1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 3)


def drive(plan: Plan) -> Result:
    """Send, count, and wait at the end until every line that was sent has its answer."""
    assert plan.in_flight == 1 or not plan.timed
    poll = select.epoll()
    connections = {each.socket.fileno(): each for each in (Connection(plan, n) for n in range(plan.connections))}
    began = time.perf_counter()
    counted_from, counted_to = began + plan.warm_up, began + plan.warm_up + plan.seconds
    give_up = counted_to + 30
    sent_at: dict[int, float] = {}
    watched: dict[int, int] = {}
    times: list[float] = []
    counted = answered = 0
    buffer = bytearray(262_144)
    for number, connection in connections.items():
        sent_at[number] = time.perf_counter()
        watched[number] = READ if connection.send(plan.in_flight) else READ | WRITE
        poll.register(number, watched[number])
    open_lines = plan.connections * plan.in_flight
    # Processor seconds used when the measured time began and when it ended.
    used = [0.0, 0.0]
    phase = 0
    while open_lines:
        ready = poll.poll(1.0)
        now = time.perf_counter()
        if now > give_up:
            raise SystemExit(f"{open_lines} lines had no answer 30 s after the end")
        if phase < 2 and now >= (counted_from, counted_to)[phase]:
            used[phase] = time.process_time()
            phase += 1
        counting, sending = counted_from <= now < counted_to, now < counted_to
        for number, events in ready:
            connection = connections[number]
            answers = connection.receive(buffer) if events & ~WRITE else 0
            answered += answers
            open_lines -= answers
            if plan.timed and answers:
                received_at = time.perf_counter()
                if counting:
                    times.append(received_at - sent_at[number])
                sent_at[number] = received_at
            if counting:
                counted += answers
            more = answers if sending else 0
            open_lines += more
            wanted = READ if connection.send(more) else READ | WRITE
            if wanted != watched[number]:
                watched[number] = wanted
                poll.modify(number, wanted)
    times.sort()
    return Result(
        counted=counted,
        seconds=plan.seconds,
        answered=answered,
        line_bytes=len(payload(0, 0)),
        busy=round((used[1] - used[0]) / plan.seconds, 2),
        p50_ms=percentile(times, 50) if times else None,
        p99_ms=percentile(times, 99) if times else None,
    )


if __name__ == "__main__":
    print(msgspec.json.encode(drive(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
