"""A stand-in without a socket, and a client of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.employees import seed_employees
from lineside.standin.faults import FaultKnobs
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site

KEY = "token key:secret"


class Got(Struct, frozen=True):
    """One answer."""

    status: int
    content_type: str
    body: Any
    headers: Any = None

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.body["exc_type"]


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = datetime(2026, 3, 9, 8, 0, 0, 5)  # noqa: DTZ001 (the site's own naive time)
        self.documents = memory_documents(now=self.tick, random=Random(1))
        self.clock = Clock()
        self.settings = SiteSettings()
        self.faults = FaultKnobs(Random(1))
        credentials = Credentials("key", "secret")
        self.site = make_site(self.clock, self.documents, self.faults, credentials, settings=self.settings)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def ask(
        self,
        verb: str,
        path: str,
        document: object = None,
        *,
        auth: str | None = KEY,
        body: bytes | None = None,
        more: dict[str, str] | None = None,
    ) -> Got:
        headers = {"X-Frappe-Site-Name": "site.example"}
        if auth is not None:
            headers["Authorization"] = auth
        if document is not None:
            body = json.dumps(document).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= more or {}
        # A new client each time: it keeps no cookies.
        client: Any = StubTreq(self.site.resource)
        url = f"http://erp.example{path}"
        pending = client.request(verb, url, headers=headers, data=body, allow_redirects=False)
        client.flush()
        response = self.successResultOf(pending)
        text = self.successResultOf(response.text())
        kind = response.headers.getRawHeaders("Content-Type", [""])[0]
        return Got(response.code, kind, json.loads(text) if kind == "application/json" else text, response.headers)

    def insert(self, doctype: str, **fields: object) -> Got:
        return self.ask("POST", f"/api/resource/{quote(doctype)}", fields)

    def rows(self, doctype: str, **arguments: object) -> list[dict[str, Any]]:
        given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
        got = self.ask("GET", f"/api/resource/{quote(doctype)}?{urlencode(given)}")
        self.assertEqual(got.status, 200, got.body)
        listed: list[dict[str, Any]] = got.body["data"]
        return listed

    def add_id_field(self, doctype: str = "ToDo") -> Got:
        return self.insert(
            "Custom Field", dt=doctype, label="Lineside ID", fieldname="lineside_id", fieldtype="Data", unique=1
        )

    def seed(self, number: int) -> None:
        self.successResultOf(self.documents.write(lambda records: seed_employees(records, number, "Administrator")))
