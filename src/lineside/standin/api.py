"""Frappe's REST API, versions 1 and 2: from a request's path to the documents and back."""

from __future__ import annotations

from typing import Any

from lineside.standin import envelope
from lineside.standin.authentication import Credentials, authenticate
from lineside.standin.call import Call
from lineside.standin.documents import Documents
from lineside.standin.envelope import Answer
from lineside.standin.errors import FrappeError, unknown_route
from lineside.standin.faults import Plan
from lineside.standin.incoming import Incoming, arguments, document_data, wants_page
from lineside.standin.methods import as_asked, call_method
from lineside.standin.records import without_nulls


class Api:
    """Answers requests for one site.

    Args:
        documents: of the site, open.
        credentials: the API key that opens it.
        tracebacks: the site's ``allow_error_traceback``: False leaves ``exc`` and ``exception`` out.

    """

    def __init__(self, documents: Documents, credentials: Credentials, *, tracebacks: bool = True) -> None:
        self._documents = documents
        self._credentials = credentials
        self._tracebacks = tracebacks

    async def answer(self, incoming: Incoming, plan: Plan) -> Answer | None:
        """Return the answer; None when none is to be given, for good.

        Anything but `FrappeError` that is raised here is a fault of the stand-in.
        """
        if incoming.verb == "OPTIONS":
            return Answer(200, b"", envelope.TEXT)
        try:
            user = authenticate(incoming.authorization, self._credentials)
            call = Call(self._documents, user, arguments(incoming), doomed=plan.error_before_commit)
            answer = await self._routed(incoming, call)
        except FrappeError as error:
            if wants_page(incoming):
                return envelope.INTERNAL_ERROR
            return envelope.failure(error, incoming.version, tracebacks=self._tracebacks)
        if call.committed and plan.hang:
            return None
        if call.committed and plan.error_after_commit:
            return envelope.INTERNAL_ERROR
        return answer

    async def _routed(self, incoming: Incoming, call: Call) -> Answer:
        verb = "GET" if incoming.verb == "HEAD" else incoming.verb
        second = incoming.version == 2
        match incoming.path:
            case ("method", *parts) if parts:
                result = await call_method("/".join(parts), verb, call)
                answer = envelope.success("data" if second else "message", result)
            case ("resource", doctype) if not second:
                answer = await self._collection(verb, doctype, call)
            case ("document", doctype) if second:
                answer = await self._collection(verb, doctype, call)
            case ("resource", doctype, *name) if name and not second:
                answer = await self._document(verb, doctype, "/".join(name), call)
            case ("document", doctype, *name) if name and second:
                answer = await self._document("PUT" if verb == "PATCH" else verb, doctype, "/".join(name), call)
            case ("doctype", doctype, "meta") if second:
                described = await call.read(doctype, lambda records: records.doctype(doctype).described())
                answer = envelope.success("data", without_nulls(described))
            case ("doctype", doctype, "count") if second:
                number = await call.read(doctype, lambda records: records.count(doctype, call.arguments))
                answer = envelope.success("data", number)
            case _:
                raise unknown_route()
        return answer

    async def _collection(self, verb: str, doctype: str, call: Call) -> Answer:
        if verb == "GET":
            asked = list_arguments(call.arguments)
            rows = await call.read(doctype, lambda records: records.list(doctype, asked))
            return envelope.success("data", as_asked(rows, asked))
        if verb == "POST":
            given = document_data(call.arguments)
            document = await call.write(
                doctype, "create", lambda records: records.insert(doctype, given, call.user)
            )
            return envelope.success("data", without_nulls(document))
        return envelope.method_not_allowed("GET, HEAD, POST")

    async def _document(self, verb: str, doctype: str, name: str, call: Call) -> Answer:
        if verb == "GET":
            found = await call.read(doctype, lambda records: records.get(doctype, name))
            return envelope.success("data", without_nulls(found))
        if verb == "PUT":
            given = document_data(call.arguments)
            changed = await call.write(
                doctype, "write", lambda records: records.update(doctype, name, given, call.user)
            )
            return envelope.success("data", without_nulls(changed))
        if verb == "DELETE":
            await call.write(doctype, "delete", lambda records: records.delete(doctype, name))
            return envelope.success("data", "ok", 202)
        raise unknown_route()


def list_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return a list resource's arguments as ``frappe.client.get_list`` names them.

    Both versions know ``limit``; ``limit_page_length`` and ``limit_start`` win where both are given.
    """
    asked = dict(given)
    if "limit_page_length" not in asked and asked.get("limit"):
        asked["limit_page_length"] = asked["limit"]
    if "limit_start" not in asked and asked.get("start"):
        asked["limit_start"] = asked["start"]
    return asked
