"""A dry run shows the very request that a delivery would send first, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.dryrun import DryRun, Held
from lineside.edges.frappe.lookup import GET_LIST
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Refused, TargetDown
from lineside.model.ports import Delivery, Ready
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site

T = TypeVar("T")
URL = "http://erp.example/desk"
TODO = Delivery(delivery_id("e-1", "todo"), "insert", "ToDo", {"description": "Öl prüfen, 10E5"})
CHANGES = {"description": "changed"}


def change(action: str, **match: str) -> Delivery:
    """Return a delivery that changes a ToDo."""
    return Delivery(delivery_id("e-2", action), action, "ToDo", CHANGES, match=dict(match))


@implementer(IAgent)
class Overheard:
    """An agent that notes what goes through it, with its body, on the way to a site at the root of its host."""

    def __init__(self, agent: IAgent) -> None:
        self.requests: list[Held] = []
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        body = b"null" if bodyProducer is None else getattr(bodyProducer, "_body")  # noqa: B009 (it is private)
        parts = urlsplit(uri.decode())
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.requests.append(Held(method.decode(), path, body))
        return self._agent.request(method, uri.replace(b"/desk/", b"/", 1), headers, bodyProducer)


@implementer(IAgent)
class Silent:
    """An agent that never answers."""

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        return Deferred()


class DryRunning(SynchronousTestCase):
    """A prepared stand-in with two ToDos, a dry run there, and a target that really delivers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.documents = memory_documents(random=Random(1))
        self.faults = FaultKnobs(Random(2))
        site = make_site(self.clock, self.documents, self.faults, Credentials("key", "secret"))
        self.sent = Overheard(RequestTraversalAgent(site.resource))
        self.client = FrappeClient(self.clock, URL, "key", "secret", agent=self.sent)
        self.now(prepare(self.client, ["ToDo"], "lineside_id"))
        for description in ("one", "two", "two"):
            body = msgspec.json.encode({"description": description})
            self.now(self.client.request("POST", "/api/resource/ToDo", body=body))
        self.dry = DryRun(self.connect, "lineside_id")
        self.addCleanup(lambda: self.now(self.dry.close()))
        self.sent.requests.clear()

    def connect(self, around: Callable[[IAgent], IAgent]) -> FrappeClient:
        return FrappeClient(self.clock, URL, "key", "secret", agent=self.sent, around=around)

    def now(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return what a coroutine returns, without any time passing."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def todos(self) -> list[dict[str, Any]]:
        asked = {"fields": ["*"], "limit_page_length": 0}
        rows: list[dict[str, Any]] = self.successResultOf(
            self.documents.read(lambda records: records.list("ToDo", asked))
        )
        return rows

    def held(self, delivery: Delivery) -> Held:
        """Return the request that a dry run held; the site was only asked, and has what it had."""
        before = self.todos()
        self.sent.requests.clear()
        held = self.now(self.dry.deliver(delivery))
        assert isinstance(held, Held), held
        self.assertEqual([each for each in self.sent.requests if not self.reads(each)], [])
        self.assertEqual(self.todos(), before)
        return held

    def reads(self, request: Held) -> bool:
        return request.method == "GET" or request.path == f"/desk{GET_LIST}"

    def first_write(self, delivery: Delivery) -> Held:
        """Deliver, and return the first request that was no question."""
        self.sent.requests.clear()
        self.now(FrappeTarget(self.client).deliver([delivery]))
        asked = frozenset({f"/desk{GET_LIST}"} if delivery.action != "call" else ())
        return next(each for each in self.sent.requests if each.method != "GET" and each.path not in asked)

    def test_it_is_what_a_delivery_sends_first(self) -> None:
        """Of every action, byte for byte, whether the document is there or not."""
        name = self.todos()[0]["name"]
        deliveries = {
            "insert": TODO,
            "update": change("update", description="one"),
            "update by name": change("update", name=name),
            "upsert of none": change("upsert", description="three"),
            "upsert by name": change("upsert", name="no such"),
            "call": Delivery("c" * 32, "call", "", {"doc": {"doctype": "ToDo"}}, method="frappe.client.insert"),
            "call that reads": Delivery("d" * 32, "call", "", {"doctype": "ToDo"}, method="frappe.client.get_list"),
        }
        methods = {}
        for case, delivery in deliveries.items():
            held = self.held(delivery)
            self.assertEqual(held, self.first_write(delivery), case)
            methods[case] = held.method
        self.assertEqual(list(methods.values()), ["POST", "PUT", "PUT", "POST", "PUT", "POST", "POST"])

    def test_what_was_held_makes_the_document_when_it_is_sent(self) -> None:
        """Sent by hand it makes one with the delivery's id, which the delivery itself then finds."""
        held = self.held(TODO)
        self.assertEqual(held.path, "/desk/api/resource/ToDo")
        path = held.path.removeprefix("/desk")
        self.assertEqual(self.now(self.client.request(held.method, path, body=held.body)).status, 200)
        [made] = [row for row in self.todos() if row["lineside_id"] == TODO.id]
        self.assertEqual(made["description"], TODO.document["description"])
        self.assertEqual(self.now(FrappeTarget(self.client).deliver([TODO])), [Delivered(made["name"], found=True)])

    def test_no_key_is_shown(self) -> None:
        """What was held has no header, and its body no secret."""
        self.assertNotIn("secret", repr(self.held(TODO)))

    def test_what_would_not_be_sent_comes_with_its_reason(self) -> None:
        """The look at the DocType, the id field and the documents that match are a gateway's own."""
        typo = Delivery(TODO.id, "insert", "ToDo", {"descriptoin": "x"})
        for delivery, code in [
            (typo, "preflight"),
            (change("update", description="none"), "NoMatch"),
            (change("upsert", description="two"), "SeveralMatches"),
        ]:
            refused = self.now(self.dry.deliver(delivery))
            assert isinstance(refused, Refused)
            self.assertEqual(refused.code, code)
        unprepared = Delivery(TODO.id, "insert", "Employee", {"first_name": "Ada"})
        self.assertEqual(
            self.now(self.dry.deliver(unprepared)),
            Blocked("Employee has no field lineside_id", "run lineside erp prepare"),
        )

    def test_a_site_that_is_down_is_told_as_that(self) -> None:
        """It is no refusal of the document, and the next delivery is tried anew."""
        self.faults.turn({"bad_gateway": 1.0})
        self.assertIsInstance(self.now(self.dry.probe()), TargetDown)
        self.assertIsInstance(self.now(self.dry.deliver(TODO)), TargetDown)
        self.faults.turn({"bad_gateway": 0.0})
        self.assertEqual(self.now(self.dry.probe()), Ready("Europe/Berlin"))
        self.held(TODO)

    def test_whoever_gives_up_is_not_told_of_a_request(self) -> None:
        """A cancellation from outside goes on as one, although an earlier delivery had been held."""
        run = DryRun(
            lambda around: FrappeClient(self.clock, URL, "key", "secret", agent=Silent(), around=around),
            "lineside_id",
        )
        call = Delivery("c" * 32, "call", "", {}, method="site.method")
        self.assertIsInstance(self.now(run.deliver(call)), Held)
        waiting = Deferred.fromCoroutine(run.deliver(TODO))
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
