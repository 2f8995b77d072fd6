"""What a browser opens beside the API: the Desk, which gives a session its CSRF token, and files."""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from lineside.standin import envelope
from lineside.standin.authentication import GUEST, Credentials
from lineside.standin.documents import Documents
from lineside.standin.envelope import Answer
from lineside.standin.errors import FrappeError
from lineside.standin.exchange import in_background, incoming_of, send
from lineside.standin.filestore import read_content
from lineside.standin.sessions import Sessions
from lineside.standin.visitors import Visitor, recognise

log = Logger()

NOWHERE = envelope.page(404, "Not Found", "The page you are looking for is not there.")


class DeskResource(Resource):
    """The Desk: a page that says who is logged in, and holds the session's CSRF token as Frappe's own does."""

    isLeaf = True  # noqa: N815 (twisted.web's name)

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions

    def render(self, request: Request) -> int:
        """Answer at once; guests are sent to the log-in."""
        visitor = recognised(request, self._sessions, None)
        if visitor is None or visitor.session is None:
            send(request, Answer(302, b"", envelope.HTML, ((b"Location", b"/login?redirect-to=/app"),)))
        else:
            token = self._sessions.token(visitor.session)
            script = f'frappe = {{}};\nfrappe.csrf_token = "{token}";'
            page = f"<!doctype html>\n<html lang=en>\n<title>Desk</title>\n<script>\n{script}\n</script>\n"
            send(request, Answer(200, page.encode(), b"text/html; charset=utf-8"))
        return NOT_DONE_YET


class FileResource(Resource):
    """The files that were uploaded; those under ``/private`` are for users only."""

    isLeaf = True  # noqa: N815 (twisted.web's name)

    def __init__(self, documents: Documents, sessions: Sessions, credentials: Credentials) -> None:
        super().__init__()
        self._documents = documents
        self._sessions = sessions
        self._credentials = credentials

    def render(self, request: Request) -> int:
        """Answer when the file has been read."""
        in_background(self._answer(request))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        url = unquote(request.path.decode("latin-1"))
        visitor = recognised(request, self._sessions, self._credentials)
        try:
            answer = await self._found(url, visitor)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (a client gets an answer whatever fails)
            log.failure("standin.file.failed")
            answer = envelope.INTERNAL_ERROR
        if not gone:
            send(request, answer)

    async def _found(self, url: str, visitor: Visitor | None) -> Answer:
        if url.startswith("/private/") and (visitor is None or visitor.user == GUEST):
            return envelope.page(403, "Forbidden", "You don't have permission to access this file.")
        content = await self._documents.read(lambda records: read_content(records.connection, url))
        if content is None:
            return NOWHERE
        kind = mimetypes.guess_type(url)[0] or "application/octet-stream"
        return Answer(200, content, kind.encode())


def recognised(request: Request, sessions: Sessions, credentials: Credentials | None) -> Visitor | None:
    """Return who asks for a page; None for who shows a key that is wrong, or a key where none counts."""
    incoming = incoming_of(request)
    given: dict[str, Any] = {}
    try:
        return recognise(incoming, given, sessions, credentials or Credentials("", ""))
    except FrappeError:
        return None
