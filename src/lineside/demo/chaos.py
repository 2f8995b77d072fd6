"""What goes wrong on purpose: a gateway that is killed at random moments, an ERP that has bad days."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.demo.plant import Plant
from lineside.edges.frappe.reply import Unreachable
from lineside.model.errors import LinesideError

log = Logger()

BAD_DAYS: tuple[dict[str, object], ...] = (
    {"error_after_commit": 0.2},
    {"error_before_commit": 0.2},
    {"hang": 0.05},
    {"hang_before": 0.05},
    {"latency": 0.15},
    {"error_after_commit": 0.1, "hang": 0.03, "latency": 0.02},
    {"down": 1.0},
)
FINE: dict[str, object] = {
    "error_after_commit": 0.0,
    "error_before_commit": 0.0,
    "hang": 0.0,
    "hang_before": 0.0,
    "latency": 0.0,
}


class Chaos:
    """Kills the gateway and troubles the ERP until it is told to end."""

    def __init__(self, reactor: Any, plant: Plant, random: Random, *, kills_every: tuple[float, float]) -> None:
        self._reactor = reactor
        self._plant = plant
        self._random = random
        self._kills_every = kills_every
        self._ended = False
        self.weather = "fine"

    def end(self) -> None:
        """Begin nothing more."""
        self._ended = True

    async def kill(self) -> None:
        """Kill the gateway at random moments; it is started anew each time."""
        while True:
            # Mostly while it works; one time in five while it is still starting.
            if self._random.random() > 0.2:
                await self._plant.gateway_works()
            await deferLater(self._reactor, self._random.uniform(*self._kills_every))
            if self._ended:
                return
            await self._plant.kill_gateway()

    async def trouble(self) -> None:
        """Give the ERP one bad time after the other, and let it be well in the end."""
        while not self._ended:
            await deferLater(self._reactor, self._random.uniform(0.5, 2.0))
            await self._set(self._random.choice(BAD_DAYS))
        await self._set({})

    async def _set(self, faults: dict[str, object]) -> None:
        for _ in range(20):
            try:
                await self._plant.set_faults(**{**FINE, **faults})
            except CancelledError:
                raise
            except (LinesideError, Unreachable):
                # The ERP may be down by the last order; it comes back by itself.
                await deferLater(self._reactor, 0.5)
            else:
                self.weather = ", ".join(f"{name} {value}" for name, value in faults.items()) or "fine"
                return
        raise LinesideError("the ERP stand-in does not come back")
