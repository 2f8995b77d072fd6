"""Calls of the ERP through a real gateway: from the command line, over HTTP and by a live client."""

from __future__ import annotations

from random import Random

import treq
from tests.rig.command_case import CommandCase
from tests.rig.live_case import token
from twisted.internet import defer
from twisted.web.client import Agent

from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer


class EveryWay(CommandCase):
    """A stand-in in this process."""

    more = """
[calls.count]
method = "frappe.client.get_count"
params = ["filters"]
fixed = { doctype = "UOM" }
permission = "read"

[calls.add]
method = "frappe.client.insert"
params = ["doc"]
"""

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets are real)

        service = Service(self.directory / "erp.db", Credentials("key", "secret"))
        standin = StandinServer(reactor, service, FaultKnobs(Random(1)))
        await standin.start()
        self.addCleanup(lambda: defer.Deferred.fromCoroutine(standin.stop()))
        self.erp = standin.url
        await super().setUp()

    async def test_one_operation_three_ways(self) -> None:
        """Each with its own errors, and the ERP's words where it says no."""
        doc = '{"doc": {"doctype": "UOM", "uom_name": "Crate"}}'
        (told,) = await self.printed("erp", "call", "add", "--data", doc, "--json")
        self.assertEqual((told["name"], told["answer"]["name"]), ("add", "Crate"))
        again = self.program("erp", "call", "add", "--data", doc)
        self.assertEqual(await again.ended(), 1)
        self.assertIn("lineside: the ERP says no: ", again.other[0])
        wrong = self.program("erp", "call", "count", "doctype=User")
        self.assertEqual(await wrong.ended(), 1)
        self.assertIn('count has no parameter "doctype"', wrong.other[0])
        url = f"http://127.0.0.1:{self.web}/api/v1/calls"
        agent = Agent(self.reactor)
        for name, sent, status in (
            ("count", {}, 200),
            ("count", {"filters": {"name": "Crate"}}, 200),
            ("count", {"doctype": "User"}, 422),
            ("count", {"filters": None}, 200),
            ("add", {}, 403),
            ("drop", {}, 404),
        ):
            answer = await treq.post(f"{url}/{name}", json=sent, agent=agent)
            body = await answer.json()
            self.assertEqual(answer.code, status, body)
        described = await treq.get(f"http://127.0.0.1:{self.web}/openapi.json", agent=agent)
        self.assertIn("filters", (await described.json())["components"]["schemas"]["Call_count"]["properties"])
        client = self.client(token("olga", meta={"role": "operator"}))
        await client.heard("started")
        await client.do("connect")
        asked = {"name": "count", "params": {"filters": {"name": "Crate"}}}
        self.assertEqual((await client.do("rpc", method="erp.call", data=asked))["data"]["answer"], 1)
        self.assertEqual((await client.do("rpc", method="erp.call", data={"name": "drop"}))["code"], 400)
        self.assertEqual((await client.do("rpc", method="erp.call", data={}))["code"], 107)
        reader = self.client(token("ann"))
        await reader.heard("started")
        await reader.do("connect")
        self.assertEqual((await reader.do("rpc", method="erp.call", data={"name": "add"}))["code"], 103)
