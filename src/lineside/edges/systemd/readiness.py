"""What the supervisor shows of a gateway: that it is ready, what it is doing, that it stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from lineside.edges.systemd.notify import Supervisor
from lineside.operations.results import RouteStatus, SourceStatus

REFRESH = 5.0
"""Seconds between two looks at what is to be shown; it is sent only when it has changed."""


class Readiness:
    """The `Part` that tells the supervisor of the gateway. Start it last: then everything works."""

    name = "supervisor"

    def __init__(self, supervisor: Supervisor, status: Callable[[], str], clock: IReactorTime) -> None:
        self._supervisor = supervisor
        self._status = status
        self._told = ""
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    async def start(self) -> None:
        """Say that the gateway is ready, and from now on what it is doing."""
        self._told = self._status()
        self._supervisor.tell(READY="1", STATUS=self._told)
        self._looking.start(REFRESH, now=False)

    async def stop(self) -> None:
        """Say that it stops."""
        self._looking.stop()
        self._supervisor.tell(STOPPING="1", STATUS="stops: answers devices and finishes deliveries")

    def _look(self) -> None:
        status = self._status()
        if status != self._told:
            self._told = status
            self._supervisor.tell(STATUS=status)


def status_line(sources: Sequence[SourceStatus], routes: Sequence[RouteStatus]) -> str:
    """Return the gateway in one line: its sources, their connections, and what hinders its routes."""
    connections = sum(source.connections for source in sources)
    words = [f"{_many(len(sources), 'source')} with {_many(connections, 'connection')}"]
    hindered: dict[str, list[str]] = {}
    for route in routes:
        if route.problem is not None:
            hindered.setdefault(f"{route.target}: {route.problem}", []).append(route.id)
    free = len(routes) - sum(map(len, hindered.values()))
    words.append(f"{free} of {_many(len(routes), 'route')} free to deliver")
    words += [f"{', '.join(ids)} held up by {problem}" for problem, ids in hindered.items()]
    return "; ".join(words)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
