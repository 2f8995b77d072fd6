"""Deliveries to a played site through the real HTTP client, without any time passing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.rig.played_frappe import PlayedSite
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.ports import Delivery

T = TypeVar("T")

FIRST = Delivery(delivery_id("e-1", "checkin"), "insert", "Employee Checkin", {"employee": "EMP-1"})
AGAIN = Delivery(FIRST.id, FIRST.action, FIRST.doctype, FIRST.document, redelivered=True)
SECOND = Delivery(delivery_id("e-2", "checkin"), "insert", "Employee Checkin", {"employee": "EMP-2"})


class Delivering(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.site = PlayedSite()
        self.agent = RequestTraversalAgent(self.site)
        self.client = self.connect(self.agent)
        self.target = FrappeTarget(self.client)

    def connect(self, agent: IAgent, **options: Any) -> FrappeClient:
        return FrappeClient(self.clock, "http://erp.example:8000", "key", "secret", agent=agent, **options)

    def now(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return what a coroutine returns without any time passing."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def deliver(self, *batch: Delivery) -> list[Any]:
        return self.now(self.target.deliver(list(batch)))

    def stored_before(self, delivery: Delivery = FIRST) -> None:
        """An earlier attempt had stored the document."""
        self.site.documents.append({"name": "DOC-0", "lineside_id": delivery.id})

    def ids(self) -> list[str]:
        return [document.get("lineside_id", "") for document in self.site.documents]
