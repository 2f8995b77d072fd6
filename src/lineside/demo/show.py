"""The demonstration: devices send lines, the gateway makes documents of them, and at the end they are counted."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import deferLater

from lineside.background import Background
from lineside.demo.chaos import Chaos
from lineside.demo.display import Display, Moment
from lineside.demo.plant import Plant
from lineside.demo.reckoning import Reckoning, reckon
from lineside.edges.frappe.reply import Unreachable
from lineside.model.errors import LinesideError
from lineside.testing.devices import LineDevice
from lineside.testing.fleet import Fleet
from lineside.testing.ledger import LedgerFile, read_entries
from lineside.testing.workload import checkins, counts, new_run

LAST_ANSWERS = 30.0
"""Seconds the devices get to have their last lines answered."""
LAST_DOCUMENTS = 120.0
"""Seconds the gateway gets to deliver what it has acknowledged."""


class Plan(Struct, frozen=True):
    """What to demonstrate."""

    seconds: float | None
    """None: until Ctrl-C."""
    devices: int
    rate: float
    """Lines a second of each device."""
    chaos: bool
    kills_every: tuple[float, float] = (0.1, 2.0)
    """The gateway is killed after so many seconds of work, at random between the two."""
    seed: int | None = None


class Demonstration:
    """One run over one directory, which afterwards holds the records, the logs, the journal and the ERP's data."""

    def __init__(self, reactor: Any, plan: Plan, directory: Path, display: Display) -> None:
        self._reactor = reactor
        self._plan = plan
        self._directory = directory
        self._display = display
        self._random = Random(plan.seed)  # noqa: S311 (a demonstration)
        self._plant = Plant(reactor, directory)
        self._chaos = Chaos(reactor, self._plant, self._random, kills_every=plan.kills_every)
        self._ended: Deferred[None] = Deferred()
        self._documents = 0

    def end(self) -> None:
        """End the sending, and go on to the ledger."""
        if not self._ended.called:
            self._ended.callback(None)

    async def run(self) -> Reckoning:
        """Run to the end and count.

        Raises:
            LinesideError: a process did not start or did not end as it should.

        """
        try:
            return await self._run()
        finally:
            self._plant.kill()

    async def _run(self) -> Reckoning:
        await self._plant.start()
        self._display.say(
            f"{self._plan.devices} devices, the gateway on port {self._plant.port} and the ERP stand-in "
            f"work in {self._directory}"
        )
        self._display.say(f"look on at http://127.0.0.1:{self._plant.web}/")
        beside = Background("demo")
        record = self._directory / "lines.jsonl"
        with LedgerFile(record) as ledger:
            fleet = self._fleet(ledger)
            fleet.start(spread=1 / self._plan.rate)
            watching = beside.run("watch", self._watch(fleet))
            chaos = Background("chaos")
            if self._plan.chaos:
                chaos.run("kill", self._chaos.kill())
                chaos.run("trouble", self._chaos.trouble())
            due = None
            if self._plan.seconds is not None:
                due = self._reactor.callLater(self._plan.seconds, self.end)
            await self._ended
            if due is not None and due.active():
                due.cancel()
            self._chaos.end()
            await chaos.finish()
            await fleet.stop(within=LAST_ANSWERS)
        await self._until_delivered()
        watching.cancel()
        await beside.finish()
        rows = await self._plant.rows()
        code = await self._plant.stop()
        if code != 0:
            raise LinesideError(f"the gateway ended with exit code {code}; see {self._directory / 'gateway.log'}")
        return reckon(read_entries(record), rows)

    def _fleet(self, ledger: LedgerFile) -> Fleet:
        run = new_run()
        plan = self._plan
        endpoint = clientFromString(self._reactor, f"tcp:127.0.0.1:{self._plant.port}:timeout=2")
        scanners = max(1, plan.devices // 3)
        gates = plan.devices - scanners
        lines = [checkins(self._random, run, n, devices=max(1, gates)) for n in range(gates)]
        lines += [counts(self._random, run, gates + n) for n in range(scanners)]
        return Fleet(
            self._reactor,
            [
                LineDevice(
                    self._reactor,
                    endpoint,
                    one,
                    ledger,
                    name=f"device-{number}",
                    window=4,
                    rate=plan.rate,
                    answer_timeout=5.0,
                    random=self._random,
                )
                for number, one in enumerate(lines)
            ],
        )

    async def _watch(self, fleet: Fleet) -> None:
        began = before = self._reactor.seconds()
        acknowledged = documents = 0
        while True:
            await deferLater(self._reactor, 1.0)
            now = self._reactor.seconds()
            status = await self._plant.status()
            await self._count()
            done = fleet.counts
            self._display.show(
                Moment(
                    seconds=now - began,
                    sent=done.sent,
                    acknowledged=done.acked,
                    acknowledged_a_second=(done.acked - acknowledged) / (now - before),
                    documents=self._documents,
                    documents_a_second=max(0, self._documents - documents) / (now - before),
                    lag=max(0, done.acked - self._documents),
                    dead_letters=0 if status is None else status.dead_letters,
                    devices=fleet.size,
                    connected=fleet.connected,
                    gateway="is down" if status is None else "works",
                    erp=self._chaos.weather,
                    kills=self._plant.kills,
                )
            )
            before, acknowledged, documents = now, done.acked, self._documents

    async def _count(self) -> None:
        try:
            self._documents = await self._plant.count_documents()
        except CancelledError:
            raise
        except (LinesideError, Unreachable):
            # The ERP is down: the last figure stands.
            return

    async def _until_delivered(self) -> None:
        began = self._reactor.seconds()
        while True:
            status = await self._plant.status()
            if status is not None and all(route.floor >= status.head for route in status.routes):
                return
            if self._reactor.seconds() - began > LAST_DOCUMENTS:
                self._display.say(f"after {LAST_DOCUMENTS:.0f} s not everything is delivered")
                return
            await deferLater(self._reactor, 0.1)
