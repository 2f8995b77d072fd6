"""Exercise 2 (on your own): orders by id.

A screen sends orders over its WebSocket, as many as it likes without waiting. Each has an id of the screen's own
choice, and the answer bears it: so answers need no order.

    {"id": 7, "order": {"item": "GLOVE-L", "qty": 2, "customer": "Bicycle Works"}}
    {"id": 7, "name": "SAL-ORD-2026-00001"}

``self.factory.place(item, qty, customer)`` is given to you. It returns a Deferred of the name, which fires later or
fails; it may also raise at once.

- Each order is placed when it arrives. Its answer goes out when its Deferred fires, whatever the others do.
- One that fails is answered ``{"id": 7, "error": "the reason"}``.
- An id is text or a whole number. Item and customer are text that is not empty, ``qty`` is a whole number from 1 to
  10,000 (and ``true`` is none). Everything else is answered with an error, and nothing is placed. The error bears the
  id wherever there is one, and ``null`` where there is none.
- The screen may be gone when the name comes. Then nothing is sent, and nothing ends up in the log.
- Nothing is raised out of ``onMessage``: autobahn, or Twisted behind it, would end the connection.
"""

from autobahn.twisted.websocket import WebSocketServerProtocol


class OrderScreen(WebSocketServerProtocol):
    """One screen's connection."""

    def onMessage(self, payload, isBinary):
        # TODO: json.loads takes bytes; sendMessage wants bytes.
        pass
