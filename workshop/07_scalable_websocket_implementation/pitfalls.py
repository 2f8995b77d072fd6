"""What goes wrong with WebSockets, in a few lines each: ``python pitfalls.py`` shows it, in memory."""

import gc
import json
import warnings
from time import perf_counter

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.task import cooperate
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogBeginner


class Unawaited(WebSocketServerProtocol):
    """Wrong: autobahn calls onMessage and looks at nothing that it returns, so a coroutine never runs."""

    async def onMessage(self, payload, isBinary):
        self.sendMessage(b"ordered")


class Mute(WebSocketServerProtocol):
    """Wrong: what onOpen raises ends up in a Deferred of autobahn's, and the connection stays open, without a word."""

    def onOpen(self):
        self.sendMessage(json.dumps(self.factory.stok).encode())  # a slip of the pen


class Limited(WebSocketServerProtocol):
    """Wrong: a limit that is meant for what comes in holds for what goes out with sendMessage as well."""

    def onOpen(self):
        self.sendMessage(b"x" * 3_000)


class EncodedForEach:
    """Wrong: the same news are turned into JSON and into a frame once for every screen."""

    def tell(self, screens, news):
        for screen in screens:
            screen.sendMessage(json.dumps(news).encode())


class EncodedOnce:
    """Right: one encoding, one frame, written to all."""

    def __init__(self, factory):
        self.factory = factory

    def tell(self, screens, news):
        message = self.factory.prepareMessage(json.dumps(news).encode())
        for screen in screens:
            screen.sendPreparedMessage(message)


class InTurns:
    """For very many screens: after each slice of the work, the reactor looks after everybody else."""

    def __init__(self, factory):
        self.factory = factory

    def tell(self, screens, news):
        message = self.factory.prepareMessage(json.dumps(news).encode())
        return cooperate(self.told(tuple(screens), message)).whenDone()

    def told(self, screens, message):
        for screen in screens:
            if screen.state == screen.STATE_OPEN:  # it may have gone since we began
                yield screen.sendPreparedMessage(message)


def connected(factory):
    """Return a protocol whose handshake is done, on a transport that remembers what was written."""
    screen = factory.buildProtocol(None)
    screen.makeConnection(StringTransport())
    screen.dataReceived(
        b"GET / HTTP/1.1\r\nHost: board\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    screen.transport.clear()
    return screen


def served(protocol, **options):
    """Return a factory of that protocol."""
    factory = WebSocketServerFactory()
    factory.protocol = protocol
    factory.setProtocolOptions(openHandshakeTimeout=0, **options)
    return factory


def told(logged):
    """Return the kinds of errors that were logged."""
    return [event["log_failure"].type.__name__ for event in logged if event.get("log_failure")]


def milliseconds(board, screens, news):
    """Return how long it takes to tell all screens."""
    began = perf_counter()
    board.tell(screens, news)
    return (perf_counter() - began) * 1000


def main():
    logged = []
    globalLogBeginner.beginLoggingTo([logged.append], redirectStandardIO=False)
    order = WebSocketClientFactory("ws://board").prepareMessage(b'{"order": 1}').payloadHybi

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        screen = connected(served(Unawaited))
        screen.dataReceived(order)
        print(f"Unawaited gets an order and answers {screen.transport.value()!r}; {warned[-1].message}")

    for protocol, options in (Mute, {}), (Limited, {"maxMessagePayloadSize": 2_000}):
        logged.clear()
        screen = connected(served(protocol, **options))
        state = "open" if screen.state == screen.STATE_OPEN else "closed"
        print(
            f"{protocol.__name__} is {state} and has said {screen.transport.value()!r}; logged: {told(logged)}",
            end="",
        )
        gc.collect()  # only when a Deferred is thrown away does it say that nobody dealt with its error
        print(f", and some time later: {told(logged)}")

    factory = served(WebSocketServerProtocol)
    screens = [connected(factory) for _ in range(200)]
    news = {"changes": {f"ITEM-{number}": number for number in range(100)}}
    each, once = milliseconds(EncodedForEach(), screens, news), milliseconds(EncodedOnce(factory), screens, news)
    print(f"200 screens, 100 changes: encoded for each {each:.1f} ms, encoded once {once:.1f} ms")


if __name__ == "__main__":
    main()
