"""`lineside simulate --source` against a whole gateway in this process, one source of each framing and format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.cli.simulate import place_of_source
from lineside.model.event import Record
from lineside.testing.simulation import Plan, Simulation, Summary

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
dedupe = "nr"
device = "reader"

[sources.press]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = "crlf"
dedupe = "order"
ack = true
[sources.press.format]
type = "csv"
columns = ["order", "qty", "kg", ""]
delimiter = ";"
decimal = ","
types = { order = "int", qty = "int", kg = "decimal" }

[sources.plc]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = { type = "length", size = 2 }
format = { type = "keyvalue", types = { QTY = "int" } }
ack = true

[sources.printer]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = "cr"
[sources.printer.format]
type = "fixed"
columns = [{ name = "item", width = 5 }, { name = "labels", width = 3, start = 8 }]
types = { labels = "int" }

[sources.scale]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = { type = "stx-etx", checksum = "lrc", answers = "ack-nak" }
format = { type = "regex", pattern = '(?P<state>ST|US),(?P<kg>[0-9.]+)kg' }
ack = true

[sources.scanner]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = { type = "stx-etx", dle = true }
format = { type = "raw", field = "code" }
ack = true

[sources.sensors]
type = "lines"
listen = "udp:0:interface=127.0.0.1"
"""


class SimulatedSources(TestCase):
    """Every line that is made up for a source is one of its events."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def test_each_source_understands_its_devices(self) -> None:
        """All lines are taken, acknowledged where the source answers, and none is a dead letter."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        clock: Any = reactor
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        readings = self.directory / "readings.txt"
        readings.write_text("ST,12.340kg\nUS,0.5kg\n")
        gateway = Gateway(clock, load(path, {}))
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        await system.start()
        everything: Deferred[None] = Deferred()
        bodies: dict[str, list[dict[str, object]]] = {source.id: [] for source in gateway.sources}

        def published(records: list[Record]) -> None:
            for record in records:
                self.assertIsNone(record.event.error, record.source)
                bodies[record.source].append(msgspec.json.decode(record.event.body))
            if sum(map(len, bodies.values())) == 4 * len(bodies):
                everything.callback(None)

        store: Any = gateway.stages[0][0]
        store.journal.on_commit(published)
        summaries: dict[str, Summary] = {}
        for source in gateway.sources:
            kind = "udp" if source.id == "sensors" else "tcp"
            place = place_of_source(
                path,
                source.id,
                f"{kind}:127.0.0.1:{source.address.rpartition(':')[2]}",
                readings if source.id == "scale" else None,
                endless=True,
            )
            plan = Plan("counter", devices=2, rate=200.0, count=4)
            simulation = Simulation(clock, place.endpoint(clock), plan, played=place.played)
            summaries[source.id] = await simulation.run(lambda _: None, 1.0)
        await everything
        for name, summary in summaries.items():
            answers = name not in {"printer", "sensors"}
            self.assertEqual(
                (answers, 4, 4 if answers else 0), (summary.answered, summary.sent, summary.acked), name
            )
            self.assertEqual((0, 0), (summary.errors, summary.unanswered), name)
        self.assertEqual({"counter-0", "counter-1"}, {each["reader"] for each in bodies["gate"]})
        self.assertEqual(4, len({each["order"] for each in bodies["press"]}))
        self.assertIsInstance(bodies["press"][0]["kg"], float)
        self.assertIsInstance(bodies["plc"][0]["qty"], str)
        self.assertIsInstance(bodies["printer"][0]["labels"], int)
        self.assertEqual(["0.5", "0.5", "12.340", "12.340"], sorted(str(each["kg"]) for each in bodies["scale"]))
