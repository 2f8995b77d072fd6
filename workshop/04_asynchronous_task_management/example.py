"""Look at the stock again and again, and reorder what runs low, without ever blocking or overlapping.

FRAPPE_KEY=… FRAPPE_SECRET=… python example.py --frappe http://127.0.0.1:8000 --every 5 BOLT-M8=150 GLOVE-L=20
"""

import argparse
import json
import os
import sys
import warnings
from datetime import date, timedelta
from io import BytesIO
from urllib.parse import quote

from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore, TimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.task import LoopingCall, react
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseFailed, readBody
from twisted.web.http_headers import Headers

DONE = ["Received", "Stopped", "Cancelled"]  # a Material Request in any other state is on its way

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

    def find(self, doctype, fields, **filters):
        """Return a Deferred of all documents that match."""
        asked = f"fields={quote(json.dumps(fields))}&filters={quote(json.dumps(filters))}&limit_page_length=0"
        return Deferred.fromCoroutine(self.call(b"GET", f"/api/resource/{quote(doctype)}?{asked}"))


class Reordering:
    """Keeps every item at its level or on its way there."""

    def __init__(self, frappe, levels):
        self.frappe, self.levels = frappe, levels
        self.slots = DeferredSemaphore(3)  # the ERP has other users too

    def look(self, count):
        """Look once; the Deferred fires when everything that follows from it is done as well."""
        if count > 1:
            print(f"looks left out: {count - 1}; the one before took too long", flush=True)
        looked = self.frappe.find("Bin", ["item_code", "actual_qty"], item_code=["in", list(self.levels)])
        looked.addCallback(self.compare)
        return looked.addErrback(self.failed, "the stock")  # a failure that came through would end the loop

    def compare(self, bins):
        stock = dict.fromkeys(self.levels, 0)
        for row in bins:
            stock[row["item_code"]] += row["actual_qty"]
        low = [item for item, level in self.levels.items() if stock[item] < level]
        orders = [self.slots.run(self.reorder, item, stock[item]).addErrback(self.failed, item) for item in low]
        return DeferredList(orders)

    async def reorder(self, item, left):
        title = f"Reorder {item}"
        if await self.frappe.find("Material Request", ["name"], title=title, status=["not in", DONE]):
            return
        due = str(date.today() + timedelta(days=7))
        row = {
            "item_code": item,
            "qty": 2 * self.levels[item] - left,
            "warehouse": "Stores - SW",
            "schedule_date": due,
        }
        request = {"title": title, "material_request_type": "Purchase", "company": "Stand-in Works", "items": [row]}
        stored = await self.frappe.call(b"POST", "/api/resource/Material%20Request", request)
        print(f"{item}: {left:g} left, {row['qty']:g} reordered as {stored['name']}", flush=True)

    def failed(self, failure, what):
        print(
            f"{what}: {failure.getErrorMessage() or failure.type.__name__}; the next look tries again", flush=True
        )


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--every", type=float, default=60, metavar="SECONDS")
    options.add_argument("levels", nargs="+", metavar="ITEM=LEVEL")
    given = options.parse_args(arguments)
    levels = {item: float(level) for item, level in (each.split("=") for each in given.levels)}
    loop = LoopingCall.withCount(Reordering(Frappe(reactor, given.frappe), levels).look)
    loop.clock = reactor
    print(f"looking at {', '.join(levels)} every {given.every:g} s", flush=True)
    await loop.start(given.every)


if __name__ == "__main__":
    react(main, sys.argv[1:])
