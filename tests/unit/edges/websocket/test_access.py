"""Who may do what in which channel."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket.access import Access, Rule, well_formed
from lineside.edges.websocket.codes import Refused
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential
from lineside.security.identity import NOBODY, Identity, Role


class Decisions(SynchronousTestCase):
    """By namespace and role."""

    def setUp(self) -> None:
        self.away = False
        self.asked: list[tuple[str, str]] = []

        rules = {"pub": Rule(frozenset({"viewer"}), frozenset({"operator"}))}
        self.access = Access(rules, self)

    async def whose(self, credential: Credential) -> str | None:
        return None

    async def may_read(self, credential: Credential, channel: str) -> bool:
        """Answer as the ERP."""
        if self.away:
            raise LinesideError("the site gives no answer")
        self.asked.append((channel, str(credential.token)))
        return channel.endswith("Item")

    def refusal(self, role: Role, channel: str, credential: Credential | None = None) -> int:
        asked = Deferred.fromCoroutine(self.access.subscribe(Identity("ann", role), channel, credential))
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

    def test_sources_that_there_are_not(self) -> None:
        """A name that was mistyped is told, for it would be silent for ever."""
        self.access = Access({}, sources={"gate"})
        self.admitted("viewer", "events:gate")
        self.assertEqual(102, self.refusal("viewer", "events:gaet"))

    def test_the_erp_decides_on_its_own(self) -> None:
        """Whether somebody may read a document only it can know; it is asked as that user."""
        ann = Credential(token="ann's")
        asked = Deferred.fromCoroutine(self.access.subscribe(Identity("ann", "nobody"), "frappe:doctype:Item", ann))
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(103, self.refusal("admin", "frappe:doctype:Salary Slip", ann))
        self.assertEqual([("frappe:doctype:Item", "ann's"), ("frappe:doctype:Salary Slip", "ann's")], self.asked)
        self.assertEqual(103, self.refusal("admin", "frappe:doctype:Item"), "whom the ERP does not know")

    def test_while_the_erp_is_away(self) -> None:
        """Nobody can say: the client is to try again."""
        self.away = True
        self.assertEqual(100, self.refusal("viewer", "frappe:doctype:Item", Credential(session="s")))

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
