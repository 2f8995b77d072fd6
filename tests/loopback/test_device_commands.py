"""Commands to a device by every way there is: the command line, HTTP and a live client, through a real gateway."""

from __future__ import annotations

from typing import Any

import treq
from tests.rig.command_case import CommandCase
from tests.rig.live_case import token
from twisted.web.client import Agent
from twisted.web.http_headers import Headers


class EveryWay(CommandCase):
    """One operation, three ways to it."""

    async def test_the_command_line_sends_and_lists(self) -> None:
        """What is listed is there without a gateway, too."""
        asking = self.program("devices", "command", "s-1", "TARE 0.50")
        self.assertEqual(await self.scale.reply(b"0.50 kg"), b"TARE 0.50")
        self.assertEqual((await asking.ended(), asking.other), (0, ["0.50 kg"]))
        asking = self.program("devices", "command", "s-1", "--data", '{"lamp": "red"}', "--id", "c-1", "--json")
        self.assertEqual(await self.scale.reply(b"ERR no lamp"), b'{"lamp":"red"}')
        self.assertEqual(await asking.ended(), 1)
        self.assertEqual(asking.other, ["lineside: failed: no lamp (command c-1)"])
        (device,) = await self.printed("devices", "list", "--json")
        self.assertEqual((device["device"], device["commands"], device["waiting"]), ("s-1", True, 0))
        self.assertIn("s-1", (await self.printed("devices", "list"))[1])
        wrong = self.program("devices", "command", "s-2", "TARE")
        self.assertEqual(await wrong.ended(), 1)
        self.assertIn('the device "s-2" is not connected', wrong.other[0])
        await self.gateway.end("TERM")
        newest, oldest = await self.printed("devices", "commands", "--json")
        self.assertEqual((oldest["state"], oldest["by"], oldest["size"]), ("answered", "local user", 9))
        self.assertEqual((newest["id"], newest["state"], newest["reason"]), ("c-1", "failed", "no lamp"))
        self.assertIn("no lamp", (await self.printed("devices", "commands", "--state", "failed"))[1])
        nobody = self.program("devices", "command", "s-1", "TARE")
        self.assertEqual(await nobody.ended(), 1)
        self.assertIn("no gateway listens", nobody.other[0])

    async def test_http_sends_and_lists(self) -> None:
        """With a status for each end, by which a program tells whether the device may have got it."""
        await self.printed("token", "create", "cell", "--role", "operator")
        (made,) = await self.printed("token", "create", "cell-2", "--role", "operator", "--json")
        headers = Headers({"Authorization": [f"Bearer {made['text']}"]})
        api = f"http://127.0.0.1:{self.web}/api/v1"

        def give(body: Any) -> Any:
            return treq.post(f"{api}/devices/s-1/commands", json=body, headers=headers, agent=Agent(self.reactor))

        giving = give({"payload": "TARE", "id": "c-1"})
        await self.scale.reply(b"0.00 kg")
        answer = await giving
        told = await answer.json()
        self.assertEqual((answer.code, told["state"], told["reply"]), (200, "answered", "0.00 kg"))
        giving = give({"payload": "OPEN"})
        await self.scale.reply(b"ERR blocked")
        answer = await giving
        self.assertEqual((answer.code, (await answer.json())["state"]), (502, "failed"))
        answer = await give({"payload": "OPEN", "expires": 0.05, "id": "c-3"})
        told = await answer.json()
        self.assertEqual((answer.code, told["state"], told["command"]), (504, "expired", "c-3"))
        answer = await give({"payload": "OPEN", "expires": 1e9})
        self.assertEqual(answer.code, 422)
        answer = await give({"payload": "OPEN", "id": "c-3"})
        self.assertEqual(answer.code, 409)
        await answer.content()
        listed = await treq.get(f"{api}/device-commands?state=expired", headers=headers, agent=Agent(self.reactor))
        (expired,) = (await listed.json())["commands"]
        self.assertEqual((expired["id"], expired["by"]), ("c-3", "cell-2"))
        nobody = await treq.get(f"{api}/devices", agent=Agent(self.reactor))
        self.assertEqual(nobody.code, 401)
        await nobody.content()

    async def test_a_live_client_sends_and_goes_on_meanwhile(self) -> None:
        """What it asks beside a command does not wait for the device."""
        client = self.client(token("olga", meta={"role": "operator"}))
        await client.heard("started")
        await client.do("connect")
        order = {"device": "s-1", "payload": "TARE", "id": "c-1"}
        client.tell(do="rpc", method="devices.command", data=order, beside=True)
        self.assertEqual(await self.scale.line(), b"CMD c-1 TARE")
        meanwhile = await client.do("rpc", method="status", data={})
        self.assertIn("head", meanwhile["data"])
        self.scale.sendLine(b"RES c-1 0.00 kg")
        told = (await client.heard("answer", do="rpc"))["data"]
        self.assertEqual((told["reply"], told["device"]), ("0.00 kg", "s-1"))
        client.tell(do="rpc", method="devices.command", data={"device": "s-1"}, beside=True)
        self.assertRegex(await self.scale.line(), rb"CMD [0-9a-f]{24}")
        self.scale.transport.abortConnection()
        self.assertEqual((await client.heard("refused"))["code"], 400)
        listed = (await client.do("rpc", method="devices.commands", data={"state": "unknown"}))["data"]
        self.assertEqual([each["by"] for each in listed["commands"]], ["olga"])
        reader = self.client(token("ann"))
        await reader.heard("started")
        await reader.do("connect")
        self.assertEqual((await reader.do("rpc", method="devices.command", data={"device": "s-1"}))["code"], 103)

    async def test_simulated_devices_obey(self) -> None:
        """So that commands can be tried within a minute, with no device at hand."""
        place = f"tcp:127.0.0.1:{self.lines}"
        playing = self.program(
            "simulate", "scanner", "--source", "scale", "--connect", place, "--rate", "5", "--json"
        )
        while "scanner-0" not in [each["device"] for each in await self.printed("devices", "list", "--json")]:
            pass
        self.assertEqual(await self.printed("devices", "command", "scanner-0", "hello"), ["hello"])
        failing = self.program("devices", "command", "scanner-0", "fail")
        self.assertEqual(await failing.ended(), 1)
        self.assertIn("failed: as it was told", failing.other[0])
        self.assertEqual(await playing.end("TERM"), 0)
        (summary,) = playing.said
        self.assertEqual((summary["commands"], summary["unanswered"]), (2, 0))
