"""Frappe's REST API, versions 1 and 2: from a request's path to the documents and back."""

from __future__ import annotations

from typing import Any

import msgspec

from lineside.standin import envelope, uploads
from lineside.standin.authentication import Credentials
from lineside.standin.call import Call
from lineside.standin.documents import Documents
from lineside.standin.doings import run_document_method, run_given_method
from lineside.standin.drafting import without_nulls
from lineside.standin.envelope import Answer, Success
from lineside.standin.errors import FrappeError, foreign, raised, unknown_route
from lineside.standin.faults import Plan
from lineside.standin.incoming import Incoming, arguments, document_data, wants_page
from lineside.standin.logins import LogIns, welcome
from lineside.standin.methods import as_asked, call_method
from lineside.standin.sessions import Sessions
from lineside.standin.settings import SiteSettings
from lineside.standin.visitors import CLEARED, Visitor, cookies, recognise

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Api:
    """Answers requests for one site.

    Args:
        documents: of the site, open.
        credentials: the API key that opens it.
        settings: of the site.
        sessions: of those who logged in.
        log_ins: makes them.

    """

    def __init__(
        self,
        documents: Documents,
        credentials: Credentials,
        settings: SiteSettings,
        sessions: Sessions,
        log_ins: LogIns,
    ) -> None:
        self._documents = documents
        self._credentials = credentials
        self._settings = settings
        self._sessions = sessions
        self._log_ins = log_ins

    async def answer(self, incoming: Incoming, plan: Plan) -> Answer | None:
        """Return the answer; None when none is to be given, for good.

        Anything but `FrappeError` that is raised here is a fault of the stand-in.
        """
        visitor = Visitor()
        try:
            self._hold_maintenance(incoming)
            given = arguments(incoming)
            visitor = recognise(incoming, given, self._sessions, self._credentials)
            if incoming.verb == "OPTIONS":
                return Answer(200, b"", envelope.TEXT)
            call = Call(
                self._documents,
                visitor.user,
                given,
                undone=plan.undone,
                read_only=self._settings.now.maintenance_mode,
            )
            answer = await self._routed(incoming, call, visitor)
        except FrappeError as error:
            return self.refusal(incoming, error, visitor)
        if call.committed and plan.hang:
            return None
        if call.committed and plan.error_after_commit:
            return envelope.INTERNAL_ERROR
        return answer

    def refusal(self, incoming: Incoming, error: FrappeError, visitor: Visitor | None = None) -> Answer:
        """Return an error's answer to a request."""
        if wants_page(incoming):
            return envelope.INTERNAL_ERROR
        visitor = visitor or Visitor()
        settings = self._settings.now
        if visitor.expired:
            error.extra["session_expired"] = 1
        answer = envelope.failure(error, incoming.version, tracebacks=settings.allow_error_traceback)
        sent = CLEARED if error.status == 401 else cookies(visitor.session, settings.session_expiry)
        return msgspec.structs.replace(answer, headers=sent)

    def _hold_maintenance(self, incoming: Incoming) -> None:
        settings = self._settings.now
        if settings.maintenance_mode and not settings.allow_reads_during_maintenance:
            raise raised("SessionStopped", "Session Stopped")

    async def _routed(self, incoming: Incoming, call: Call, visitor: Visitor) -> Answer:
        session = visitor.session
        if incoming.path == ("method", "login"):
            session = await self._log_ins.log_in(call.arguments)
            done: Answer | Success = Success("message", "Logged In", extra=welcome(session))
        elif incoming.path == ("method", "logout"):
            if session is not None:
                self._sessions.end(session.sid)
            session, done = None, Success("message", None)
        elif incoming.path == ("method", "upload_file"):
            key = "data" if incoming.version == 2 else "message"
            done = Success(key, await uploads.store(incoming, call))
        else:
            done = await self._route(incoming, call)
        if isinstance(done, Answer):
            return done
        if visitor.expired:
            done.extra["session_expired"] = 1
        sent = cookies(session, self._settings.now.session_expiry)
        return msgspec.structs.replace(envelope.success(done), headers=sent)

    async def _route(self, incoming: Incoming, call: Call) -> Answer | Success:
        verb = "GET" if incoming.verb == "HEAD" else incoming.verb
        if incoming.path[:1] == ("method",) and len(incoming.path) > 1:
            return await self._method("/".join(incoming.path[1:]), verb, incoming.version, call)
        if incoming.version == 2:
            return await self._second(incoming.path, verb, call)
        match incoming.path:
            case ("resource", doctype):
                return await self._collection(verb, doctype, call)
            case ("resource", doctype, *name) if name:
                return await self._document(verb, doctype, "/".join(name), call)
            case _:
                raise unknown_route()

    async def _method(self, name: str, verb: str, version: int, call: Call) -> Success:
        key = "data" if version == 2 else "message"
        if name == "run_doc_method":
            result, document = await run_given_method(call)
            return Success(key, result, extra={"docs": [without_nulls(document)]})
        return Success(key, await call_method(name, verb, call))

    async def _second(self, path: tuple[str, ...], verb: str, call: Call) -> Answer | Success:
        match path:
            case ("document", doctype):
                return await self._collection(verb, doctype, call)
            case ("document", doctype, *name, "method", method) if name and verb in {"GET", "POST"}:
                result, document = await run_document_method(call, doctype, "/".join(name), method, verb)
                return Success("data", result, extra={"docs": [without_nulls(document)]})
            case ("document", doctype, *name, "copy") if name and verb == "GET":
                copied = await call.read(doctype, lambda records: records.copy(doctype, "/".join(name)))
                return Success("data", without_nulls(copied))
            case ("document", doctype, *name) if name:
                return await self._document("PUT" if verb == "PATCH" else verb, doctype, "/".join(name), call, 2)
            case ("doctype", doctype, "meta"):
                described = await call.read(doctype, lambda records: records.doctype(doctype).described())
                return Success("data", without_nulls(described))
            case ("doctype", doctype, "count"):
                number = await call.read(doctype, lambda records: records.count(doctype, call.arguments))
                return Success("data", number)
            case _:
                raise unknown_route()

    async def _collection(self, verb: str, doctype: str, call: Call) -> Answer | Success:
        if verb == "GET":
            asked = list_arguments(call.arguments)
            rows = await call.read(doctype, lambda records: records.list(doctype, asked))
            return Success("data", as_asked(rows, asked))
        if verb == "POST":
            given = document_data(call.arguments)
            document = await call.write(
                doctype, "create", lambda records: records.insert(doctype, given, call.user)
            )
            return Success("data", without_nulls(document))
        return envelope.method_not_allowed("GET, HEAD, POST")

    async def _document(self, verb: str, doctype: str, name: str, call: Call, version: int = 1) -> Success:
        if version == 1 and verb in {"GET", "POST"} and ("run_method" in call.arguments or verb == "POST"):
            method = call.arguments.pop("run_method", None)
            if method is None:
                raise foreign("", "KeyError", "'run_method'")
            result, _ = await run_document_method(call, doctype, name, str(method), verb)
            return Success("data", result)
        if verb == "GET":
            found = await call.read(doctype, lambda records: records.get(doctype, name))
            return Success("data", without_nulls(found))
        if verb == "PUT":
            given = document_data(call.arguments)
            changed = await call.write(
                doctype, "write", lambda records: records.update(doctype, name, given, call.user)
            )
            return Success("data", without_nulls(changed))
        if verb == "DELETE":
            await call.write(doctype, "delete", lambda records: records.delete(doctype, name))
            return Success("data", "ok", 202)
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
