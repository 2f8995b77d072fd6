"""How many are in stock? The same server on Twisted: it starts the question, and hears the next client meanwhile.

FRAPPE_KEY=… FRAPPE_SECRET=… python non_blocking.py --frappe http://127.0.0.1:8000
"""

import argparse
import json
import os
import sys
import warnings
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm


class Question(LineReceiver):
    """One client's connection."""

    delimiter = b"\n"

    def __init__(self, agent, frappe):
        self.agent, self.frappe = agent, frappe

    def lineReceived(self, line):
        asked = Deferred.fromCoroutine(self.in_stock(line.decode().strip()))
        asked.addCallbacks(lambda number: self.sendLine(b"%d" % number), self.give_up)

    async def in_stock(self, item):
        """Ask the ERP; every `await` gives the thread back until what it waits for is there."""
        fields, filters = quote('["actual_qty"]'), quote(json.dumps({"item_code": item}))
        url = f"{self.frappe}/api/resource/Bin?fields={fields}&filters={filters}"
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        answer = await self.agent.request(b"GET", url.encode(), Headers({"Authorization": [token]}))
        rows = json.loads(await readBody(answer))["data"]
        return rows[0]["actual_qty"] if rows else 0

    def give_up(self, failure):
        self.sendLine(f"ERR {failure.getErrorMessage()}".encode())


async def main(reactor, *arguments):
    """Serve everybody at once, for ever."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--port", type=int, default=0)
    given = options.parse_args(arguments)
    agent = Agent(reactor, connectTimeout=5)
    endpoint = TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1")
    port = await endpoint.listen(Factory.forProtocol(lambda: Question(agent, given.frappe)))
    print(f"non-blocking: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
