"""A played Frappe site for tests in memory: documents with a unique field, and faults put in by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import unquote

from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

Answer = Callable[[Request], bytes | int]
Rendered = bytes | int

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda held, asked: bool(held == asked),
    "in": lambda held, asked: held in asked,
    "<": lambda held, asked: bool(held < asked),
}
ID_FIELD = {"fieldname": "lineside_id", "label": "Lineside ID", "fieldtype": "Data", "unique": 1}


class PlayedSite(Resource):
    """As much of Frappe as deliveries touch: documents with a unique field, and faults put in by the test."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[dict[str, Any]] = []
        """All of one DocType, or of several that share no values."""
        self.fields: dict[str, list[dict[str, Any]]] = {
            "Employee Checkin": [
                ID_FIELD,
                {"fieldname": "employee", "label": "Employee", "fieldtype": "Link", "options": "Employee"},
                {"fieldname": "device_id", "label": "Device", "fieldtype": "Data"},
                {"fieldname": "weight", "label": "Weight", "fieldtype": "Float"},
            ]
        }
        self.facts: dict[str, dict[str, Any]] = {}
        """By DocType: what its meta says beside its fields."""
        self.asked: list[str] = []
        self.seen: list[Request] = []
        self.bodies: list[Any] = []
        """What each request carried, None for nothing."""
        self.faults: list[tuple[str, Answer]] = []
        self.without_v2 = False
        self.drops_the_id = False
        self.hides: set[str] = set()
        """Names of documents that the API user may not read."""
        self.bad: set[str] = set()
        """Employees whose documents are refused."""
        self.user: object = "gateway@example.com"
        self.zone: object = {"time_zone": "Asia/Kolkata"}
        self._names = (f"DOC-{n}" for n in count(1))
        self._changes = count(1)

    def fault(self, kind: str, answer: Answer, *, times: int = 1) -> None:
        """Answer the next request of a kind so, instead, or the next few."""
        self.faults += [(kind, answer)] * times

    def render(self, request: Request) -> Rendered:
        kind = self.kind(request)
        self.asked.append(kind)
        self.seen.append(request)
        self.bodies.append(body(request))
        for index, (wanted, answer) in enumerate(self.faults):
            if wanted == kind:
                del self.faults[index]
                return answer(request)
        answers: dict[str, Answer] = {
            "get_logged_user": lambda request: told(request, 200, {"message": self.user}),
            "get_time_zone": self.tell_zone,
            "meta": self.meta,
            "fields": self.custom_fields,
            "new field": self.make_field,
            "look-up": self.look_up,
            "get_list": self.get_list,
            "insert": self.insert,
            "insert_many": self.insert_many,
            "change": self.change,
        }
        return answers[kind](request)

    def kind(self, request: Request) -> str:
        path = unquote(request.path.decode())
        if path.endswith("/meta"):
            return "meta"
        if "/method/" in path:
            return path.rpartition(".")[2]
        if path.endswith("/Custom Field"):
            return "new field" if request.method == b"POST" else "fields"
        return {b"POST": "insert", b"PUT": "change"}.get(request.method, "look-up")

    def tell_zone(self, request: Request) -> bytes:
        if self.zone is None:
            return refused(request, 417, "ValidationError", "Failed to get method frappe.client.get_time_zone")
        return told(request, 200, {"message": self.zone})

    def meta(self, request: Request) -> bytes:
        doctype = unquote(request.path.decode()).split("/")[-2]
        if self.without_v2:
            return told(request, 404, {"exc_type": "DoesNotExistError"})
        if doctype not in self.fields:
            return refused(request, 404, "DoesNotExistError", f"DocType {doctype} not found")
        facts = self.facts.get(doctype, {})
        return told(request, 200, {"data": {"name": doctype, "fields": self.fields[doctype], **facts}})

    def custom_fields(self, request: Request) -> bytes:
        wanted = {field: value for field, _, value in argument(request, "filters")}
        rows = [field for field in self.fields[wanted["dt"]] if field["fieldname"] == wanted["fieldname"]]
        return told(request, 200, {"data": rows})

    def make_field(self, request: Request) -> bytes:
        field = body(request)
        self.fields[field["dt"]].append(field)
        return told(request, 200, {"data": {"name": f"{field['dt']}-{field['fieldname']}", **field}})

    def look_up(self, request: Request) -> bytes:
        rows = self.rows(argument(request, "filters"), argument(request, "fields"))
        return told(request, 200, {"data": rows})

    def get_list(self, request: Request) -> bytes:
        asked = body(request)
        rows = self.rows(asked["filters"], asked["fields"])
        return told(request, 200, {"message": rows[: asked["limit_page_length"] or None]})

    def rows(self, filters: list[tuple[str, str, Any]], fields: list[str]) -> list[dict[str, Any]]:
        found = [each for each in self.documents if each["name"] not in self.hides]
        for field, operator, value in filters:
            found = [each for each in found if OPERATORS[operator](each.get(field, 0), value)]
        return [{name: row.get(name) for name in fields} for row in found]

    def insert(self, request: Request) -> bytes:
        return self.inserted(request, self.store(request))

    def store(self, request: Request) -> dict[str, Any] | None:
        return self.add(body(request))

    def insert_many(self, request: Request) -> bytes:
        names = self.store_many(request)
        if names is None:
            return self.why_not(request, body(request)["docs"])
        return told(request, 200, {"message": names})

    def store_many(self, request: Request) -> list[str] | None:
        """Store all of a batch or nothing."""
        before = list(self.documents)
        stored = [self.add(document) for document in body(request)["docs"]]
        if None in stored:
            self.documents[:] = before
            return None
        return [document["name"] for document in stored if document]

    def change(self, request: Request) -> bytes:
        name = unquote(request.path.decode()).rpartition("/")[2]
        fields = body(request)
        for document in self.documents:
            if document["name"] == name:
                if fields.pop("modified", document.get("modified")) != document.get("modified"):
                    return refused(request, 417, "TimestampMismatchError", "Document has been modified")
                document.update(fields, modified=f"change {next(self._changes)}")
                return told(request, 200, {"data": document})
        return refused(request, 404, "DoesNotExistError", f"{name} not found")

    def add(self, document: dict[str, Any]) -> dict[str, Any] | None:
        document = dict(document)
        if document.get("employee") in self.bad:
            return None
        if self.drops_the_id:
            del document["lineside_id"]
        elif any(each.get("lineside_id") == document["lineside_id"] for each in self.documents):
            return None
        self.documents.append({"name": next(self._names), **document})
        return self.documents[-1]

    def inserted(self, request: Request, stored: dict[str, Any] | None) -> bytes:
        if stored is None:
            return self.why_not(request, [body(request)])
        return told(request, 200, {"data": stored})

    def why_not(self, request: Request, documents: list[dict[str, Any]]) -> bytes:
        if any(document.get("employee") in self.bad for document in documents):
            return refused(request, 417, "MandatoryError", "Value missing: time")
        return refused(request, 417, "UniqueValidationError", "Lineside ID must be unique")


def body(request: Request) -> Any:
    assert request.content is not None
    request.content.seek(0)
    return json.loads(request.content.read() or b"null")


def argument(request: Request, name: str) -> Any:
    assert request.args is not None
    return json.loads(request.args[name.encode()][0])


def told(request: Request, status: int, body: object) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(body).encode()


def refused(request: Request, status: int, exc_type: str, message: str, exception: str = "") -> bytes:
    return told(
        request,
        status,
        {
            "exc_type": exc_type,
            "_server_messages": json.dumps([json.dumps({"message": message})]),
            "exception": exception or f"frappe.exceptions.{exc_type}: {message}",
        },
    )


def page(status: int, **headers: str) -> Callable[[Request], bytes]:
    """Answer with a proxy's HTML page."""

    def answer(request: Request) -> bytes:
        request.setResponseCode(status)
        request.setHeader(b"content-type", b"text/html")
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-").encode(), value.encode())
        return b"<html><title>a page</title></html>"

    return answer


def hang(_request: Request) -> int:
    """Never answer."""
    return NOT_DONE_YET


def cut(request: Request) -> int:
    """Close the connection instead of answering."""
    request.loseConnection()
    return NOT_DONE_YET
