"""The device of docs/guides/devices.md, as a reader would copy it, against the edge on a real socket."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from lineside.edges.lines.intake import Intake, Limits
from lineside.edges.lines.source import LinesSource
from lineside.model.batch import Batch, Receipts
from lineside.model.ports import Journal
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "devices.md"
LINES = b"""
{"scan_id": "g1-000041"}
{"scan_id": "g1-000042"}
{"scan_id": "g1-000042"}
{"scan_id": "g1-000043",

[1, 2, 3]
{"scan_id": "g1-000043"}
"""


class StumblingJournal:
    """A journal whose disk refuses the second append."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.appends = 0

    async def append_batches(self, source: str, batches: list[Batch]) -> list[Receipts]:
        self.appends += 1
        if self.appends == 2:
            raise OSError("no space left on device")
        return await self._journal.append_batches(source, batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class Program(ProcessProtocol):
    """A process that is fed its input and gives its output back."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._heard = b""
        self.ended: Deferred[tuple[int, list[str]]] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._said)
        transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._heard += data

    def errReceived(self, data: bytes) -> None:
        self._heard += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback((reason.value.exitCode, self._heard.decode().splitlines()))  # type: ignore[union-attr]


class DeviceProgram(TestCase):
    """What a maker of devices copies from the page."""

    def setUp(self) -> None:
        """Copy the program off the page, and make a journal."""
        self.page = PAGE.read_text(encoding="utf-8")
        [program] = re.findall(r"^```python\n(.*?)^```$", self.page, re.MULTILINE | re.DOTALL)
        self.device = Path("device.py").absolute()
        self.device.write_text(program, encoding="utf-8")
        file = JournalOnFile(Path("journal.db").absolute(), lambda: 0)
        self.addCleanup(file.close)
        self.journal = StumblingJournal(file.journal)

    async def test_the_guide_s_device_gets_the_guide_s_answers(self) -> None:
        """Each line is sent until it is answered, through a full disk; the page shows the answers as they are."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        real: Any = reactor
        endpoint = TCP4ServerEndpoint(real, 0, interface="127.0.0.1")
        journal: Any = self.journal
        source = LinesSource(endpoint, "tcp:0", Intake("gate", JsonLines("scan_id"), journal, real, Limits()))
        await source.start()
        host, port = source.address.split(":")
        running = Program(LINES)
        real.spawnProcess(running, sys.executable, [sys.executable, "-I", str(self.device), host, port])
        code, answers = await running.ended
        await source.stop()
        session = self.page[: self.page.index("## What to send")]
        shown = re.findall(r"^< (.*)$", session, re.MULTILINE)
        self.assertEqual((0, [*shown, "OK 5"]), (code, answers))
        self.assertEqual(7, journal.appends)
