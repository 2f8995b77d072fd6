"""Bodies of calls of the ERP that no reader bears: the caller's fault, never the gateway's."""

from __future__ import annotations

from typing import Any, cast

from tests.rig.hostile import WORST
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.allowedcalls import AllowedCall
from lineside.edges.frappe.callendpoints import call_endpoints
from lineside.operations.requests import CallErp
from lineside.operations.results import CalledErp
from lineside.operations.web import Answer, Call, Problem
from lineside.security.identity import Identity


class HostileBodies(SynchronousTestCase):
    """An endpoint with one parameter."""

    def setUp(self) -> None:
        self.carried_out: list[CallErp] = []
        allowed = AllowedCall("order", cast(Any, None), "frappe.client.insert", ("doc",))
        [self.endpoint] = call_endpoints([allowed], self.carry_out)

    async def carry_out(self, asked: CallErp, identity: Identity, where: str) -> CalledErp:
        self.carried_out.append(asked)
        return CalledErp("order", None)

    def ask(self, body: bytes) -> Deferred[Answer]:
        asked = Call(Identity("olga", "operator"), {}, {}, {}, body)
        return Deferred.fromCoroutine(cast(Any, self.endpoint.answer(asked)))

    def test_what_cannot_be_read_is_422(self) -> None:
        """Nested without end, no UTF-8, numbers out of range: whole and as the parameter; none is carried out."""
        for body in WORST:
            for sent in (body, b'{"doc":' + body + b"}"):
                asking = self.ask(sent)
                if self.carried_out:
                    # Some are only strange, and the ERP's to judge.
                    self.successResultOf(asking)
                    self.carried_out.clear()
                else:
                    self.assertEqual(422, self.failureResultOf(asking, Problem).value.status)
