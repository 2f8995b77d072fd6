"""Load for `fan_out`: publishes, and counts what its clients are sent.

A process of its own: ``python load.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a `Result`.
All clients are plain sockets under one epoll. For each read, whichever the server, it does no more than count one
byte and look for a ping, or not even that where only whole messages can have come.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from pathlib import Path

import msgspec
from wires import MARK, WIRES, Step, Wire, message

TOGETHER = 50
"""Clients that connect at a time."""
PUBLISHERS = 40
"""Connections that publish, in turn: a client of the gateway may publish 500 messages a second."""
BUCKET = 0.0005
"""Seconds; by so much latencies are told apart."""
DRAIN = 15.0
"""Seconds that what was published may still take to arrive."""


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    wire: str
    port: int
    """Where clients subscribe."""
    publish_port: int
    server: int
    """The process that serves the clients: its memory and its processor time are told."""
    token: str
    clients: int
    burst: int
    """Messages published at once."""
    in_flight: int
    """Bursts that are published before the first of them has arrived everywhere."""
    warm_up: float
    seconds: float
    rates: list[float]
    """Messages a second, one after the other; where there are none, a burst is published whenever another has
    arrived everywhere."""
    bound_ms: float
    """A rate whose p99 is not below it, in ``attempts`` in a row, ends the list."""
    attempts: int
    """What else goes on on the machine only ever adds to a latency."""


class Measured(msgspec.Struct):
    """What came of one measurement."""

    rate: float | None
    per_second: float
    """Deliveries."""
    load_busy: float
    """Share of the time in which this process read what had come: at 1.0 it was the limit itself."""
    server_busy: float
    server_us: float
    """The server's processor time for one delivery."""
    percentiles_ms: dict[str, float]


class Result(msgspec.Struct):
    """What came of a plan."""

    kib_a_client: float
    """What the server's resident memory grew by while the clients connected."""
    steps: list[Measured]


def resident(process: int) -> int:
    """Return a process's resident bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_time(process: int) -> float:
    """Return the processor seconds a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def walk(wire: Wire, port: int, number: int, steps: list[Step]) -> list[socket.socket]:
    """Return so many connections that took all steps, side by side."""
    made = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(number)]
    for said, expected in steps:
        for each in made:
            each.sendall(said)
        for each in made:
            answer = b""
            while expected not in answer:
                data = each.recv(65_536)
                if not data:
                    raise SystemExit(f"the server closed a connection; it said {answer[-300:]!r}")
                answer += data
            if wire.ping in answer:
                # Some are asked for a sign of life the moment they are there.
                each.sendall(wire.pong)
    for each in made:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Load:
    """All clients and publishers of one server."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._wire = wire = WIRES[plan.wire]
        self._poll = select.epoll()
        self._publishers = walk(wire, plan.publish_port, PUBLISHERS, wire.enter(plan.token))
        self._answering = {each.fileno(): each for each in self._publishers}
        for number in self._answering:
            self._poll.register(number, select.EPOLLIN)
        self._buffer = bytearray(1_048_576)
        before = resident(plan.server)
        self._clients: dict[int, socket.socket] = {}
        while len(self._clients) < plan.clients:
            together = min(TOGETHER, plan.clients - len(self._clients))
            for client in walk(wire, plan.port, together, wire.subscribe(plan.token)):
                client.setblocking(False)
                self._clients[client.fileno()] = client
                self._poll.register(client.fileno(), select.EPOLLIN)
            # Those that are there may be asked for a sign of life.
            self._take(0)
        self.kib_a_client = (resident(plan.server) - before) / 1024 / plan.clients
        self._frame = 0
        self._burst = 0
        self._numbers = 0

    def publish(self, messages: int) -> None:
        """Publish so many at once."""
        publisher = self._publishers[self._burst % PUBLISHERS]
        self._burst += 1
        publisher.sendall(self._wire.publish([message(self._numbers + each) for each in range(messages)]))
        self._numbers += messages

    def closed(self, seconds: float) -> Measured:
        """Publish a burst whenever so many deliveries as one makes have come.

        It looks again and again instead of being woken, which would cost the server more than the write itself:
        clients elsewhere are not woken by it.
        """
        burst = self._plan.burst * len(self._clients)
        room = (self._plan.in_flight - 1) * burst
        delivered, missing, worked = 0, 0, 0.0
        used = processor_time(self._plan.server)
        began = now = last = time.perf_counter()
        while True:
            while missing <= room and now - began < seconds:
                self.publish(self._plan.burst)
                missing += burst
            if not missing:
                break
            before = time.perf_counter()
            came = sum(count for _, count, _ in self._take(0, timed=False))
            now = time.perf_counter()
            missing -= came
            delivered += came
            if missing < 0:
                raise SystemExit("a client was sent more than was published")
            if came:
                last = now
                worked += now - before
            elif now - last > DRAIN:
                raise SystemExit(f"{missing} deliveries did not arrive")
        return self._told(None, delivered, now - began, worked, used, {})

    def paced(self, rate: float, seconds: float) -> Measured:
        """Publish at a rate, whatever arrives; latencies are counted from when a message was due."""
        messages = max(1, round(rate * seconds))
        delivered, published = 0, 0
        seen = dict.fromkeys(self._clients, 0)
        counts: dict[int, int] = {}
        used, worked = processor_time(self._plan.server), time.process_time()
        began = now = time.perf_counter()
        due = [began + number / rate for number in range(messages)]
        give_up = due[-1] + DRAIN
        while delivered < messages * len(seen):
            now = time.perf_counter()
            while published < messages and due[published] <= now:
                self.publish(1)
                published += 1
            if now > give_up:
                raise SystemExit(f"of {messages * len(seen)} deliveries {delivered} arrived")
            wait = due[published] - now if published < messages else 1.0
            for client, count, now in self._take(wait):
                first = seen[client]
                seen[client] = first + count
                for late in due[first : first + count]:
                    bucket = int((now - late) / BUCKET)
                    counts[bucket] = counts.get(bucket, 0) + 1
                delivered += count
        worked = time.process_time() - worked
        return self._told(rate, delivered, now - began, worked, used, percentiles(counts))

    def _take(self, timeout: float, *, timed: bool = True) -> list[tuple[int, int, float]]:
        """Return how many messages came for whom, and when.

        Where the time is not asked for, all messages are of one length (positions in a stream would change it), and
        a whole number of them is not looked at.
        """
        buffer, clients, ping = self._buffer, self._clients, self._wire.ping
        steady = 0 if timed else self._frame
        came = []
        for number, _ in self._poll.poll(timeout):
            client = clients.get(number)
            if client is None:
                publisher = self._answering[number]
                answer = publisher.recv(65_536)
                if not answer or self._wire.refused in answer:
                    raise SystemExit(f"the server refused a message: {answer[:300]!r}")
                if ping in answer:
                    publisher.sendall(self._wire.pong)
                continue
            size = client.recv_into(buffer)
            if not size:
                raise SystemExit("the server closed a connection")
            if steady and not size % steady:
                # Nothing but messages, each of which is as long as any other.
                came.append((number, size // steady, 0.0))
                continue
            if buffer.find(ping, 0, size) >= 0:
                client.send(self._wire.pong)
            count = buffer.count(MARK, 0, size)
            if count:
                came.append((number, count, time.perf_counter()))
            if count == 1 and size == 4 + int.from_bytes(buffer[2:4], "big"):
                self._frame = size
        return came

    def _told(
        self,
        rate: float | None,
        delivered: int,
        seconds: float,
        worked: float,
        used: float,
        late: dict[str, float],
    ) -> Measured:
        server = processor_time(self._plan.server) - used
        return Measured(
            rate=rate,
            per_second=delivered / seconds,
            load_busy=worked / seconds,
            server_busy=server / seconds,
            server_us=1e6 * server / delivered,
            percentiles_ms=late,
        )


def percentiles(counts: dict[int, int]) -> dict[str, float]:
    """Return the distribution of latencies, each the upper end of its bucket in milliseconds."""
    total, told, below = sum(counts.values()), {}, 0
    wanted = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
    for bucket in sorted(counts):
        below += counts[bucket]
        while wanted and below >= wanted[0][1] * total:
            told[wanted.pop(0)[0]] = round((bucket + 1) * BUCKET * 1_000, 1)
    return told


def run(plan: Plan) -> Result:
    """Carry a plan out."""
    load = Load(plan)
    result = Result(kib_a_client=load.kib_a_client, steps=[])
    if not plan.rates:
        load.closed(plan.warm_up)
        result.steps.append(load.closed(plan.seconds))
        return result
    load.paced(plan.rates[0], plan.warm_up)
    for rate in plan.rates:
        for _ in range(plan.attempts):
            step = load.paced(rate, plan.seconds)
            result.steps.append(step)
            if step.percentiles_ms["p99"] < plan.bound_ms:
                break
        else:
            break
    return result


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
