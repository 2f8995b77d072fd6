"""How many connections may wait to be taken."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.listening import BACKLOG, server_endpoint


class Backlog(SynchronousTestCase):
    """What `server_endpoint` makes of endpoint strings."""

    def listened(self, listen: str) -> tuple[Any, ...]:
        """Return where a listener is, and how many may wait there."""
        reactor: Any = MemoryReactorClock()
        self.successResultOf(server_endpoint(reactor, listen).listen(Factory()))
        for port, _, backlog, *interface in [*reactor.tcpServers, *reactor.unixServers]:
            return port, backlog, interface[0]
        raise AssertionError("it listens nowhere")

    def test_a_plant_that_calls_at_once_may_wait(self) -> None:
        """Where the configuration does not say how many, it is as many as Linux allows."""
        for listen, place in (
            ("tcp:7001", (7001, BACKLOG, "")),
            ("tcp:7001:interface=10.0.0.1", (7001, BACKLOG, "10.0.0.1")),
            ("tcp6:7001", (7001, BACKLOG, "::")),
            ("tcp6:7001:interface=\\:\\:1", (7001, BACKLOG, "::1")),
        ):
            self.assertEqual(place, self.listened(listen))
        self.assertEqual(("/run/gate.sock", BACKLOG), self.listened("unix:/run/gate.sock")[:2])

    def test_what_is_said_stands(self) -> None:
        """A number that is given stays."""
        for listen in ("tcp:7001:backlog=7", "tcp:7001:127.0.0.1:7", "tcp6:7001:backlog=7", "unix:/s:backlog=7"):
            self.assertEqual(7, self.listened(listen)[1])
