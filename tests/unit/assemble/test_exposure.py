"""Who can reach a listener, and that nobody is served before anybody can say who they are."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.exposure import AskedDoor, is_public
from lineside.model.errors import LinesideError


class Reach(SynchronousTestCase):
    """By the endpoint string."""

    def test_what_only_this_machine_reaches(self) -> None:
        """Loopback by any of its addresses, and a socket in the file system."""
        for listen in (
            "tcp:8080:interface=127.0.0.1",
            "tcp:8080:interface=127.0.0.53",
            "tcp:8080:interface=localhost",
            "tcp6:8080:interface=\\:\\:1",
            "udp:5140:interface=127.0.0.1",
            "unix:/run/gate.sock:mode=660",
        ):
            self.assertFalse(is_public(listen), listen)

    def test_what_others_reach(self) -> None:
        """And what does not tell: the safe answer is that they do."""
        for listen in (
            "tcp:8080",
            "tcp:8080:interface=0.0.0.0",
            "tcp:8080:interface=10.0.0.7",
            "tcp:8080:interface=plant.example.com",
            "tcp6:8080",
            "tcp6:8080:interface=\\:\\:",
            "udp:5140",
            "systemd:domain=INET:index=0",
        ):
            self.assertTrue(is_public(listen), listen)


class PlayedTokens:
    """As many as the test says."""

    def __init__(self, *, there: bool) -> None:
        self.any = there


class TheDoor(SynchronousTestCase):
    """At the start."""

    def start(self, listen: str, *, tokens: bool = False, meant: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(AskedDoor(listen, PlayedTokens(there=tokens), meant=meant).start())

    def test_others_are_not_served_before_there_is_a_token(self) -> None:
        """The error says what to do."""
        failed = self.failureResultOf(self.start("tcp:8080"), LinesideError)
        self.assertIn("can be reached from other machines, and there is no token", str(failed.value))
        self.assertIn("public = true in [http]", str(failed.value))

    def test_with_a_token_or_a_word_or_on_loopback_they_are(self) -> None:
        """Any of the three is enough."""
        self.successResultOf(self.start("tcp:8080", tokens=True))
        self.successResultOf(self.start("tcp:8080", meant=True))
        self.successResultOf(self.start("tcp:8080:interface=127.0.0.1"))
