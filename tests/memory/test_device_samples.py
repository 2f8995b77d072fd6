"""What devices in the field send, as files in ``tests/data/frames``, and what becomes of each.

``NAME.bin`` holds the bytes of one connection, ``NAME.toml`` how its source is configured. The journal's contents
after the connection, and what `lineside try` says of the same bytes, must be those of ``NAME.json``.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.rehearsal import SENDER, Rehearsal
from lineside.assemble.settings import Settings
from lineside.assemble.translation import decoder_of, framing_of, limits_of
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.model.event import Event, Seq
from lineside.testing.journals import JournalOnFile

SAMPLES = Path(__file__).parents[1] / "data" / "frames"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.bin"))
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.device]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
"""


def configuration(name: str) -> Settings:
    path = Path("lineside.toml")
    source = (SAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    path.write_text(CONFIGURATION + source.replace("[format]", "[sources.device.format]"), encoding="utf-8")
    return load(path, {}, secrets=False)


def shown(event: Event) -> dict[str, Any]:
    """Return an event as the files have it: the body as the very text that routes get."""
    if event.error is not None:
        return {"error": event.error, "raw": (event.raw or b"").decode("latin-1")}
    return {"body": event.body.decode(), **({"key": event.key} if event.key is not None else {})}


class Samples(SynchronousTestCase):
    """Each sample, through the edge into a journal."""

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.sources = (f"device-{number}" for number in count())

    def received(self, name: str, chunks: list[bytes]) -> list[Event]:
        """Return what the journal holds after a connection."""
        source = configuration(name).sources["device"]
        clock = Clock()
        intake = Intake(next(self.sources), decoder_of(source), self.file.journal, clock, limits_of(source))
        connection = connections(framing_of(source))(intake)
        connection.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", SENDER, 1)))
        for chunk in chunks:
            connection.dataReceived(chunk)
            clock.advance(0)
        connection.connectionLost(None)  # type: ignore[arg-type]
        clock.advance(0)
        reading = self.file.journal.read(Seq(0), sources=frozenset({intake.id}), limit=1000)
        page = self.successResultOf(Deferred.fromCoroutine(reading))
        return [record.event for record in page.records]

    def test_each_sample_becomes_what_is_written_beside_it(self) -> None:
        """Fields, keys, and why something is no event: letter by letter, codes above all."""
        self.assertEqual(6, len(NAMES))
        for name in NAMES:
            expected = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
            events = self.received(name, [(SAMPLES / f"{name}.bin").read_bytes()])
            self.assertEqual(expected, [shown(event) for event in events], name)
            self.assertEqual({SENDER}, {event.device for event in events}, name)

    def test_a_rehearsal_says_the_same(self) -> None:
        """What `lineside try` shows of a recorded connection is what the gateway would do."""
        for name in NAMES:
            data = (SAMPLES / f"{name}.bin").read_bytes()
            rehearsed = Rehearsal(configuration(name), "device", lambda: 1).lines([data])
            self.assertEqual(
                [shown(event) for event in self.received(name, [data])],
                [shown(line.event) for line in rehearsed if line.repeats is None],
                name,
            )

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(NAMES), st.lists(st.integers(1, 40), min_size=1, max_size=20))
    def test_the_network_may_cut_them_anywhere(self, name: str, sizes: list[int]) -> None:
        """The same events, whatever the chunks."""
        data = (SAMPLES / f"{name}.bin").read_bytes()
        chunks, at = [], 0
        for number in count():
            if at >= len(data):
                break
            size = sizes[number % len(sizes)]
            chunks.append(data[at : at + size])
            at += size
        whole = [shown(event) for event in self.received(name, [data])]
        self.assertEqual(whole, [shown(event) for event in self.received(name, chunks)])
