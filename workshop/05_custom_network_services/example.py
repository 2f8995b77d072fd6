"""An HTTP service for the shop floor: stock from Frappe, and the log of scans from a SQL database.

FRAPPE_KEY=… FRAPPE_SECRET=… python example.py --frappe http://127.0.0.1:8000 --database scans.db
"""

import argparse
import json
import os
import sys
import warnings
from urllib.parse import quote

from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.task import react
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed, readBody
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm


def answer(request, work):
    """Answer a request with what a coroutine returns, as JSON, once it returns."""
    gone = request.notifyFinish().addErrback(lambda failure: working.cancel())  # whoever asked has hung up

    def failed(failure):
        status = {ValueError: 400, LookupError: 404, ConnectionError: 502}
        request.setResponseCode(status[failure.trap(*status)])
        return {"error": failure.getErrorMessage()}

    def send(told):
        if not gone.called:
            request.setHeader("Content-Type", "application/json")
            request.write(json.dumps(told).encode() + b"\n")
            request.finish()

    working = Deferred.fromCoroutine(work).addErrback(failed).addCallback(send)
    working.addErrback(lambda failure: None if gone.called else request.processingFailed(failure))
    return NOT_DONE_YET


class Stock(Resource):
    """/stock/ITEM: how many there are, asked from Frappe."""

    isLeaf = True

    def __init__(self, reactor, frappe):
        self.agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor))
        self.reactor, self.frappe = reactor, frappe
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        self.headers = Headers({"Authorization": [token]})

    def render_GET(self, request):
        return answer(request, self.look(b"/".join(request.postpath).decode(errors="replace")))

    async def look(self, item):
        asked = 'fields=["actual_qty"]&filters=' + quote(json.dumps({"item_code": item}))
        url = f"{self.frappe}/api/resource/Bin?{asked}".encode("ascii")
        try:
            response = await self.agent.request(b"GET", url, self.headers).addTimeout(10, self.reactor)
            content = await readBody(response).addTimeout(10, self.reactor)
        except (ConnectError, ResponseFailed, TimeoutError) as error:
            raise ConnectionError(f"no answer from Frappe ({type(error).__name__})") from error
        if response.code != 200:
            raise ConnectionError(f"Frappe answers {response.code}")
        bins = json.loads(content)["data"]
        if not bins:
            raise LookupError(f"nothing is known of {item!r}")
        return {"item": item, "quantity": sum(row["actual_qty"] for row in bins)}


class Scans(Resource):
    """/scans?item=ITEM: the log of scans, kept in a SQL database; a POST adds one."""

    isLeaf = True

    def __init__(self, database):
        self.database = database

    def render_GET(self, request):
        return answer(request, self.read(request.args.get(b"item", [b"%"])[0].decode(errors="replace")))

    async def read(self, item):
        select = "SELECT item, quantity FROM scans WHERE item LIKE ? ORDER BY id DESC LIMIT 100"
        return [{"item": item, "quantity": number} for item, number in await self.database.runQuery(select, [item])]

    def render_POST(self, request):
        return answer(request, self.add(request.content.read()))

    async def add(self, body):
        match json.loads(body):
            case {"item": str(item), "quantity": int(quantity)}:
                insert = "INSERT INTO scans (item, quantity) VALUES (?, ?)"  # the driver fills in the values
                await self.database.runOperation(insert, [item, quantity])
                return {"item": item, "quantity": quantity}
        raise ValueError('a scan looks like {"item": "BOLT-M8", "quantity": 5}')


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--database", required=True, metavar="FILE")
    options.add_argument("--port", type=int, default=0)
    given = options.parse_args(arguments)
    database = adbapi.ConnectionPool("sqlite3", given.database, check_same_thread=False, cp_reactor=reactor)
    await database.runOperation("CREATE TABLE IF NOT EXISTS scans (id INTEGER PRIMARY KEY, item, quantity)")
    root = Resource()
    root.putChild(b"stock", Stock(reactor, given.frappe))
    root.putChild(b"scans", Scans(database))
    port = await TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1").listen(Site(root))
    print(f"shop floor: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
