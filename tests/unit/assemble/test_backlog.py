"""How many connections may wait to be taken."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.sources import BACKLOG, with_backlog


class Backlog(SynchronousTestCase):
    """What `with_backlog` makes of endpoint strings."""

    def test_a_plant_that_calls_at_once_may_wait(self) -> None:
        """Where the configuration does not say how many, it is as many as Linux allows."""
        for listen in ("tcp:7001", "tcp6:7001:interface=\\:\\:1", "unix:/run/gate.sock"):
            self.assertEqual(f"{listen}:backlog={BACKLOG}", with_backlog(listen))

    def test_what_is_said_stands(self) -> None:
        """A number that is given stays, and other kinds of endpoints are left alone."""
        for listen in ("tcp:7001:backlog=7", "tcp:7001:127.0.0.1:7", "systemd:domain=INET:index=0"):
            self.assertEqual(listen, with_backlog(listen))
