"""The stand-in held to what was recorded on a live Frappe 15 site: 86 exchanges, one test each.

``tests/data/frappe-exchanges.json`` holds for each the request, the state that it needs, and the facts of the
answer that do not differ from run to run: status, content type, class of the error, envelope, keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site

DATA = Path(__file__).parents[1] / "data"
EXCHANGES: list[dict[str, Any]] = json.loads((DATA / "frappe-exchanges.json").read_text())
LIBRARY = read_library(DATA / "lab-doctypes.json")
LIMITS = ("X-RateLimit-", "Retry-After", "Allow")

KEYS = {"valid": "token key:secret", "wrong": "token key:wrong"}
USER = {"doctype": "User", "email": "gateway@example.com", "first_name": "gateway", "new_password": "right"}


class Replay:
    """One site, brought into a state step by step."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.clock = Clock()
        documents = memory_documents(LIBRARY, random=Random(1))
        self.site = make_site(self.clock, documents, FaultKnobs(Random(1)), Credentials("key", "secret"))
        self.sid = self.token = self.modified = ""

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        # A new client each time: no cookies are kept but those given.
        client: Any = StubTreq(self.site.resource)
        url = f"http://erp.example{path}"
        pending = client.request(method, url, headers=headers, data=body, allow_redirects=False)
        client.flush()
        self.clock.advance(0)
        client.flush()
        return self.case.successResultOf(pending)

    def post(self, path: str, given: object, *, verb: str = "POST", auth: str | None = KEYS["valid"]) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": auth} if auth else {})}
        response = self.send(verb, path, headers, json.dumps(given).encode())
        self.case.assertEqual(response.code, 200)
        return response

    def enter(self, step: Any) -> None:
        match step:
            case {"insert": document}:
                doc = self.case.successResultOf(
                    self.post("/api/method/frappe.client.insert", {"doc": document}).json()
                )
                self.modified = doc["message"]["modified"]
            case {"update": [doctype, name, changes]}:
                self.post(f"/api/resource/{doctype}/{name}", changes, verb="PUT")
            case {"submit": [doctype, name]}:
                self.post(f"/api/resource/{doctype}/{name}", {"docstatus": 1}, verb="PUT")
            case {"cancel": [doctype, name]}:
                self.post("/api/method/frappe.client.cancel", {"doctype": doctype, "name": name})
            case {"settings": settings}:
                self.post("/_standin/settings", settings)
            case {"faults": faults}:
                self.post("/_standin/faults", faults)
            case {"spend": seconds}:
                self.spend(seconds)
            case "user":
                self.enter({"insert": USER})
            case "session":
                self.enter("user")
                response = self.post("/api/method/login", {"usr": "gateway@example.com", "pwd": "right"}, auth=None)
                [sid] = [c for c in response.headers.getRawHeaders("Set-Cookie") if c.startswith("sid=")]
                self.sid = sid.partition(";")[0].removeprefix("sid=")
            case "token":
                page = self.send("GET", "/app", {"Cookie": f"sid={self.sid}"})
                found = re.search(r'csrf_token = "(\w+)"', self.case.successResultOf(page.text()))
                assert found is not None
                self.token = found[1]
            case _:
                raise AssertionError(f"no such state: {step}")

    def spend(self, seconds: float) -> None:
        self.post("/_standin/faults", {"service_time": seconds})
        client: Any = StubTreq(self.site.resource)
        client.get("http://erp.example/api/method/ping")
        client.flush()
        self.clock.advance(seconds)
        self.post("/_standin/faults", {"service_time": 0})

    def ask(self, request: dict[str, Any]) -> Any:
        headers = {"Accept": "*/*", **request.get("headers", {})}
        if request["auth"]:
            headers["Authorization"] = KEYS.get(request["auth"], request["auth"])
        if "Cookie" in headers:
            headers["Cookie"] = headers["Cookie"].replace("SESSION", self.sid)
        body = request.get("body")
        if body is not None:
            body = body.replace('"HEX"', f'"{self.token}"').replace("PASSWORD", "right")
            body = body.replace("MODIFIED", self.modified)
        path = request["path"].replace("sid=HEX", f"sid={self.sid}")
        return self.send(request["method"], path, headers, None if body is None else body.encode())


def facts(response: Any, content: str) -> dict[str, Any]:
    """Return of an answer what the table holds."""
    kind = response.headers.getRawHeaders("Content-Type", [None])[0]
    found: dict[str, Any] = {"status": response.code, "content_type": kind}
    names = {name.decode().lower() for name, _ in response.headers.getAllRawHeaders()}
    limits = sorted(name for name in names if name.startswith(tuple(limit.lower() for limit in LIMITS)))
    if limits:
        found["headers"] = limits
    if kind != "application/json":
        return {**found, "text": content[:60]}
    body = json.loads(content)
    found["envelope"] = sorted(body)
    if "exception" in body:
        found["exception"] = body["exception"].partition(":")[0]
    if "exc_type" in body:
        found["exc_type"] = body["exc_type"]
    if "errors" in body:
        [error] = body["errors"]
        found |= {"exc_type": error["type"], "error": sorted(error)}
        if "title" in error:
            found["title"] = error["title"]
    if "_server_messages" in body:
        messages = [json.loads(each) for each in json.loads(body["_server_messages"])]
        found |= {"messages": [sorted(each) for each in messages], "title": messages[0]["title"]}
    return {**found, **value_facts(body.get("data", body.get("message")))}


def value_facts(value: Any) -> dict[str, Any]:
    """Return the keys of what an envelope holds, and of its first child row."""
    if isinstance(value, dict):
        rows = value.get("items")
        return {"value": sorted(value), **({"row": sorted(rows[0])} if rows else {})}
    if isinstance(value, list):
        first = sorted(value[0]) if isinstance(value[0], dict) else type(value[0]).__name__
        return {"value": [first, len(value)]}
    return {} if value is None else {"value": value}


def replayed(exchange: dict[str, Any]) -> Callable[[SynchronousTestCase], None]:
    """Return the test of one exchange."""

    def test(self: SynchronousTestCase) -> None:
        replay = Replay(self)
        for step in exchange["state"]:
            replay.enter(step)
        response = replay.ask(exchange["request"])
        found = facts(response, self.successResultOf(response.text()))
        expected = dict(exchange["response"])
        if "headers" in expected:
            expected["headers"] = sorted(name.lower() for name in expected["headers"])
        self.assertEqual(found, expected)

    test.__doc__ = f"As recorded: {exchange['name']}."
    return test


class Recorded(SynchronousTestCase):
    """One test for each line of the table."""

    maxDiff = None


for place, each in enumerate(EXCHANGES, 1):
    slug = re.sub(r"\W+", "_", each["name"]).strip("_").lower()
    setattr(Recorded, f"test_{place:02}_{slug}", replayed(each))
