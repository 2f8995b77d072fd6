"""Questions for `dns_answers`: so many under way on each of some sockets, and a count of right answers.

A process of its own: ``python asking.py PLAN``, where PLAN is the JSON of a `Plan`. Prints the JSON of a
`Result`. Many datagrams go in one call of the kernel, so that it is never the bound.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from ipaddress import IPv4Address
from struct import pack

import msgspec
from packets import ROOM, Packets

PATIENCE = 0.25
"""Seconds without any answer after which what is under way is taken to be lost."""


class Plan(msgspec.Struct, frozen=True):
    """What to ask."""

    port: int
    names: int
    """Different names, ``gateNNNN.plant.example``."""
    sockets: int
    window: int
    """Questions under way on each."""
    warm_up: float
    seconds: float
    exact: bool = True
    """An answer must have its name's own address."""


class Result(msgspec.Struct, frozen=True):
    """What came back."""

    counted: int
    seconds: float
    answered: int
    lost: int
    busy: float
    """Share of the measured time in which this process ran on a processor."""


def question(number: int, identity: int) -> bytes:
    """Return a question for a name's address."""
    label = b"gate%04d" % number
    name = bytes((len(label),)) + label + b"\x05plant\x07example\x00"
    return pack(">6H", identity, 0x0100, 1, 0, 0, 0) + name + pack(">2H", 1, 1)


def address(number: int) -> bytes:
    """Return the address that a name has."""
    return IPv4Address(f"10.1.{number // 250}.{number % 250 + 1}").packed


class Caller:
    """One socket, its questions made beforehand."""

    def __init__(self, plan: Plan, first: int) -> None:
        self.handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.handle.connect(("127.0.0.1", plan.port))
        self._window = plan.window
        self._ring = Packets(plan.window * 2)
        # The ring twice in a row, so that any part of it is one piece.
        questions = [question((first + n) % plan.names, n) for n in range(plan.window)]
        self._ring.fill(questions * 2)
        self._came = Packets(plan.window)
        self._next = 0
        self._numbers = [(first + n) % plan.names for n in range(plan.window)]
        self._exact = plan.exact

    def ask(self, count: int) -> None:
        """Send the next ``count`` questions."""
        while count:
            sent = self._ring.send(self.handle, count, self._next)
            self._next = (self._next + sent) % self._window
            count -= sent

    def take(self) -> int:
        """Receive answers; all must be good, and one of them is looked at in full."""
        count = self._came.receive(self.handle)
        if not count:
            return 0
        end = ROOM * count
        whole = bytes(self._came.view[:end])
        # Each is an answer, without an error, to one question, with one record.
        good = all({byte & mask for byte in set(whole[at::ROOM])} == {wanted} for at, mask, wanted in _HEAD)
        identity = int.from_bytes(whole[:2], "big")
        if not good or (self._exact and address(self._numbers[identity]) not in whole[:ROOM]):
            raise SystemExit(f"a wrong answer: {whole[:80]!r}")
        return count


_HEAD = ((2, 0x80, 0x80), (3, 0x0F, 0), (5, 0xFF, 1), (7, 0xFF, 1))


def drive(plan: Plan) -> Result:
    """Ask, and count."""
    poll = select.epoll()
    step = max(1, plan.names // plan.sockets)
    callers = [Caller(plan, index * step) for index in range(plan.sockets)]
    found = {caller.handle.fileno(): caller for caller in callers}
    began = time.perf_counter()
    counted_from, counted_to = began + plan.warm_up, began + plan.warm_up + plan.seconds
    used = [0.0, 0.0]
    phase = counted = answered = lost = 0
    for caller in callers:
        poll.register(caller.handle, select.EPOLLIN)
        caller.ask(plan.window)
    under_way = dict.fromkeys(found, plan.window)
    while True:
        ready = poll.poll(PATIENCE)
        now = time.perf_counter()
        if phase < 2 and now >= (counted_from, counted_to)[phase]:
            used[phase] = time.process_time()
            phase += 1
        if now >= counted_to:
            break
        if not ready:
            for number, caller in found.items():
                lost += under_way[number]
                caller.ask(plan.window)
                under_way[number] = plan.window
        for number, _ in ready:
            count = found[number].take()
            answered += count
            if now >= counted_from:
                counted += count
            found[number].ask(count)
    return Result(counted, plan.seconds, answered, lost, round((used[1] - used[0]) / plan.seconds, 3))


if __name__ == "__main__":
    result = drive(msgspec.json.decode(sys.argv[1], type=Plan))
    print(msgspec.json.encode(result).decode())
