"""Solution of exercise 2: answers that come later."""

import json

from twisted.internet.defer import maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET


class Quantity(Resource):
    """/ITEM"""

    isLeaf = True

    def __init__(self, ask):
        super().__init__()
        self.ask = ask

    def render_GET(self, request):
        asked = maybeDeferred(self.ask, request.postpath[-1].decode())
        # It fires when the answer is written, and fails when the connection is lost before that.
        gone = request.notifyFinish()
        gone.addErrback(lambda failure: asked.cancel())

        def failed(failure):
            request.setResponseCode(502)
            return {"error": failure.getErrorMessage()}

        def send(told):
            # A cancelled Deferred fails too, and so comes by here: nobody is left to write to.
            if not gone.called:
                request.write(json.dumps(told).encode())
                request.finish()

        asked.addCallbacks(lambda number: {"quantity": number}, failed).addCallback(send)
        return NOT_DONE_YET
