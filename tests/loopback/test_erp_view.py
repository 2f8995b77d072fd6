"""A gateway that shows documents of a stand-in, as the guide to HTTP services has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import treq
from tests.rig.daemon import lacking
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.edges.frappe.client import FrappeClient
from lineside.operations.requests import CreateToken
from lineside.security.identity import LOCAL_USER
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "http-api.md"
SECTION = GUIDE.read_text(encoding="utf-8").split("\n(erp)=\n")[1].split("\n## ")[0]
BLOCK = re.compile(r"^```(toml|sh|json)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.checkin]
doctype = "Employee Checkin"
document = {{ employee = "{{{{ employee }}}}" }}

[http]
listen = "tcp:0:interface=127.0.0.1"
"""


class Shown(TestCase):
    """The whole gateway and the stand-in in this process, on sockets."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        # A control socket's path must be short.
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        directory = Path(held.name)
        self.erp = StandinServer(
            reactor, Service(directory / "erp.db", Credentials("key", "secret")), FaultKnobs(Random(1))
        )
        await self.erp.start()
        self.running = True
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_erp()))
        await self.fill()
        blocks = BLOCK.findall(SECTION)
        tables = [text for kind, text in blocks if kind == "toml"]
        path = directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(url=self.erp.url) + "".join(tables))
        settings = load(path, {"KEY": "key", "SECRET": "secret"})
        self.assertEqual(settings.warnings, [])
        self.gateway = Gateway(self.reactor, settings)
        system = System(self.gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        await system.start()
        made = await self.gateway.operations.call(CreateToken("terminal", "device"), LOCAL_USER)
        self.token = made.text
        assert self.gateway.http is not None
        self.address = self.gateway.http.part.address

    async def stop_erp(self) -> None:
        if self.running:
            self.running = False
            await self.erp.stop()

    async def fill(self) -> None:
        """Store what the guide's examples show, and what they must not."""
        client = FrappeClient(self.reactor, self.erp.url, "key", "secret")
        for doctype, document in (
            ("Item Group", {"item_group_name": "Raw Material"}),
            ("UOM", {"uom_name": "Nos"}),
            ("Item", {"item_code": "SCR-M4", "item_name": "Screw M4", "standard_rate": 0.02}),
            ("Item", {"item_code": "NUT-M4", "item_name": "Nut M4", "standard_rate": 0.03}),
            ("Item", {"item_code": "OLD-M4", "item_name": "Old M4", "disabled": 1}),
        ):
            more = {"item_group": "Raw Material", "stock_uom": "Nos"} if doctype == "Item" else {}
            path = f"/api/resource/{doctype.replace(' ', '%20')}"
            reply = await client.request("POST", path, body=json.dumps({**document, **more}).encode())
            self.assertIn(reply.status, {200, 409}, reply.body)
        await client.close()

    async def get(self, path: str) -> tuple[int, Headers, Any]:
        headers = Headers({"Authorization": [f"Bearer {self.token}"]})
        answer = await Agent(self.reactor).request(b"GET", f"http://{self.address}{path}".encode(), headers)
        return answer.code, answer.headers, json.loads(await treq.content(answer))

    async def test_the_guides_commands_answer_what_it_says(self) -> None:
        """Each command of curl, with the token of a device, is followed by its answer."""
        if shutil.which("curl") is None:
            lacking("curl is not installed")
        blocks = [(kind, text) for kind, text in BLOCK.findall(SECTION) if kind != "toml"]
        self.assertEqual([kind for kind, _ in blocks], ["sh", "json"] * 2)
        for (_, command), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
            line = command.replace("127.0.0.1:8080", self.address).replace("curl ", "curl -sS ")
            environment = {"PATH": os.environ["PATH"], "TOKEN": self.token}
            out, errors, code = await getProcessOutputAndValue("/bin/sh", ["-c", line], env=environment)
            self.assertEqual((code, errors), (0, b""), line)
            self.assertEqual(json.loads(out), json.loads(expected), line)

    async def test_a_hundred_terminals_are_one_question_and_see_what_is_kept_while_the_erp_is_gone(self) -> None:
        """What was never asked for is 503 then; what is not opened to devices is not shown at all."""
        asked: list[str] = []
        part: Any = self.gateway.deliveries.targets["erp"]
        request = part.client.request

        async def counted(method: str, path: str, **options: Any) -> Any:
            asked.append(path)
            return await request(method, path, **options)

        self.patch(part.client, "request", counted)
        answers = await gatherResults(
            [Deferred.fromCoroutine(self.get("/api/v1/erp/Item/SCR-M4")) for _ in range(100)]
        )
        self.assertEqual({code for code, _, _ in answers}, {200})
        self.assertEqual(len([path for path in asked if "get_list" in path]), 1)
        self.assertEqual((await self.get("/api/v1/erp/Item/OLD-M4"))[0], 404)
        self.assertEqual((await self.get("/api/v1/erp/Bin"))[0], 403)
        self.assertEqual((await self.get("/api/v1/erp/User/Administrator"))[0], 404)
        await self.stop_erp()
        code, headers, item = await self.get("/api/v1/erp/Item/SCR-M4")
        self.assertEqual((code, item["item_name"]), (200, "Screw M4"))
        self.assertTrue(headers.getRawHeaders("Cache-Status", [""])[0].startswith("lineside; hit; ttl="))
        code, headers, problem = await self.get("/api/v1/erp/Item/NUT-M4")
        self.assertEqual((code, headers.getRawHeaders("Retry-After")), (503, ["5"]))
        self.assertIn("does not answer", problem["detail"])
