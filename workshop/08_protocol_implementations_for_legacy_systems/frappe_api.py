"""Frappe's REST API: the class of chapter 3, in a file of its own, for two programs of this chapter use it."""

import json
import os
import warnings
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm


class FrappeError(Exception):
    """Frappe did not do what it was asked."""


class Frappe:
    """Frappe's REST API, spoken with Twisted's own HTTP client."""

    def __init__(self, reactor, url):
        self.agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor))
        self.reactor, self.url = reactor, url
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        self.headers = Headers({"Authorization": [token], "Content-Type": ["application/json"]})

    def call(self, method, path, document=None):
        """Return a Deferred of what Frappe answers; it fails when Frappe refuses, or after ten seconds."""
        asked = Deferred.fromCoroutine(self._call(method, path, document))
        return asked.addTimeout(10, self.reactor)

    async def _call(self, method, path, document):
        body = None if document is None else FileBodyProducer(BytesIO(json.dumps(document).encode()))
        url = (self.url + path).encode("ascii")
        answer = await self.agent.request(method, url, self.headers, body)
        content = await readBody(answer)
        try:
            told = json.loads(content)  # Frappe's proxy, alone, answers in HTML
        except ValueError:
            told = {}
        if answer.code != 200 or "data" not in told:
            raise FrappeError(f"Frappe answers {answer.code} {told.get('exc_type', 'and gives no reason')}")
        return told["data"]
