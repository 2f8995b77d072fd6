"""`lineside erp prepare` against the stand-in's own site, without a socket."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import FrappeTargetSettings, Settings
from lineside.cli.erp import Preparation, prepare_targets
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.idfield import Field, Missing, read_field
from lineside.model.errors import LinesideError
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site

TARGET = """
[targets.NAME]
type = "frappe"
url = "http://NAME.example"
api_key = "key"
api_secret = "SECRET"
"""
SOURCE = """
[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
"""
ROUTE = """
[routes.NAME]
target = "TARGET"
doctype = "DOCTYPE"
document = { description = "{{ text }}" }
"""


def target(name: str, secret: str = "secret", **options: str) -> str:
    table = TARGET.replace("NAME", name).replace("SECRET", secret)
    return table + "".join(f'{key} = "{value}"\n' for key, value in options.items())


def route(name: str, target: str, doctype: str) -> str:
    return ROUTE.replace("NAME", name).replace("TARGET", target).replace("DOCTYPE", doctype)


class Site:
    """One ERP, and the clients that were made for it."""

    def __init__(self, clock: Clock) -> None:
        self.documents = memory_documents(random=Random(1))
        site = make_site(clock, self.documents, FaultKnobs(Random(2)), Credentials("key", "secret"))
        self.agent = RequestTraversalAgent(site.resource)


class ClosedClient(FrappeClient):
    """A client that tells whether it was closed."""

    closed = False

    async def close(self) -> None:
        await super().close()
        self.closed = True


class ErpPrepare(SynchronousTestCase):
    """Two sites, and what the command makes of their DocTypes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sites = {f"http://{name}.example": Site(self.clock) for name in ("erp", "hr")}
        self.clients: list[ClosedClient] = []

    def connect(self, reactor: Any, settings: FrappeTargetSettings) -> FrappeClient:
        client = ClosedClient(
            reactor,
            settings.url,
            settings.api_key.reveal(),
            settings.api_secret.reveal(),
            agent=self.sites[settings.url].agent,
        )
        self.clients.append(client)
        return client

    def settings(self, *tables: str) -> Settings:
        path = Path("lineside.toml")
        path.write_text("\n".join([SOURCE, *tables]))
        return load(path, {})

    def prepare(self, settings: Settings, only: str | None = None) -> tuple[list[Preparation], str]:
        """Return what was prepared, and the error's text; every client that was made is closed."""
        told: list[Preparation] = []
        failures: list[Failure] = []
        done = Deferred.fromCoroutine(prepare_targets(self.clock, settings, only, told.append, self.connect))
        self.successResultOf(done.addErrback(failures.append))
        self.assertTrue(all(client.closed for client in self.clients))
        for failure in failures:
            failure.trap(LinesideError)
        return told, "".join(failure.getErrorMessage() for failure in failures)

    def field(self, name: str, doctype: str, field: str) -> object:
        url = f"http://{name}.example"
        client = FrappeClient(self.clock, url, "key", "secret", agent=self.sites[url].agent)
        return self.successResultOf(Deferred.fromCoroutine(read_field(client, doctype, field)))

    def test_every_doctype_of_every_route_gets_its_targets_field_once(self) -> None:
        """Each site has the field its target names, unique; a second run makes nothing and says so."""
        settings = self.settings(
            target("erp"),
            target("hr", id_field="event_id"),
            route("todo", "erp", "ToDo"),
            route("again", "erp", "ToDo"),
            route("company", "erp", "Company"),
            route("badge", "hr", "Employee Checkin"),
        )
        first = [
            Preparation("erp", "ToDo", "lineside_id", created=True),
            Preparation("erp", "Company", "lineside_id", created=True),
            Preparation("hr", "Employee Checkin", "event_id", created=True),
        ]
        self.assertEqual(self.prepare(settings), (first, ""))
        second = [Preparation(done.target, done.doctype, done.field, created=False) for done in first]
        self.assertEqual(self.prepare(settings), (second, ""))
        for done in first:
            field = self.field(done.target, done.doctype, done.field)
            assert isinstance(field, Field)
            self.assertTrue(field.unique)

    def test_one_target_alone(self) -> None:
        """--target leaves the other sites untouched."""
        settings = self.settings(
            target("erp"), target("hr"), route("todo", "erp", "ToDo"), route("badge", "hr", "Employee Checkin")
        )
        told, error = self.prepare(settings, "hr")
        self.assertEqual((told, error), ([Preparation("hr", "Employee Checkin", "lineside_id", created=True)], ""))
        self.assertEqual(len(self.clients), 1)
        self.assertEqual(self.field("erp", "ToDo", "lineside_id"), Missing())

    def test_what_fails_does_not_keep_the_rest_from_being_prepared(self) -> None:
        """A DocType that is none and a site with another key are named; the others are ready, and told."""
        settings = self.settings(
            target("erp"),
            target("hr", secret="wrong"),
            route("typo", "erp", "To Do"),
            route("todo", "erp", "ToDo"),
            route("badge", "hr", "Employee Checkin"),
        )
        told, error = self.prepare(settings)
        self.assertEqual(told, [Preparation("erp", "ToDo", "lineside_id", created=True)])
        typo, key = error.splitlines()
        self.assertRegex(typo, r"^targets\.erp: To Do: .*To Do")
        self.assertRegex(key, r"^targets\.hr: .*: check the target's api_key and api_secret$")

    def test_a_target_without_routes(self) -> None:
        """Asked for by name it is an error, since nothing can be prepared; otherwise it is passed over."""
        settings = self.settings(target("erp"), target("hr"), route("todo", "erp", "ToDo"))
        self.assertEqual(
            self.prepare(settings, "hr"), ([], "no route leads to the target hr: there is nothing to prepare")
        )
        self.assertEqual(self.clients, [])
        told, error = self.prepare(settings)
        self.assertEqual(([done.target for done in told], error), (["erp"], ""))
