"""The faults a stand-in commits on request, so that clients can be seen to survive them."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong, and how often; nothing by default.

    Latency and ``hang_before`` concern every request under ``/api``. The others concern a request
    whose transaction succeeded.
    """

    latency: Seconds = 0.0
    """Every request waits so long before it is looked at."""
    jitter: Seconds = 0.0
    """And up to so much longer, drawn anew each time."""
    error_after_commit: Probability = 0.0
    """The document is stored, and the answer is an HTML 500."""
    error_before_commit: Probability = 0.0
    """The transaction is undone, and the answer is a JSON 500, as after a deadlock."""
    hang: Probability = 0.0
    """The document is stored, and no answer comes."""
    hang_before: Probability = 0.0
    """Nothing is done, and no answer comes."""


class Plan(Struct, frozen=True):
    """What will go wrong with one request."""

    delay: float = 0.0
    error_after_commit: bool = False
    error_before_commit: bool = False
    hang: bool = False
    hang_before: bool = False


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
        )
