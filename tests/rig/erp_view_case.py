"""The ERP as it is seen through the gateway: a stand-in, the way there, and the HTTP edge, all in memory."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, cast

from msgspec.structs import replace
from tests.rig.http_asking import Asking, Holders, Received
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from lineside.delivery.budget import Budget
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.view import ErpView, Site, View
from lineside.edges.frappe.viewendpoints import endpoints
from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.security.identity import Identity
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site

LAB = Path(__file__).parents[1] / "data" / "lab-doctypes.json"
ORDERS = "/api/v1/erp/Lab%20Order"
EVENTS = "/api/v1/erp/Lab%20Event"
VIEWER = Identity("board", "viewer")


@implementer(IAgent)
class Line:
    """The way to the ERP: counts what is asked, and may be cut, or silent."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent
        self.asked: list[dict[str, Any]] = []
        self.silent = False
        self.cut = False
        self.cancelled = 0
        self.held: list[tuple[Deferred[Any], tuple[Any, ...]]] = []
        self.holding = False

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[Any]:
        body: Any = bodyProducer
        self.asked.append({"uri": uri, **json.loads(body._body)})
        if self.cut:
            return fail(ConnectError())
        if self.silent or self.holding:
            waiting: Deferred[Any] = Deferred(self._gave_up)
            self.held.append((waiting, (method, uri, headers, bodyProducer)))
            return waiting
        passed: Deferred[Any] = self._agent.request(method, uri, headers, bodyProducer)
        return passed

    def let_go(self) -> None:
        """Let through what was held."""
        self.holding = False
        held, self.held = self.held, []
        for waiting, request in held:
            if not waiting.called:
                self._agent.request(*request).chainDeferred(waiting)

    def _gave_up(self, waiting: Deferred[Any]) -> None:
        self.cancelled += 1
        waiting.errback(CancelledError())


class ViewCase(SynchronousTestCase):
    """A gateway's HTTP edge in front of a stand-in with three orders."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.documents = memory_documents(read_library(LAB), random=Random(1))
        self.faults = FaultKnobs(Random(2))
        self.settings = SiteSettings()
        credentials = Credentials("key", "secret")
        site = make_site(self.clock, self.documents, self.faults, credentials, settings=self.settings)
        self.agent = RequestTraversalAgent(site.resource)
        self.line = Line(self.agent)
        self.alarms: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for number, state in enumerate(("New", "New", "Shipped"), 1):
            self.store(order_id=f"SO-{number}", state=state, amount=number, external_ref=f"R-{number}")
        self.tokens = Holders()
        self.serve()

    def note(self, event: dict[str, Any]) -> None:
        if str(event["log_format"]).startswith("erp."):
            self.alarms.append(event)

    def told(self) -> list[str]:
        """Return the names of what was logged since the last time."""
        names = [event["log_format"] for event in self.alarms]
        self.alarms.clear()
        return names

    def store(self, **fields: Any) -> None:
        self.successResultOf(
            self.documents.write(lambda records: records.insert("Lab Order", fields, "Administrator"))
        )

    def change(self, name: str, **fields: Any) -> None:
        self.successResultOf(self.documents.write(lambda records: records.update("Lab Order", name, fields, "A")))

    def serve(self, secret: str = "secret", budget: Budget | None = None, **changes: Any) -> None:
        """Serve anew, with nothing kept."""
        self.client = FrappeClient(self.clock, "http://erp.example", "key", secret, agent=self.line, budget=budget)
        self.erp_site = Site("erp", self.client)
        order = View(
            "Lab Order",
            self.erp_site,
            ("state", "amount"),
            filters=(("state", "!=", "Shipped"),),
            filter_by=("state",),
            ttl=30.0,
            stale_if_error=300.0,
        )
        event = View("Lab Event", self.erp_site, ("event_key",), permission="consult")
        self.erp = ErpView([replace(order, **changes), event], self.clock)
        self.endpoints = endpoints(self.erp)
        self.site = GatewaySite(Desk(self.endpoints, Identification(self.tokens)), self.clock)

    def ask(self, path: str, *headers: str) -> Asking:
        asking = Asking(self.site, path, *headers)
        self.addCleanup(asking.hang_up)
        return asking

    def get(self, path: str, *headers: str) -> Received:
        return self.ask(path, *headers).answer
