"""A live stock board: a screen hears the whole stock, then each change; orders come in on the same connection."""

import argparse
import json
import os
import warnings
from io import BytesIO
from time import strftime

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import DeferredSemaphore, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import LoopingCall, react
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm
BINS = b'Bin?fields=["item_code","actual_qty"]&filters={"warehouse":"Stores%20-%20SW"}&limit_page_length=0'


class Board(WebSocketServerFactory):
    """What all screens share: one look at the ERP each second, and one encoding of what is new."""

    def __init__(self, reactor, frappe):
        super().__init__(reactor=reactor)
        self.screens, self.stock, self.erp = set(), {}, "not asked yet"
        self.slots = DeferredSemaphore(10)  # orders under way at a time: the ERP has other users
        self.agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor))
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        self.sent = Headers({"Authorization": [token], "Content-Type": ["application/json"]})
        self.api = frappe.encode("ascii") + b"/api/resource/"

    async def ask(self, method, path, document=None):
        body = None if document is None else FileBodyProducer(BytesIO(json.dumps(document).encode()))
        answer = await self.agent.request(method, self.api + path, self.sent, body).addTimeout(10, self.reactor)
        content = await readBody(answer).addTimeout(10, self.reactor)
        told = json.loads(content) if content.startswith(b"{") else {}  # Frappe's proxy, alone, answers in HTML
        if answer.code != 200:
            raise RuntimeError(f"Frappe answers {answer.code} {told.get('exc_type', 'and gives no reason')}")
        return told["data"]

    def tell(self, screens, news):
        message = self.prepareMessage(json.dumps(news).encode())  # once, whatever the number of screens
        for screen in [each for each in screens if each.state == each.STATE_OPEN]:  # not to those being closed
            screen.sendPreparedMessage(message)

    async def look(self):
        try:
            erp, bins = "here", await self.ask(b"GET", BINS)
        except Exception as error:  # one that came through would end the LoopingCall
            erp, bins = f"away: {str(error) or type(error).__name__}", []
        changes = dict(sorted({(row["item_code"], row["actual_qty"]) for row in bins} - self.stock.items()))
        if changes or erp != self.erp:
            self.stock, self.erp = self.stock | changes, erp
            self.tell(self.screens, {"changes": changes, "erp": erp})

    async def order(self, item, qty, customer):
        if not (type(qty) is int and 0 < qty <= 10_000 and self.slots.tokens):
            raise ValueError("1 to 10000 pieces, and not more than ten orders at a time")
        order = {"customer": customer, "company": "Stand-in Works", "delivery_date": strftime("%Y-%m-%d")}
        order["items"] = [{"item_code": item, "qty": qty, "warehouse": "Stores - SW"}]
        return await self.slots.run(self.ask, b"POST", b"Sales%20Order", order | {"docstatus": 1})


def guarded(callback):
    """autobahn loses what its callbacks raise, and awaits no coroutine: see to both."""
    return lambda screen, *given: maybeDeferred(callback, screen, *given).addErrback(screen.failed)


class Screen(WebSocketServerProtocol):
    @guarded
    def onOpen(self):
        self.registerProducer(self, True)  # the transport calls pauseProducing when more than 64 KiB lie unsent
        self.factory.tell([self], {"stock": self.factory.stock, "erp": self.factory.erp})
        self.factory.screens.add(self)

    @guarded
    async def onMessage(self, payload, isBinary):
        answer, board = {}, self.factory
        try:
            message = json.loads(payload)
            answer["id"] = message.get("id")
            answer["name"] = (await board.order(**message["order"]))["name"]
            board.tell(board.screens, {"ordered": message["order"] | {"name": answer["name"]}})
        except Exception as error:  # whatever is wrong with a message, the answer is a message
            answer["error"] = f"{type(error).__name__}: {error}"
        board.tell([self], answer)

    @guarded
    def onClose(self, wasClean, code, reason):
        self.factory.screens.discard(self)

    def failed(self, failure):
        failure.printTraceback()
        self.sendClose(4500, "the server made a mistake")

    def pauseProducing(self):
        self.unregisterProducer()
        print(f"{self.peer} does not take what it is sent: cut off", flush=True)
        self.sendClose(4008, "too slow")

    resumeProducing = stopProducing = lambda self: None


async def main(reactor):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--port", type=int, default=0)
    given = options.parse_args()
    board = Board(reactor, given.frappe)
    board.protocol = Screen
    board.setProtocolOptions(maxMessagePayloadSize=2_000, maxConnections=1_000, failByDrop=False)
    board.setProtocolOptions(autoPingInterval=20, autoPingTimeout=20, allowedOrigins=["http://127.0.0.1:*"])
    port = await TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1").listen(board)
    print(f"stock board: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await LoopingCall(board.look).start(1)


if __name__ == "__main__":
    react(main)
