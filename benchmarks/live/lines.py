"""The device of `browser_latency`, and the clients that see its lines beside the page.

A process of its own: ``python lines.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a `Sent` when
each of the clients has each line.
"""

from __future__ import annotations

import select
import socket
import sys
import time

import msgspec
from load import BUCKET, DRAIN, percentiles, walk
from wires import MARK, WIRES, message


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    port: int
    """Where clients subscribe."""
    lines_port: int
    token: str
    clients: int
    rate: float
    """Lines a second."""
    messages: int


class Sent(msgspec.Struct):
    """What was sent."""

    began: float
    """When the first line was due, Unix time; the next ones 1/rate s apart."""
    percentiles_ms: dict[str, float]
    """Of the clients beside."""


def run(plan: Plan) -> Sent:
    """Carry a plan out."""
    wire = WIRES["gateway"]
    poll = select.epoll()
    device = socket.create_connection(("127.0.0.1", plan.lines_port))
    device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poll.register(device, select.EPOLLIN)
    clients = {each.fileno(): each for each in walk(wire, plan.port, plan.clients, wire.subscribe(plan.token))}
    for number in clients:
        poll.register(number, select.EPOLLIN)
    seen = dict.fromkeys(clients, 0)
    counts: dict[int, int] = {}
    sent, answered = 0, 0
    wall = time.time()
    began = time.perf_counter()
    due = [began + number / plan.rate for number in range(plan.messages)]
    while sent < plan.messages or answered < plan.messages or sum(seen.values()) < plan.messages * len(clients):
        now = time.perf_counter()
        if now > due[-1] + DRAIN:
            raise SystemExit(f"of {plan.messages} lines {answered} were answered, {sum(seen.values())} seen")
        while sent < plan.messages and due[sent] <= now:
            device.sendall(message(sent) + b"\n")
            sent += 1
        for number, _ in poll.poll(max(0.0, due[sent] - now) if sent < plan.messages else 1.0):
            if number == device.fileno():
                answers = device.recv(65_536)
                if not answers or wire.refused in answers:
                    raise SystemExit(f"the gateway refused a line: {answers[:200]!r}")
                answered += answers.count(b"\n")
                continue
            data = clients[number].recv(1_048_576)
            if wire.ping in data:
                clients[number].sendall(wire.pong)
            now, first, count = time.perf_counter(), seen[number], data.count(MARK)
            for each in due[first : first + count]:
                bucket = int((now - each) / BUCKET)
                counts[bucket] = counts.get(bucket, 0) + 1
            seen[number] = first + count
    return Sent(began=wall, percentiles_ms=percentiles(counts))


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
