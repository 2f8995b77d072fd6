"""What the machine does to a gateway: its clock, its ports, its disk, its signals, its operator's mistakes."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

from tests.rig.case import ProofCase
from tests.rig.clock_that_jumps import HOUR_NS, YEAR_NS
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from lineside.demo.children import Child, Process
from lineside.testing.fleet import Fleet
from lineside.testing.ledger import LineAcked, read_entries

SCENARIO = files("lineside.demo").joinpath("scenario.toml").read_text()
JUMPING = (str(Path(__file__).resolve().parents[1] / "rig" / "clock_that_jumps.py"),)


def scenario(**changes: str) -> str:
    """Return the demonstration's configuration with lines exchanged, each the first with its key."""
    lines = SCENARIO.splitlines()
    for key, line in changes.items():
        places = [n for n, old in enumerate(lines) if old.startswith(f"{key} =")]
        lines[places[0]] = line
    return "\n".join(lines)


class Silent(Protocol):
    """A device that connects and says nothing."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Clock(ProofCase):
    """A wall clock that is set while the gateway runs."""

    scenario = scenario(dedupe='dedupe = "scan_id"\nidle_timeout = "2s"')

    async def test_nothing_stalls(self) -> None:
        """Set back, lines go through, an ERP that was down is found again, and a silent device is cut off."""
        proof = self.proof
        proof.start_command = partial(Child.start, program=JUMPING)
        await proof.plant.start()
        proof.send(seed=1, lines=10)
        await proof.answered()
        await proof.delivered()

        silent = Silent()
        await connectProtocol(TCP4ClientEndpoint(proof.reactor, "127.0.0.1", proof.plant.port), silent)
        await proof.plant.set_faults(down=1.0)
        proof.send(seed=2, lines=10)
        await proof.until("the ERP to be missed", self.some_route_waits)
        proof.plant.gateway.signal("USR1")
        await proof.until("the silent device to be cut off", lambda: silent.gone.called)
        proof.send(seed=3, lines=10)
        result = await proof.finish()

        self.assertEqual((result.problems, result.lines, result.documents), ([], 120, 120))
        first, last = result.records[0].received_ns, result.records[-1].received_ns
        self.assertLess(last, first - HOUR_NS // 2)

    async def test_a_jump_ahead_loses_nothing(self) -> None:
        """A year ahead it goes on taking and delivering; no event is taken for too old, and the log warns."""
        proof = self.proof
        proof.start_command = partial(Child.start, program=JUMPING)
        await proof.plant.start()
        proof.send(seed=1, lines=10)
        await proof.answered()
        await proof.delivered()
        proof.plant.gateway.signal("USR2")
        await proof.until("the jump to be noticed", lambda: "clock.jumped" in proof.log())
        proof.send(seed=2, lines=10)
        result = await proof.finish()

        self.assertEqual((result.problems, result.lines, result.documents), ([], 80, 80))
        first, last = result.records[0].received_ns, result.records[-1].received_ns
        self.assertGreater(last, first + YEAR_NS // 2)

    async def some_route_waits(self) -> bool:
        status = await self.proof.plant.status()
        return status is not None and any(route.problem for route in status.routes)


class Ports(ProofCase):
    """A port that somebody else has."""

    async def test_a_busy_port(self) -> None:
        """What had started is stopped again, one line says which port it is, and the exit code is 1."""
        await self.proof.plant.start_erp()
        somebody = TCP4ServerEndpoint(self.proof.reactor, self.proof.plant.port, interface="127.0.0.1")
        taken = await somebody.listen(Factory.forProtocol(Protocol))
        self.addCleanup(taken.stopListening)
        self.proof.start_gateway()
        self.assertEqual(await self.proof.ended(), 1)
        address = f"tcp:{self.proof.plant.port}:interface=127.0.0.1"
        [complaint] = complaints(self.proof.log())
        self.assertEqual(
            complaint,
            f"lineside: sources.gate: cannot listen on {address}: Address already in use; "
            "is another gateway or service using this address?",
        )
        self.assertFalse((self.directory / "journal.db.sock").exists())
        await taken.stopListening()
        self.proof.start_gateway()
        self.proof.send(seed=1, lines=10)
        await self.is_exact(40)


class Operators(ProofCase):
    """What a person may do wrong."""

    async def second(self) -> tuple[int, str]:
        """Run another gateway over the same configuration; returns its exit code and its log."""
        log = self.directory / "second.log"
        arguments = ["run", "-c", str(self.directory / "lineside.toml")]
        environ: Mapping[str, str] = {"LINESIDE_DEMO_KEY": "key", "LINESIDE_DEMO_SECRET": "secret"}
        second: Process = self.nursery.start(self.proof.reactor, arguments, log=log, environ=environ)
        return await second.ended(), log.read_text()

    async def test_a_second_gateway(self) -> None:
        """One journal serves one gateway: the second says so, and the first notices nothing."""
        await self.proof.plant.start()
        self.proof.send(seed=1)
        code, log = await self.second()
        self.assertEqual(code, 1)
        [complaint] = complaints(log)
        self.assertRegex(complaint, r"journal\.db is in use by another process \(pid \d+\); one journal")
        await self.is_exact(100)

    async def test_a_wrong_configuration(self) -> None:
        """Every error is told, nothing is begun, and the exit code is 2."""
        wrong = scenario(
            url='url = "ftp://erp"', dedupe="dedup = true", order_by="order_by = 7", timeout='timeout = "soon"'
        )
        (self.directory / "lineside.toml").write_text(wrong.replace("${port}", "7001").replace("${web}", "7002"))
        code, log = await self.second()
        self.assertEqual(code, 2)
        told = log.splitlines()
        for path in ("targets.erp.url", "targets.erp.timeout", "sources.gate.dedup", "routes.checkin.order_by"):
            self.assertEqual(len([line for line in told if f" {path}: " in line]), 1, (path, log))
        self.assertEqual(len(told), 4, log)
        self.assertFalse((self.directory / "journal.db").exists())


class Signals(ProofCase):
    """SIGTERM under load, to ``lineside run`` as a user starts it."""

    async def test_a_stop_under_load(self) -> None:
        """It ends with 0; every line that it stored was answered; nothing is lost."""
        proof = self.proof
        proof.start_command = Child.start
        await proof.plant.start()
        fleet = proof.send(seed=1, devices=6, lines=None, window=8, rate=50)
        await proof.until("some lines", lambda: fleet.counts.acked >= 100)
        proof.plant.gateway.signal("TERM")
        self.assertEqual(await proof.ended(), 0, proof.log())

        stored = {record.seq for record in await proof.journal()}
        acknowledged = {
            entry.seq for entry in read_entries(self.directory / "lines.jsonl") if isinstance(entry, LineAcked)
        }
        self.assertEqual(stored, acknowledged)

        proof.start_gateway()
        await proof.stop_sending()
        await self.is_exact()


class Disk(ProofCase):
    """A journal on a disk of four megabytes that somebody else fills."""

    scenario = scenario(path='path = "disk/journal.db"\ncontrol = "journal.db.sock"')

    def setUp(self) -> None:
        self.disk = self.directory / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(self.disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            raise SkipTest(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.disk)], check=True)
        super().setUp()
        self.proof.journal_path = self.disk / "journal.db"

    def fill(self) -> None:
        """Take all the space there is."""
        with (self.disk / "filler").open("wb", buffering=0) as filler, self.assertRaises(OSError) as full:
            while True:
                filler.write(bytes(4096))
        self.assertEqual(full.exception.errno, errno.ENOSPC)

    async def lines_are_put_off(self) -> Fleet:
        """Let devices send until the disk is full and they are told so; they go on sending."""
        proof = self.proof
        await proof.plant.start()
        fleet = proof.send(seed=1, lines=None, rate=30)
        await proof.until("some lines", lambda: fleet.counts.acked >= 50)
        self.fill()
        await proof.until("lines to be put off", lambda: fleet.counts.unavailable >= 4)
        return fleet

    async def test_a_full_disk(self) -> None:
        """Lines are put off, not lost: once there is space they are taken, and each is one document."""
        proof = self.proof
        fleet = await self.lines_are_put_off()
        self.assertEqual([line for line in proof.log().splitlines() if "journal.cannot_write" in line][1:], [])
        (self.disk / "filler").unlink()
        before = fleet.counts.acked
        await proof.until("lines to be taken again", lambda: fleet.counts.acked >= before + 50)
        await proof.stop_sending()
        await self.is_exact()

    async def test_a_death_on_a_full_disk(self) -> None:
        """Started again while there is no space, it works or says why not in one line; nothing is lost by it."""
        proof = self.proof
        await self.lines_are_put_off()
        await proof.kill()

        async def works_or_ended() -> bool:
            return proof.plant.gateway.code is not None or await proof.plant.status() is not None

        await proof.until("the gateway to work or to end", works_or_ended)
        if proof.plant.gateway.code is not None:
            self.assertEqual(proof.plant.gateway.code, 1)
            [complaint] = complaints(proof.log())
            self.assertRegex(complaint, r"^lineside: cannot open .*/journal\.db: database or disk is full$")
        (self.disk / "filler").unlink()
        if proof.plant.gateway.code is not None:
            proof.start_gateway()
        await proof.stop_sending()
        await self.is_exact()


def complaints(log: str) -> list[str]:
    """Return the lines of a log that are for a person; there must be no traceback."""
    assert "Traceback" not in log, log
    return [line for line in log.splitlines() if line.startswith("lineside: ")]
