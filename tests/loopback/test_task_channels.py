"""Runs as they are seen live, by `centrifuge-python`, on `tasks:NAME`."""

from __future__ import annotations

import json
from typing import Any

from tests.rig.live_case import LiveCase, token
from tests.rig.told import of

CODE = """
from lineside.tasks.context import Context
from msgspec import Struct

async def count(context):
    for number in range(1, 4):
        await context.sleep(0.6)
        context.progress(number, 3, f"bin {number}")
    return {"counted": 3}


class Params(Struct):
    event: dict[str, str]


def strict(context: Context[Params]): ...


async def hang(context):
    await context.sleep(3600)
"""
KEYS = ("run", "task", "state", "done", "message")
UNKNOWN_CHANNEL, DENIED = 102, 103
"""Codes of refusals; see the guide "Live channels"."""


class Channels(LiveCase):
    """One channel for each task."""

    program = "python"
    more = """
[tasks.count]
run = "live_floor:count"

[tasks.hang]
run = "live_floor:hang"

[tasks.strict]
run = "live_floor:strict"
on = "sources.gate"
when = "{{ n > 0 }}"
"""

    async def start_gateway(self) -> None:
        tasks = self.directory / "tasks"
        tasks.mkdir(exist_ok=True)
        (tasks / "live_floor.py").write_text(CODE)
        await super().start_gateway()

    async def watcher(self, channel: str = "tasks:count") -> Any:
        """Start a client of an operator's that is subscribed."""
        client = await self.client(token("olga", meta={"role": "operator"}))
        await client.do("connect")
        await client.do("subscribe", channel=channel)
        await client.heard("subscribed", channel=channel)
        return client

    def states(self, client: Any, channel: str = "tasks:count") -> list[str]:
        return [each["data"]["state"] for each in of(client.said, "publication", channel=channel)]

    async def test_a_run_is_seen_from_the_wish_to_the_end(self) -> None:
        """Each state once it is stored, how far it is in between, and who is asked for it by rpc."""
        client = await self.watcher()
        answer = await client.do("rpc", method="tasks.run", data={"task": "count"})
        self.assertEqual({"run": 1, "outcome": "queued"}, answer["data"])
        await client.until("its end", lambda: "succeeded" in self.states(client))
        changes = [each["data"] for each in of(client.said, "publication", channel="tasks:count")]
        self.assertEqual(["queued", "running"], self.states(client)[:2])
        self.assertTrue({1.0, 2.0} & {change["done"] for change in changes}, changes)
        last = changes[-1]
        self.assertEqual((1, "count", "succeeded", 3.0, "bin 3"), tuple(last[key] for key in KEYS))
        shown = await client.do("rpc", method="tasks.show", data={"run": 1})
        self.assertEqual({"counted": 3}, json.loads(shown["data"]["result"]))

    async def test_a_client_that_was_away_misses_nothing(self) -> None:
        """What a channel brought while its connection was cut comes afterwards, in order and once."""
        client = await self.watcher()
        await client.do("rpc", method="tasks.run", data={"task": "count"})
        self.network.cut()
        await client.until("its end", lambda: "succeeded" in self.states(client))
        offsets = [each["offset"] for each in of(client.said, "publication", channel="tasks:count")]
        self.assertEqual(list(range(1, len(offsets) + 1)), offsets)
        returned = of(client.said, "subscribed", channel="tasks:count")
        self.assertTrue(all(each["recovered"] for each in returned), returned)
        self.assertEqual(["queued", "running"], self.states(client)[:2])

    async def test_who_may_what(self) -> None:
        """A viewer looks, and asks for no run; there are channels of tasks that there are, alone."""
        client = await self.client(token("vera"))
        await client.do("connect")
        await client.do("subscribe", channel="tasks:count")
        await client.heard("subscribed", channel="tasks:count")
        refused = await client.do("rpc", method="tasks.run", data={"task": "count"})
        self.assertEqual(("refused", DENIED), (refused["event"], refused["code"]))
        listed = await client.do("rpc", method="tasks.runs", data={})
        self.assertEqual([], listed["data"]["runs"])
        await client.do("subscribe", channel="tasks:nothing")
        gone = await client.heard("unsubscribed", channel="tasks:nothing")
        self.assertEqual(UNKNOWN_CHANNEL, gone["code"])

    async def test_an_event_that_starts_nothing_is_a_dead_letter_at_once(self) -> None:
        """Its parameters are not what the function takes: those who watch the dead letters hear of it."""
        client = await self.watcher("deadletters")
        self.device.send([1])
        await self.device.answered()
        letter = await client.heard("publication", channel="deadletters")
        self.assertEqual(
            ("task.strict", 1, "parameters"), tuple(letter["data"][key] for key in ("route", "seq", "code"))
        )

    async def test_a_run_that_a_crash_interrupted_goes_on_in_its_channel(self) -> None:
        """A client that was subscribed is told that it may have missed something; asked, it is running again."""
        client = await self.watcher("tasks:hang")
        await client.do("rpc", method="tasks.run", data={"task": "hang"})
        await client.until("it to run", lambda: "running" in self.states(client, "tasks:hang"))
        client.said.clear()
        await self.kill_gateway()
        again = await client.heard("subscribed", channel="tasks:hang")
        self.assertEqual((True, False), (again["was_recovering"], again["recovered"]))
        shown = await client.do("rpc", method="tasks.show", data={"run": 1})
        self.assertEqual(("running", 1), tuple(shown["data"]["summary"][key] for key in ("state", "attempt")))
