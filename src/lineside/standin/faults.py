"""The faults a stand-in commits on request, so that clients can be seen to survive them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from lineside.standin.errors import FrappeError, connection_lost, deadlock, lock_wait, raised, thrown

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong, and how often; nothing by default.

    The first four of a commit concern a request whose transaction succeeded, the locks a change, all others
    every request under ``/api``.
    """

    latency: Seconds = 0.0
    """Every request waits so long before it is looked at."""
    jitter: Seconds = 0.0
    """And up to so much longer, drawn anew each time."""
    error_after_commit: Probability = 0.0
    """The document is stored, and the answer is an HTML 500."""
    error_before_commit: Probability = 0.0
    """The connection to MariaDB breaks: the transaction is undone, and the answer is a JSON 500."""
    hang: Probability = 0.0
    """The document is stored, and no answer comes."""
    hang_before: Probability = 0.0
    """Nothing is done, and no answer comes."""
    deadlock: Probability = 0.0
    """MariaDB undoes the transaction of a change: QueryDeadlockError."""
    lock_wait: Probability = 0.0
    """A change waits ``lock_wait_seconds`` for a row and is undone: QueryTimeoutError."""
    lock_wait_seconds: Seconds = 50.0
    """MariaDB's own default."""
    cut: Probability = 0.0
    """Half of the answer comes, then the connection ends."""
    byte_delay: Seconds = 0.0
    """So long between any two bytes of an answer."""
    wrong_content_type: Probability = 0.0
    """JSON comes as text/html."""
    bad_gateway: Probability = 0.0
    """Nothing is done, and a proxy answers with an HTML 502."""
    workers: Annotated[int, Meta(ge=0)] = 0
    """So many requests are served at a time, the others wait; 0 for any number."""
    service_time: Seconds = 0.0
    """Each request keeps its worker so long."""


class Plan(Struct, frozen=True):
    """What will go wrong with one request."""

    delay: float = 0.0
    error_after_commit: bool = False
    error_before_commit: bool = False
    hang: bool = False
    hang_before: bool = False
    deadlock: bool = False
    lock_wait: bool = False
    cut: bool = False
    wrong_content_type: bool = False
    bad_gateway: bool = False

    @property
    def undone(self) -> FrappeError | None:
        """What the transaction of a change ends with instead of a commit."""
        if self.lock_wait:
            return lock_wait()
        if self.deadlock:
            return deadlock()
        return connection_lost() if self.error_before_commit else None


class FaultKnobs:
    """The faults in force, and the dice."""

    def __init__(self, random: Random, faults: Faults | None = None) -> None:
        self._random = random
        self.faults = faults or Faults()

    def turn(self, changes: dict[str, Any]) -> None:
        """Change the faults named; the others stay.

        Raises:
            msgspec.ValidationError: no such fault, or a value out of its range.

        """
        self.faults = msgspec.convert({**msgspec.structs.asdict(self.faults), **changes}, Faults)

    def draw(self) -> Plan:
        """Return one request's plan. The draws are the same in number whatever comes out."""
        faults = self.faults
        return Plan(
            faults.latency + faults.jitter * self._random.random(),
            self._random.random() < faults.error_after_commit,
            self._random.random() < faults.error_before_commit,
            self._random.random() < faults.hang,
            self._random.random() < faults.hang_before,
            self._random.random() < faults.deadlock,
            self._random.random() < faults.lock_wait,
            self._random.random() < faults.cut,
            self._random.random() < faults.wrong_content_type,
            self._random.random() < faults.bad_gateway,
        )


class Refusals:
    """For a while, whoever shows a key or a cookie is refused, as after a change of roles or keys.

    Args:
        seconds: a clock.

    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._until = {"unauthorized": 0.0, "forbidden": 0.0}

    def refuse(self, kind: str, seconds: float) -> None:
        """Refuse for so long from now: ``unauthorized`` is 401, ``forbidden`` 403."""
        self._until[kind] = self._seconds() + seconds

    def left(self) -> dict[str, float]:
        """Return how many seconds each goes on."""
        now = self._seconds()
        return {kind: max(until - now, 0.0) for kind, until in self._until.items()}

    def refusal(self) -> FrappeError | None:
        """Return what to answer at the moment."""
        left = self.left()
        if left["unauthorized"]:
            return raised("AuthenticationError")
        return thrown("PermissionError", "Not permitted") if left["forbidden"] else None
