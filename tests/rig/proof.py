"""A plant whose gateway dies, devices that send to it, and the judgement at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from msgspec import Struct
from tests.rig.forked import Nursery
from tests.rig.gateway_that_dies import mark
from tests.rig.judgement import judge
from tests.rig.stored import whole_journal
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import deferLater

from lineside.demo.children import Process, Start
from lineside.demo.plant import Plant
from lineside.model.event import Record
from lineside.testing.devices import LineDevice
from lineside.testing.fleet import Fleet
from lineside.testing.ledger import Entry, LedgerFile, Line, LineAcked, read_entries
from lineside.testing.workload import checkins, counts, employees, items, new_run

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds that anything may take on a busy machine: a promise broken, not a promise of speed."""
LOOK_AGAIN = 0.03


class Result(Struct, frozen=True):
    """How a proof ended."""

    problems: list[str]
    lines: int
    """Acknowledged."""
    documents: int
    records: list[Record]


class Proof:
    """One proof over one directory. Call `abandon` in any case at the end."""

    def __init__(self, reactor: Any, directory: Path, nursery: Nursery, *, scenario: str | None = None) -> None:
        self.directory = directory
        self.fleets: list[Fleet] = []
        self.journal_path = directory / "journal.db"
        self.patience = DEADLINE
        self.start_command: Start = self._fork
        """How the gateway is started."""
        self.start_erp_command: Start = self._fork
        """How the ERP is started."""
        self.reactor = reactor
        self._nursery = nursery
        self._dies_at: tuple[str, int] | None = None
        self._processes: list[Process] = []
        self._log_begins = 0
        self._ledger = LedgerFile(directory / "lines.jsonl")
        self.plant = Plant(reactor, directory, start=self._start, scenario=scenario)

    def start_gateway(self, dies_at: tuple[str, int] | None = None) -> None:
        """Start the gateway, perhaps one that dies at a named point."""
        self._dies_at = dies_at
        self._log_begins = len(self._whole_log())
        self.plant.start_gateway()

    def send(
        self,
        seed: int,
        *,
        devices: int = 4,
        lines: int | None = 25,
        window: int = 4,
        rate: float | None = None,
    ) -> Fleet:
        """Let devices send, at gates and at shelves in turn, with so few keys that their order matters.

        Args:
            seed: of what they send.
            devices: how many.
            lines: of each device; None for no end.
            window: lines that a device may have in flight.
            rate: lines a second of each device; None for as many as are answered.

        """
        random = Random(seed)
        run = new_run()
        sources = [
            checkins(random, run, number, devices=devices, staff=employees(7))
            if number % 2 == 0
            else counts(random, run, number, codes=items(5))
            for number in range(devices)
        ]
        return self.send_lines([islice(source, lines) for source in sources], window=window, rate=rate)

    def send_lines(self, sources: Iterable[Iterator[Line]], *, window: int, rate: float | None = None) -> Fleet:
        """Let a device send each of these."""
        endpoint = clientFromString(self.reactor, f"tcp:127.0.0.1:{self.plant.port}:timeout=2")
        fleet = Fleet(
            self.reactor,
            [
                LineDevice(
                    self.reactor,
                    endpoint,
                    lines,
                    self._ledger,
                    name=f"device-{number}",
                    window=window,
                    rate=rate,
                    answer_timeout=5.0,
                )
                for number, lines in enumerate(sources)
            ],
        )
        fleet.start()
        self.fleets.append(fleet)
        return fleet

    async def stop_sending(self) -> None:
        """Let the devices send nothing new, and wait for the answers still owed."""
        for fleet in self.fleets:
            unanswered = await fleet.stop(within=self.patience)
            assert not unanswered, f"{len(unanswered)} lines have no answer:\n{self.log()[-4000:]}"

    async def died(self, point: str) -> None:
        """Wait until the gateway has died at a point, and see that it was there."""
        code = await self.ended()
        assert code == -signal.SIGKILL, f"the gateway ended with {code}:\n{self.log()}"
        assert mark(point) in self.log().splitlines(), f"the gateway did not die at {point}:\n{self.log()}"

    async def ended(self) -> int:
        """Wait for the gateway's end."""
        code: int = await self._in_time(Deferred.fromCoroutine(self.plant.gateway.ended()), "the gateway to end")
        return code

    async def kill(self) -> None:
        """Kill the gateway, which must have been alive, and start it anew."""
        self.plant.gateway.signal("KILL")
        code = await self.ended()
        assert code == -signal.SIGKILL, f"the gateway had ended with {code}:\n{self.log()}"
        self.plant.kills += 1
        self.start_gateway()

    async def kill_at_random(
        self, random: Random, kills: int, *, within: tuple[float, float], show: Callable[[str], None] = print
    ) -> None:
        """Kill the gateway so often, each time a random while after it was started, also while it starts."""
        for number in range(1, kills + 1):
            await deferLater(self.reactor, random.uniform(*within))
            await self.kill()
            if number % 25 == 0 or number == kills:
                acknowledged = sum(fleet.counts.acked for fleet in self.fleets)
                show(f"killed {number} of {kills} times, {acknowledged} lines acknowledged")

    async def answered(self) -> None:
        """Wait until the devices have sent their last line and have all answers."""
        for fleet in self.fleets:
            await self._in_time(Deferred.fromCoroutine(fleet.finished()), "the last answers")

    async def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait until ``holds`` returns something true, or a Deferred or coroutine of it; return that."""

        async def look() -> Any:
            while True:
                found = holds()
                if hasattr(found, "__await__"):
                    found = await found
                if found:
                    return found
                await deferLater(self.reactor, LOOK_AGAIN)

        return await self._in_time(Deferred.fromCoroutine(look()), what)

    async def works(self) -> None:
        """Wait until the gateway answers on its control socket."""
        await self.until("the gateway to work", self.plant.status)

    async def delivered(self) -> None:
        """Wait until the gateway says that nothing is owed to the ERP."""

        async def all_settled() -> bool:
            status = await self.plant.status()
            if status is None:
                code = self.plant.gateway.code
                assert code is None, f"the gateway ended with {code}:\n{self.log()}"
                return False
            return all(route.floor >= status.head for route in status.routes)

        await self.until("the last deliveries", all_settled)

    async def finish(self) -> Result:
        """Come to the end: everything answered and delivered, everything stopped; then judge."""
        rows, entries, records = await self.end(self.plant.rows)
        lines = sum(isinstance(entry, LineAcked) for entry in entries)
        return Result(judge(entries, records, rows), lines, len(rows), records)

    async def end(self, read: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, list[Entry], list[Record]]:
        """Come to the end; returns what ``read`` finds in the ERP, the devices' records and the journal."""
        await self.answered()
        await self.delivered()
        await self.stop_gateway()
        found = await read()
        await self.plant.stop_erp()
        for fleet in self.fleets:
            await fleet.stop(within=0.0)
        return found, self.entries(), await self.journal()

    async def stop_gateway(self) -> None:
        """Stop the gateway as its operator does."""
        code = await self._in_time(Deferred.fromCoroutine(self.plant.stop_gateway()), "the gateway to stop")
        assert code == 0, f"the gateway ended with {code}:\n{self.log()}"

    def entries(self) -> list[Entry]:
        """Return what the devices know."""
        return read_entries(self.directory / "lines.jsonl")

    async def journal(self) -> list[Record]:
        """Read the whole journal out of its file; no gateway may hold it."""
        return await whole_journal(self.journal_path)

    def log(self) -> str:
        """Return the log since the gateway was started last."""
        return self._whole_log()[self._log_begins :]

    async def abandon(self) -> None:
        """End everything, however far it came."""
        self.plant.kill()
        for process in self._processes:
            await process.ended()
        for fleet in self.fleets:
            await fleet.stop(within=0.0)
        if hasattr(self.plant, "erp"):
            await self.plant.erp.close()
        self._ledger.close()

    async def _in_time(self, waiting: Deferred[Any], what: str) -> Any:
        def overdue(failure: Any, seconds: float) -> Any:
            raise AssertionError(f"waited {seconds:g} s for {what}:\n{self.log()[-4000:]}")

        return await waiting.addTimeout(self.patience, self.reactor, onTimeoutCancel=overdue)

    def _start(
        self,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
    ) -> Process:
        start = self.start_command if arguments[0] == "run" else self.start_erp_command
        process = start(reactor, arguments, log=log, environ=environ, line=line)
        self._processes = [other for other in self._processes if other.code is None] + [process]
        return process

    def _fork(
        self,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
    ) -> Process:
        dies_at = self._dies_at if arguments[0] == "run" else None
        return self._nursery.start(reactor, arguments, log=log, environ=environ, line=line, dies_at=dies_at)

    def _whole_log(self) -> str:
        path = self.directory / "gateway.log"
        return path.read_text() if path.exists() else ""
