"""Whatever comes through the control socket is answered with one line, and is no fault of the gateway's."""

from __future__ import annotations

import json

from hypothesis import given
from tests.rig.hostile import JSONS, WORST, fuzzed, objects
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lineside.background import Background
from lineside.operations.control import Conversation
from lineside.operations.registry import Operations

REQUESTS = objects(("operation", "seq", "ids", "name", "params", "limit"), ("status", "events.show", "erp.call"))


class FuzzedControl(SynchronousTestCase):
    """Operations of which none is offered, and who asks for them."""

    def ask(self, line: bytes) -> bytes:
        conversation = Conversation(Operations(), Background("control"), set(), Clock())
        transport = StringTransport()
        conversation.makeConnection(transport)
        conversation.dataReceived(line.replace(b"\n", b" ") + b"\n")
        self.assertTrue(transport.disconnecting)
        return bytes(transport.value())

    @fuzzed
    @given(JSONS | REQUESTS)
    def test_each_request_gets_one_line(self, line: bytes) -> None:
        """An error in words that are JSON again; the log has nothing of it."""
        told = self.ask(line)
        self.assertEqual(1, told.count(b"\n"))
        self.assertNotIn("the gateway failed", json.loads(told)["error"])
        self.assertEqual([], self.flushLoggedErrors())

    def test_the_worst_is_refused(self) -> None:
        """Nested 100,000 deep, numbers without end, no UTF-8; also where a request would hold it."""
        for body in WORST:
            for line in (
                body,
                b'{"operation":' + body,
                b'{"operation":"erp.call","name":"a","params":' + body + b"}",
            ):
                self.assertNotIn("the gateway failed", json.loads(self.ask(line))["error"], line[:80])
        self.assertEqual([], self.flushLoggedErrors())
