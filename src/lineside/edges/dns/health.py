"""What is down leaves the answers, and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.edges.dns.checks import AddressCheck
from lineside.edges.dns.responder import Responder
from lineside.edges.dns.zone import Plant
from lineside.wire.dnsnames import Name, name_text
from lineside.wire.dnsrecords import TYPE_NAMES

log = Logger()

EVERY = 1.0
"""Seconds between two looks at what is down."""


class Health:
    """Looks at everything that a record needs, and tells the zones.

    Args:
        plant: the zones.
        responder: forgets its answers when the zones change.
        states: by condition, what tells why it does not hold; None while it does.
        checks: of addresses, to be started and stopped with it.
        clock: says when to look.
        now: the wall clock, seconds; the serial of a changed zone.

    """

    def __init__(
        self,
        plant: Plant,
        responder: Responder,
        states: Mapping[str, Callable[[], str | None]],
        checks: Iterable[AddressCheck],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._plant = plant
        self._responder = responder
        self._states = dict(states)
        self._checks = list(checks)
        self._now = now
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock
        self.down: dict[str, str] = {}
        """Why what is down is down, by condition."""

    async def start(self) -> None:
        """Look, and go on looking."""
        for check in self._checks:
            check.start()
        self.look()
        self._looking.start(EVERY, now=False)

    async def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()
        for check in self._checks:
            await check.stop()

    def look(self) -> None:
        """Look now."""
        down = {name: why for name, state in self._states.items() if (why := state()) is not None}
        changed = down.keys() ^ self.down.keys()
        before, self.down = self.down, down
        if not changed:
            return
        for condition in sorted(changed):
            if condition in down:
                log.warn(
                    "dns.down",
                    condition=condition,
                    reason=down[condition],
                    remedy="its records have left the answers, and come back with it; see `lineside dns zone`",
                )
            else:
                log.info("dns.up", condition=condition, was=before[condition])
        fallen = self._plant.fallen
        self._plant.see(down.keys(), max(self._plant.serial + 1, int(self._now())))
        self._responder.forget()
        for name, kind in sorted(self._plant.fallen - fallen):
            log.error(
                "dns.all_down",
                name=name_text(name),
                type=TYPE_NAMES[kind],
                remedy="nothing under this name is up; see the reasons in dns.down, and all_down in [dns] for what "
                "is answered meanwhile",
            )
        for name, kind in sorted(fallen - self._plant.fallen):
            log.info("dns.some_up", name=name_text(name), type=TYPE_NAMES[kind])


def fallen_texts(fallen: Iterable[tuple[Name, int]]) -> list[str]:
    """Return names and types of which everything is down, for people."""
    return sorted(f"{name_text(name)} {TYPE_NAMES[kind]}" for name, kind in fallen)
