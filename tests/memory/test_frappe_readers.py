"""Who somebody is at Frappe, and what they may read: a stand-in is asked as that user."""

from __future__ import annotations

from typing import Any

from tests.rig.standin_site import SiteTests
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.readers import KEPT, FrappeReaders, SiteAway
from lineside.model.ports import Credential

KEY = Credential(token="key:secret")


class Readers(SiteTests):
    """By cookie and by key."""

    def setUp(self) -> None:
        super().setUp()
        self.requests: list[tuple[str, dict[bytes, list[bytes]]]] = []
        agent = RequestTraversalAgent(self.site)
        asked = self.requests

        class Noting:
            def request(self, method: bytes, uri: bytes, headers: Any = None, body: Any = None) -> Any:
                asked.append((uri.decode().partition("8000")[2], dict(headers.getAllRawHeaders())))
                answer = agent.request(method, uri, headers, body)
                agent.flush()
                return answer

        client = FrappeClient(self.clock, "http://site.example:8000", "other", "key", agent=Noting())  # type: ignore[arg-type]
        self.readers = FrappeReaders(client)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_a_key_of_their_own(self) -> None:
        """It says who they are; the gateway's own key is not sent, and nothing else either."""
        self.assertEqual("Administrator", self.done(self.readers.whose(KEY)))
        _, headers = self.requests[0]
        self.assertEqual([b"token key:secret"], headers[b"Authorization"])
        self.assertNotIn(b"Cookie", headers)

    def test_a_session(self) -> None:
        """A page's cookie, without a key beside it: of two the cookie would win."""
        self.done(self.readers.whose(Credential(session="s1")))
        _, headers = self.requests[0]
        self.assertEqual([b"sid=s1"], headers[b"Cookie"])
        self.assertNotIn(b"Authorization", headers)

    def test_nobodys(self) -> None:
        """A wrong key and a session that has ended are nobody's."""
        self.assertIsNone(self.done(self.readers.whose(Credential(token="key:wrong"))))
        self.assertIsNone(self.done(self.readers.whose(Credential(session="gone"))))

    def test_what_they_may_read(self) -> None:
        """A DocType and a document that there are; what there is not, nobody may."""
        for channel, may in (
            ("frappe:doctype:Employee", True),
            ("frappe:doctype:No Such", False),
            ("frappe:doc:Company/Stand-in Works", True),
            ("frappe:doc:Company/None", False),
            ("frappe:nonsense", False),
        ):
            self.assertEqual(may, self.done(self.readers.may_read(KEY, channel)), channel)
        self.assertFalse(self.done(self.readers.may_read(Credential(token="key:wrong"), "frappe:doctype:Employee")))

    def test_an_answer_is_good_for_a_while(self) -> None:
        """Then Frappe is asked again: a permission may be taken away."""
        for _ in range(3):
            self.done(self.readers.may_read(KEY, "frappe:doctype:Employee"))
        asked = len(self.requests)
        self.clock.advance(KEPT)
        self.done(self.readers.may_read(KEY, "frappe:doctype:Employee"))
        self.assertEqual(asked + 1, len(self.requests))

    def test_a_site_that_is_away(self) -> None:
        """Nobody can say, and nothing is remembered of it."""
        self.faults.turn({"bad_gateway": 1.0})
        asked = Deferred.fromCoroutine(self.readers.may_read(KEY, "frappe:doctype:Employee"))
        self.failureResultOf(asked, SiteAway)
        self.faults.turn({"bad_gateway": 0.0})
        self.assertTrue(self.done(self.readers.may_read(KEY, "frappe:doctype:Employee")))
