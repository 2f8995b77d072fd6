"""Looking services up: remembered as long as they hold, and longer where nobody answers."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.dns.services import Answer, Service

log = Logger()

LEAST, MOST = 1, 86_400
"""Seconds that an answer is taken to hold, whatever it says."""
AGAIN = 30.0
"""Seconds until a name server is asked again that did not answer (RFC 8767, section 5)."""
STALE = 7 * 86_400.0
"""Seconds after its end for which an answer is still better than none."""
PATIENCE = 1.8
"""Seconds to wait for a new answer where there is an old one (RFC 8767, section 5)."""


class Unresolved(Exception):
    """No name server gave an answer; the text says why."""


class Resolver(Protocol):
    """Asks name servers."""

    async def services(self, name: str) -> Answer:
        """Return where a service is.

        Raises:
            Unresolved: nobody said anything of use.

        """
        ...


class ServiceLookups:
    """Where one service is.

    Args:
        name: of the service, such as ``_erp._tcp.plant.example``.
        resolver: is asked.
        clock: counts how long answers hold.

    """

    def __init__(self, name: str, resolver: Resolver, clock: IReactorTime) -> None:
        self.name = name
        self._resolver = resolver
        self._clock = clock
        self._answer: Answer | None = None
        self._holds_until = 0.0
        self._ended_at = 0.0
        self._asked_until = 0.0
        self._silent = False
        self._background = Background(f"look-ups of {name}")
        self._asking: Deferred[None] | None = None
        self._waiting = 0
        self._why = ""

    async def find(self) -> tuple[Service, ...]:
        """Return the servers. Where nobody answers, those that were answered last.

        Raises:
            DNSLookupError: nobody answers and nothing was answered before; or there is no such service.

        """
        if self._clock.seconds() >= self._holds_until:
            await self._renewed()
        answer = self._answer
        if answer is None or self._clock.seconds() > self._ended_at + STALE:
            raise DNSLookupError(f"no name server says where {self.name} is: {self._why}")
        if not answer.services:
            raise DNSLookupError(f"there is no service {self.name}")
        return answer.services

    def doubt(self) -> None:
        """Ask again before the next use: nothing that was answered can be reached."""
        if not self._silent:
            self._holds_until = 0.0

    async def _renewed(self) -> None:
        asking = self._asking
        if asking is None:
            asking = self._asking = self._background.run("ask", self._ask())
            asking.addBoth(self._asked)
        waiting: Deferred[None] = Deferred()
        asking.addBoth(lambda _: _tell(waiting))
        # Who has an old answer does not wait for ever; the new one is there for the next.
        patience = None if self._answer is None else self._clock.callLater(PATIENCE, _tell, waiting)
        self._waiting += 1
        try:
            await waiting
        except CancelledError:
            if self._waiting == 1 and self._asking is not None:
                # Nobody else wants to know.
                self._asking.cancel()
            raise
        finally:
            self._waiting -= 1
            if patience is not None and patience.active():
                patience.cancel()

    async def _ask(self) -> None:
        try:
            answer = await self._resolver.services(self.name)
        except CancelledError:
            raise
        except Unresolved as unresolved:
            self._why = str(unresolved)
            self._holds_until = self._clock.seconds() + (AGAIN if self._answer is not None else 0.0)
            if not self._silent:
                self._silent = True
                log.warn(
                    "dns.unresolved",
                    service=self.name,
                    reason=self._why,
                    kept=self._answer is not None,
                    remedy="the name servers do not answer; what they said last is used, if there is any. See "
                    "servers in [dns] and /etc/resolv.conf",
                )
        else:
            self._took(answer)

    def _asked(self, _: object) -> None:
        self._asking = None

    def _took(self, answer: Answer) -> None:
        if self._silent:
            self._silent = False
            log.info("dns.resolved", service=self.name)
        self._answer = answer
        self._ended_at = self._clock.seconds() + min(max(answer.ttl, LEAST), MOST)
        self._holds_until = self._ended_at


def _tell(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
