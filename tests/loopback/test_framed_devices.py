"""A whole gateway in this process, whose devices frame in their own ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.model.event import Record

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[sources.scale]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
framing = {{ type = "stx-etx", checksum = "lrc", answers = "ack-nak" }}
format = {{ type = "csv", columns = ["state", "kg"], types = {{ kg = "decimal" }} }}
ack = true

[sources.scanner]
type = "lines"
connect = "tcp:127.0.0.1:{port}"
framing = "cr"
format = {{ type = "raw", field = "code" }}

[routes.note]
doctype = "ToDo"
document = {{ description = "{{{{ payload }}}}" }}
"""


class Scanner(Protocol):
    """Says two codes to whoever dials it."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"00123\r10E5\r")


class Scale(Protocol):
    """Keeps what it is answered, and tells of the third byte."""

    def __init__(self) -> None:
        self.heard = b""
        self.answered: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if len(self.heard) == 3:
            self.answered.callback(self.heard)


class Gateways(TestCase):
    """From the configuration to the journal."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def test_each_source_speaks_as_its_devices_do(self) -> None:
        """A broken reading is NAKed and kept, one of another format is ACKed and kept; codes come as they are."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        clock = cast(Any, reactor)
        scanner: Any = await TCP4ServerEndpoint(clock, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Scanner)
        )
        self.addCleanup(lambda: maybeDeferred(scanner.stopListening))
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(port=scanner.getHost().port))
        gateway = Gateway(clock, load(path, {"KEY": "k", "SECRET": "s"}))
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        everything: Deferred[None] = Deferred()
        seen: list[tuple[str, bytes, str | None]] = []

        def committed(records: list[Record]) -> None:
            seen.extend((record.source, record.event.body, record.event.error) for record in records)
            if len(seen) == 5:
                everything.callback(None)

        await system.start()
        cast(Any, gateway.stages[0][0]).journal.on_commit(committed)
        source = next(source for source in gateway.sources if source.id == "scale")
        endpoint = TCP4ClientEndpoint(clock, "127.0.0.1", int(source.address.rpartition(":")[2]))
        scale = await connectProtocol(endpoint, Scale())
        assert scale.transport is not None
        scale.transport.write(b"\x02ST,1.50\x03\x32\r\n\x02ST,1.50\x03\x00\r\n\x02OL\x03\x00\r\n")
        self.assertEqual(b"\x06\x15\x06", await scale.answered)
        await everything
        self.assertEqual(
            [
                ("scale", b'{"state":"ST","kg":1.50}', None),
                ("scale", b"", "checksum: 0x00 came, 0x32 is that of what came before it"),
                ("scale", b"", "csv: 1 columns, not 2"),
                ("scanner", b'{"code":"00123"}', None),
                ("scanner", b'{"code":"10E5"}', None),
            ],
            sorted(seen, key=lambda each: each[0]),
        )
        await system.stop()
