"""Solution of exercise 2: orders by id."""

import json

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import maybeDeferred


class OrderScreen(WebSocketServerProtocol):
    """One screen's connection."""

    def onMessage(self, payload, isBinary):
        number = None
        try:
            message = json.loads(payload)
            number = identified(message)
            item, qty, customer = parsed(message)
        except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
            self.answer({"id": number, "error": str(error)})
            return
        # maybeDeferred: what place raises at once becomes a failure as well, so that there is one way to deal with it.
        placed = maybeDeferred(self.factory.place, item, qty, customer)
        placed.addCallbacks(
            lambda name: {"id": number, "name": name},
            lambda failure: {"id": number, "error": failure.getErrorMessage() or failure.type.__name__},
        )
        placed.addCallback(self.answer)

    def answer(self, answer):
        if self.state == self.STATE_OPEN:  # sendMessage raises Disconnected otherwise
            self.sendMessage(json.dumps(answer).encode())


def identified(message):
    """Return a message's id; ValueError where it has none that could be sent back."""
    match message:
        case {"id": bool()}:  # true and false count as numbers in Python
            pass
        case {"id": int() | str() as number}:
            return number
    raise ValueError("a message is an object with an id: text or a whole number")


def parsed(message):
    """Return an order's item, quantity and customer; ValueError where it is none."""
    match message.get("order"):
        case {"item": str(item), "qty": int(qty), "customer": str(customer)}:
            if item and customer and not isinstance(qty, bool) and 1 <= qty <= 10_000:
                return item, qty, customer
    raise ValueError("an order has an item, a customer and a qty from 1 to 10000")
