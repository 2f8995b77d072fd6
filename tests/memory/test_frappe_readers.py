"""Who somebody is at Frappe, and what they may read: a stand-in is asked as that user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.rig.standin_site import SiteTests
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.readers import ASKING, KEPT, WAITING, FrappeReaders, SiteAway
from lineside.edges.frappe.reply import Reply
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


class PlayedClient:
    """A client of a site that answers when, and what, a test says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[Reply]]] = []
        self.answers: Mapping[str, tuple[int, object]] | None = None
        """By method, at once; None to leave that to the test."""

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        called = path.rpartition(".")[2].partition("?")[0]
        reply: Deferred[Reply] = Deferred()
        self.asked.append((called, reply))
        if self.answers is not None:
            reply.callback(answer(*self.answers[called]))
        return await reply


def answer(status: int, message: object) -> Reply:
    return Reply(status, {}, "application/json", json.dumps({"message": message}).encode())


class ReadersCase(SynchronousTestCase):
    """A played site."""

    def setUp(self) -> None:
        self.client = PlayedClient()
        self.readers = FrappeReaders(self.client)  # type: ignore[arg-type]

    def may_read(self, channel: str) -> bool:
        return self.successResultOf(Deferred.fromCoroutine(self.readers.may_read(KEY, channel)))


class Crowds(ReadersCase):
    """Many who ask at a time, whoever they are: nobody has said yet."""

    def test_deliveries_are_not_kept_waiting(self) -> None:
        """A few are asked about at a time, some wait for their turn, and the rest comes back later."""
        asking = [
            Deferred.fromCoroutine(self.readers.whose(Credential(token=f"key-{n}:none"))) for n in range(1000)
        ]
        self.assertEqual(ASKING, len(self.client.asked))
        turned_away = [each for each in asking if each.called]
        self.assertEqual(1000 - ASKING - WAITING, len(turned_away))
        for each in turned_away:
            self.failureResultOf(each, SiteAway)
        for number in range(ASKING + WAITING):
            self.client.asked[number][1].callback(answer(200, "ann"))
        self.assertEqual({"ann"}, {self.successResultOf(each) for each in asking if each not in turned_away})

    def test_who_leaves_makes_room(self) -> None:
        """Waiting or being asked about."""
        asking = [
            Deferred.fromCoroutine(self.readers.whose(Credential(token=f"key-{n}:none")))
            for n in range(ASKING + WAITING)
        ]
        for each in asking:
            each.cancel()
            self.failureResultOf(each)
        last = Deferred.fromCoroutine(self.readers.whose(KEY))
        self.client.asked[-1][1].callback(answer(200, "ann"))
        self.assertEqual("ann", self.successResultOf(last))


class Releases(ReadersCase):
    """How different releases of Frappe are asked; one does not know the other's way."""

    def test_a_document_that_is_not_there_changes_nothing_for_others(self) -> None:
        """v16 answers 404, which says nothing of whether it knows the method."""
        self.client.answers = {"has_permission": (404, None), "can_subscribe_doc": (417, None)}
        self.assertFalse(self.may_read("frappe:doc:Item/None"))
        self.client.answers = {"has_permission": (200, True), "can_subscribe_doctype": (417, None)}
        self.assertTrue(self.may_read("frappe:doctype:Item"))

    def test_an_older_release_is_known_by_its_answer(self) -> None:
        """From then on it is asked once a question."""
        self.client.answers = {
            "has_permission": (417, None),
            "can_subscribe_doc": (200, True),
            "can_subscribe_doctype": (403, None),
        }
        self.assertTrue(self.may_read("frappe:doc:Item/1"))
        self.assertFalse(self.may_read("frappe:doctype:Item"))
        called = [name for name, _ in self.client.asked]
        self.assertEqual(["has_permission", "can_subscribe_doc", "can_subscribe_doctype"], called)

    def test_a_site_may_be_upgraded_meanwhile(self) -> None:
        """Then the older way is no longer known, and the newer one is found."""
        self.client.answers = {"has_permission": (417, None), "can_subscribe_doc": (200, True)}
        self.assertTrue(self.may_read("frappe:doc:Item/1"))
        self.client.answers = {"has_permission": (200, True), "can_subscribe_doc": (417, None)}
        self.assertTrue(self.may_read("frappe:doc:Item/2"))
