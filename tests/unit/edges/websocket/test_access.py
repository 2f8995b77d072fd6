"""Who may do what in which channel."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket.access import Access, Rule, well_formed
from lineside.edges.websocket.codes import Refused
from lineside.security.identity import NOBODY, Identity, Role


class Decisions(SynchronousTestCase):
    """By namespace and role."""

    def setUp(self) -> None:
        self.asked: list[tuple[str, str]] = []

        async def ask(channel: str, identity: Identity) -> bool:
            self.asked.append((channel, identity.name))
            return channel.endswith("Item")

        rules = {"pub": Rule(frozenset({"viewer"}), frozenset({"operator"}))}
        self.access = Access(rules, ask)

    def refusal(self, role: Role, channel: str) -> int:
        asked = Deferred.fromCoroutine(self.access.subscribe(Identity("ann", role), channel))
        refused: Refused = self.failureResultOf(asked, Refused).value
        return refused.error.code

    def admitted(self, role: Role, channel: str, name: str = "ann") -> None:
        asked = Deferred.fromCoroutine(self.access.subscribe(Identity(name, role), channel))
        self.assertIsNone(self.successResultOf(asked), (role, channel))

    def test_the_gateways_own_channels(self) -> None:
        """Who may read may subscribe, and nobody else; nobody publishes there."""
        for channel in ("events:gate", "deliveries", "deadletters", "device:7"):
            for role in ("viewer", "operator", "admin"):
                self.admitted(role, channel)
            self.assertEqual(103, self.refusal("device", channel))
            self.assertEqual(103, self.refusal("nobody", channel))
            self.assertRaises(Refused, self.access.publish, Identity("ann", "admin"), channel)

    def test_a_device_hears_of_itself(self) -> None:
        """And of no other."""
        self.admitted("device", "device:scanner-1", "scanner-1")
        self.assertEqual(103, self.refusal("device", "device:scanner-1"))

    def test_free_channels(self) -> None:
        """As their rule says."""
        self.admitted("viewer", "pub:board")
        self.assertEqual(103, self.refusal("operator", "pub:board"))
        self.access.publish(Identity("ann", "operator"), "pub:board")
        self.assertRaises(Refused, self.access.publish, Identity("ann", "viewer"), "pub:board")

    def test_channels_that_there_are_not(self) -> None:
        """Another namespace, one without a name, and a name where there is none to have."""
        for channel in ("elsewhere:a", "events", "events:", "deliveries:gate", "pub"):
            self.assertEqual(102, self.refusal("admin", channel), channel)

    def test_the_erp_decides_on_its_own(self) -> None:
        """Whether somebody may read a document only it can know."""
        self.admitted("viewer", "frappe:doctype:Item")
        self.assertEqual(103, self.refusal("viewer", "frappe:doctype:Salary Slip"))
        self.assertEqual([("frappe:doctype:Item", "ann"), ("frappe:doctype:Salary Slip", "ann")], self.asked)

    def test_without_an_erp_there_are_no_such_channels(self) -> None:
        """Nobody could decide."""
        asked = Deferred.fromCoroutine(Access({}).subscribe(NOBODY, "frappe:doctype:Item"))
        refused: Refused = self.failureResultOf(asked, Refused).value
        self.assertEqual(102, refused.error.code)

    def test_names(self) -> None:
        """Not empty, not endless, nothing that a screen does not show."""
        self.assertEqual(
            [True, True, False, False, False],
            [well_formed(name) for name in ("a", "é" * 255, "", "a" * 256, "a\nb")],
        )
