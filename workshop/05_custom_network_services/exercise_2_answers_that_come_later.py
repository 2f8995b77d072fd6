"""Exercise 2 (on your own): answers that come later.

``ask(item)`` is given to you: it returns a Deferred of a number at once, and the ERP fires it later, or it fails.
Write `Quantity`, a leaf at any path whose last part is the item, ``/BOLT-M8``:

- It answers ``{"quantity": 120}`` with 200 when the number has come.
- When the Deferred fails it answers ``{"error": …}`` with 502, and what the failure says.
- When whoever asked hangs up before that, the Deferred is cancelled, and nothing is written any more.
- When ``ask`` raises at once, in place of returning a Deferred, it answers 502 as well.
"""

import json

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET


class Quantity(Resource):
    """/ITEM"""

    isLeaf = True

    def __init__(self, ask):
        super().__init__()
        self.ask = ask

    def render_GET(self, request):
        # TODO
        asked = self.ask(request.postpath[-1].decode())

        def send(number):
            request.write(json.dumps({"quantity": number}).encode())
            request.finish()

        asked.addCallback(send)
        return NOT_DONE_YET
