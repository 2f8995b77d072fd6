"""A screen for the terminal: shows what the stock board says, and places an order.

    python client.py 127.0.0.1:8080
    python client.py 127.0.0.1:8080 --order GLOVE-L 2 "Bicycle Works"
    python client.py 127.0.0.1:8080 --screens 200     # how long until all of them know?

It comes back by itself when the connection is lost.
"""

import argparse
import json
import sys

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react


class Screen(WebSocketClientProtocol):
    """One connection to the board."""

    def onOpen(self):
        self.factory.opened()
        if self.factory.order is not None:
            self.sendMessage(json.dumps({"id": 1, "order": self.factory.order}).encode())

    def onMessage(self, payload, isBinary):
        self.factory.heard(payload.decode())

    def onClose(self, wasClean, code, reason):
        self.factory.heard(f"no more: {code} {reason or ''}")


class Audience:
    """Many screens in one program: says of each message how long it took until the last of them had it."""

    def __init__(self, reactor, screens):
        self.reactor, self.screens = reactor, screens
        self.open, self.hearing = 0, {}

    def opened(self):
        self.open += 1
        if self.open == self.screens > 1:
            print(f"{self.screens} screens are connected", flush=True)

    def heard(self, text):
        first, count = self.hearing.pop(text, (self.reactor.seconds(), 0))
        if count + 1 < self.screens:
            self.hearing[text] = first, count + 1
        else:
            took = (self.reactor.seconds() - first) * 1000
            print(f"{self.screens} screens, the last {took:.0f} ms after the first: {text}", flush=True)


def unreachable(failure, address):
    print(f"nobody answers at {address} ({failure.getErrorMessage()}); trying again", flush=True)


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("address", metavar="HOST:PORT")
    options.add_argument("--order", nargs=3, metavar=("ITEM", "QTY", "CUSTOMER"))
    options.add_argument("--screens", type=int, default=1)
    given = options.parse_args(arguments)
    audience = Audience(reactor, given.screens)
    for _ in range(given.screens):
        factory = WebSocketClientFactory(f"ws://{given.address}", reactor=reactor)
        factory.protocol, factory.opened, factory.order = Screen, audience.opened, None
        if given.order:
            item, quantity, customer = given.order
            factory.order = {"item": item, "qty": int(quantity), "customer": customer}
        factory.heard = audience.heard if given.screens > 1 else lambda text: print(text, flush=True)
        service = ClientService(HostnameEndpoint(reactor, factory.host, factory.port), factory)
        service.startService()
        if given.screens == 1:
            service.whenConnected(failAfterFailures=1).addErrback(unreachable, given.address)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
