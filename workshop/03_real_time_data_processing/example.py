"""A line of scanners in front of Frappe: each scan becomes a Stock Entry as it arrives.

A scanner connects by TCP and sends lines such as ``BOLT-M8 5``: five bolts came in. Each line is
answered in its order: ``OK MAT-STE-2026-00001``, or ``ERR`` and the reason.

    FRAPPE_KEY=… FRAPPE_SECRET=… python example.py --frappe http://127.0.0.1:8000
"""

import argparse
import json
import os
import sys
import warnings
from io import BytesIO

from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseFailed, readBody
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

    async def call(self, method, path, document=None):
        """Return what Frappe answers; FrappeError when it refuses, or does not answer in ten seconds."""
        body = None if document is None else FileBodyProducer(BytesIO(json.dumps(document).encode()))
        url = (self.url + path).encode("ascii")
        try:
            answer = await self.agent.request(method, url, self.headers, body).addTimeout(10, self.reactor)
            content = await readBody(answer).addTimeout(10, self.reactor)
        except (ConnectError, ResponseFailed, TimeoutError) as error:
            raise FrappeError(f"no answer from Frappe ({type(error).__name__})") from error
        try:
            told = json.loads(content)  # Frappe's proxy, alone, answers in HTML
        except ValueError:
            told = {}
        if answer.code != 200 or "data" not in told:
            raise FrappeError(f"Frappe answers {answer.code} {told.get('exc_type', 'and gives no reason')}")
        return told["data"]


def parsed(line):
    """Return a scan's item and quantity; ValueError where the line is no scan."""
    words = line.decode("ascii", "replace").split()
    if len(words) != 2 or not (line.isascii() and words[1].isdecimal() and 0 < int(words[1]) <= 10_000):
        raise ValueError("a scan is an item and a number, such as BOLT-M8 5")
    return words[0], int(words[1])


class Scanner(LineReceiver):
    """One scanner's connection: a line comes in, its answer goes out, one after the other."""

    delimiter = b"\n"  # scanners end a line with CR LF or with LF alone; the CR is stripped below
    MAX_LENGTH = 200

    def __init__(self, frappe):
        self.frappe = frappe
        self.turn = DeferredLock()  # answers go out in the order of the lines
        self.waiting = 0

    def lineReceived(self, line):
        self.waiting += 1
        if self.waiting == 50:
            self.pauseProducing()  # enough for now: TCP itself slows the scanner down
        self.turn.run(self.book, line.rstrip(b"\r"))

    async def book(self, line):
        try:
            answer = "OK " + await self.receive(*parsed(line))
        except Exception as error:  # one scan's trouble must not end the connection
            answer = f"ERR {str(error) or type(error).__name__}"
        self.sendLine(answer.encode("ascii", "replace"))
        self.waiting -= 1
        if self.waiting == 25:
            self.resumeProducing()

    async def receive(self, item, quantity):
        row = {"item_code": item, "qty": quantity, "t_warehouse": "Stores - SW"}
        entry = {"stock_entry_type": "Material Receipt", "company": "Stand-in Works", "items": [row]}
        stored = await self.frappe.call(b"POST", "/api/resource/Stock%20Entry", entry | {"docstatus": 1})
        return stored["name"]

    def lineLengthExceeded(self, line):
        self.sendLine(b"ERR the line is too long")
        self.transport.loseConnection()


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--port", type=int, default=0)
    given = options.parse_args(arguments)
    frappe = Frappe(reactor, given.frappe)
    endpoint = TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1")
    port = await endpoint.listen(Factory.forProtocol(lambda: Scanner(frappe)))
    print(f"scanners: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
