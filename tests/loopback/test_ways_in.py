"""A whole gateway in this process whose devices are dialled, asked, or send datagrams."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.devicesoundings import sound_device
from lineside.assemble.lifecycle import System
from lineside.model.event import Record
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[sources.scale]
type = "lines"
connect = "tcp:127.0.0.1:{port}"
poll = {{ send = "S\\r\\n", every = "10ms" }}
format = "keyvalue"

[sources.sensors]
type = "lines"
listen = "udp:0:interface=127.0.0.1"

[routes.weight]
doctype = "Weight"
document = {{ kg = "{{{{ kg }}}}" }}
"""


class Scale(LineReceiver):
    """A device that says what it weighs when it is asked."""

    def lineReceived(self, line: bytes) -> None:
        self.sendLine({b"S": b"kg=1.5"}[line])


class Gateways(TestCase):
    """From the configuration to the status."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)
        listening = TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1")
        self.device: Any = await listening.listen(Factory.forProtocol(Scale))
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(port=self.device.getHost().port))
        self.settings = load(path, {"KEY": "k", "SECRET": "s"})

    async def tearDown(self) -> None:  # type: ignore[override]
        await maybeDeferred(self.device.stopListening)

    async def test_events_come_in_by_every_way(self) -> None:
        """A dialled scale is asked and a sensor sends a datagram; the status shows both at work."""
        gateway = Gateway(self.reactor, self.settings)
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        both: Deferred[None] = Deferred()
        seen: dict[str, bytes] = {}

        def committed(records: list[Record]) -> None:
            seen.update((record.source, record.event.body) for record in records)
            if len(seen) == 2 and not both.called:
                both.callback(None)

        await system.start()
        cast(Any, gateway.stages[0][0]).journal.on_commit(committed)
        sensors = next(source for source in gateway.sources if source.id == "sensors")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sensor:
            sensor.sendto(b'{"kg":2}', ("127.0.0.1", int(sensors.address.rpartition(":")[2])))
        await both
        self.assertEqual({"scale": b'{"kg":"1.5"}', "sensors": b'{"kg":2}'}, seen)
        status = await RemoteOperations(self.reactor, self.settings.journal.control_path).call(ShowStatus())
        told = {source.id: (source.address, source.connections, source.problem) for source in status.sources}
        self.assertEqual(
            {
                "scale": (f"tcp:127.0.0.1:{self.device.getHost().port}", 1, None),
                "sensors": (sensors.address, 0, None),
            },
            told,
        )
        await system.stop()

    async def test_a_device_can_be_dialled_for_a_check(self) -> None:
        """One that is there is told, one that is not is a warning with its remedy; one that dials in is left."""
        scale, sensors = self.settings.lines["scale"], self.settings.lines["sensors"]
        there = await sound_device(self.reactor, "scale", scale)
        self.assertEqual(
            ([f"sources.scale.connect: {scale.connect} takes the connection"], []), (there.found, there.warnings)
        )
        await self.device.stopListening()
        away = await sound_device(self.reactor, "scale", scale)
        [warning] = away.warnings
        self.assertRegex(
            warning, f"^sources.scale.connect: {scale.connect}: it refuses the connection; is this its"
        )
        self.assertEqual(([], []), (away.found, away.problems))
        none = await sound_device(self.reactor, "sensors", sensors)
        self.assertEqual(([], [], []), (none.found, none.warnings, none.problems))
