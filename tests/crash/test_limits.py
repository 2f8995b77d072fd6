"""What the machine withholds from a gateway: files, memory, space; and peers that take without giving."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from tests.crash.test_surroundings import complaints, scenario
from tests.rig.case import ProofCase
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IConsumer, IPullProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest
from zope.interface import implementer

from lineside.demo.children import Child
from lineside.operations.results import Status

CHUNKS = 20
LIMITED = str(Path(__file__).resolve().parents[1] / "rig" / "limited.py")


class Caller(Protocol):
    """Somebody who connects, and remembers what was answered and whether the connection stands."""

    transport: ITCPTransport

    def __init__(self) -> None:
        self.answered = b""
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.answered += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class LimitCase(ProofCase):
    """A gateway that is started with limits."""

    def limit(self, **limits: int) -> None:
        text = ",".join(f"{name}={number}" for name, number in limits.items())
        self.proof.start_command = partial(Child.start, program=(LIMITED, text))

    async def call(self, number: int) -> list[Caller]:
        """Let so many connect at once; returns those who got through."""
        endpoint = TCP4ClientEndpoint(self.proof.reactor, "127.0.0.1", self.proof.plant.port, timeout=20)
        calls = await DeferredList([connectProtocol(endpoint, Caller()) for _ in range(number)], consumeErrors=True)
        callers = [caller for connected, caller in calls if connected]
        for caller in callers:
            self.addCleanup(caller.transport.abortConnection)
        return callers

    def small_disk(self, size: str) -> Path:
        """Mount a small disk where the journal is to be."""
        disk = self.directory / "disk"
        disk.mkdir()
        self.mount(disk, "-t", "tmpfs", "-o", f"size={size}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        self.proof.journal_path = disk / "journal.db"
        return disk

    def mount(self, directory: Path, *options: str) -> None:
        mounted = subprocess.run(
            ["mount", *options, "tmpfs", str(directory)], capture_output=True, check=False, text=True
        )
        if mounted.returncode:
            raise SkipTest(f"no disk can be mounted here: {mounted.stderr.strip()}")

    async def status(self) -> Status:
        status = await self.proof.plant.status()
        assert status is not None
        return status

    def resident(self) -> int:
        """Return the gateway's resident memory, in megabytes."""
        gateway = self.proof.plant.gateway
        assert isinstance(gateway, Child)
        pid = gateway.transport.pid
        [line] = [
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")
        ]
        return int(line.split()[1]) // 1024


class Descriptors(LimitCase):
    """A process that may open 180 files, and three hundred who want to connect."""

    async def test_connections_leave_enough_for_the_work(self) -> None:
        """Who finds no room is told so; devices that are there, and deliveries, do not notice; it recovers."""
        proof = self.proof
        self.limit(NOFILE=180)
        await proof.plant.start()
        self.assertIn("gateway.few_descriptors", proof.log())
        fleet = proof.send(seed=1, devices=4, lines=None, rate=20)
        await proof.until("some lines", lambda: fleet.counts.acked >= 20)

        callers = await self.call(300)
        await proof.until(
            "those without room to be told", lambda: sum(b"ERR busy" in caller.answered for caller in callers) > 240
        )
        before = fleet.counts.acked
        await proof.until("devices to go on", lambda: fleet.counts.acked >= before + 50)
        self.assertLessEqual((await self.status()).sources[0].connections, 52)
        self.assertNotIn("EMFILE", proof.log())

        for caller in callers:
            caller.transport.abortConnection()
        [late] = await self.call(1)
        late.transport.write(b'{"hello": 1}\n')
        await proof.until("a late one to be served", lambda: late.answered.startswith(b"OK "))
        late.transport.loseConnection()
        await proof.stop_sending()
        await proof.delivered()
        status = await self.status()
        self.assertEqual(0, status.dead_letters)


@implementer(IPullProducer)
class Torrent(Caller):
    """Sends lines as fast as they are taken, without waiting for an answer."""

    line = b'{"kind": "none", "text": "' + b"x" * 80 + b'"}\n'
    chunk = 2000

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self._left = chunks
        self.oks = 0
        self.others = 0

    def connectionMade(self) -> None:
        IConsumer(self.transport).registerProducer(self, False)

    def resumeProducing(self) -> None:
        if self._left:
            self._left -= 1
            self.transport.write(self.line * self.chunk)
        else:
            IConsumer(self.transport).unregisterProducer()

    def stopProducing(self) -> None:
        self._left = 0

    def dataReceived(self, data: bytes) -> None:
        self.oks += data.count(b"OK ")
        self.others += data.count(b"ERR")


class Memory(LimitCase):
    """Devices that send as fast as they can, and never wait for an answer."""

    async def test_a_bound_on_memory(self) -> None:
        """It takes no more than its disk does: little more memory than at rest, and each line has its answer."""
        proof = self.proof
        self.limit(AS=1_500_000_000)
        await proof.plant.start()
        resting = highest = self.resident()
        torrents = [Torrent(CHUNKS) for _ in range(4)]
        endpoint = TCP4ClientEndpoint(proof.reactor, "127.0.0.1", proof.plant.port)
        for torrent in torrents:
            await connectProtocol(endpoint, torrent)
            self.addCleanup(torrent.transport.abortConnection)

        def all_answered() -> bool:
            nonlocal highest
            highest = max(highest, self.resident())
            return sum(torrent.oks for torrent in torrents) >= 4 * CHUNKS * Torrent.chunk

        await proof.until("every answer", all_answered)
        self.assertEqual(0, sum(torrent.others for torrent in torrents))
        self.assertLess(highest, resting + 150)


class ReadOnly(LimitCase):
    """A journal on a disk that takes no writes."""

    scenario = scenario(path='path = "disk/journal.db"\ncontrol = "journal.db.sock"')

    async def test_a_disk_that_was_mounted_read_only(self) -> None:
        """It ends with one line that says so; mounted for writing, it starts, and everything is there."""
        proof = self.proof
        disk = self.small_disk("16m")
        await proof.plant.start()
        proof.send(seed=1, lines=10)
        await proof.answered()
        await proof.stop_gateway()
        self.mount(disk, "-o", "remount,ro")
        proof.start_gateway()
        self.assertEqual(1, await proof.ended())
        [complaint] = complaints(proof.log())
        self.assertIn("Read-only file system", complaint)
        self.mount(disk, "-o", "remount,rw")
        proof.start_gateway()
        await proof.works()
        proof.send(seed=2, lines=10)
        await self.is_exact(80)


class LowDisk(LimitCase):
    """A disk that runs low, and a gateway that is to leave some of it free."""

    scenario = scenario(path='path = "disk/journal.db"\ncontrol = "journal.db.sock"\nmin_free = "8MB"')

    async def test_lines_are_put_off_before_the_disk_is_full(self) -> None:
        """The alarm comes while there is still room; when it is given back, lines are taken without a hand."""
        proof = self.proof
        disk = self.small_disk("24m")
        await proof.plant.start()
        fleet = proof.send(seed=1, lines=None, rate=30)
        await proof.until("some lines", lambda: fleet.counts.acked >= 50)
        (disk / "filler").write_bytes(bytes(18_000_000))
        await proof.until("lines to be put off", lambda: fleet.counts.unavailable >= 4)
        [alarm] = [line for line in proof.log().splitlines() if " journal.full " in line]
        self.assertIn("are to stay free", alarm)
        self.assertIn("journal.full in this log names it", proof.log())
        status = await self.status()
        assert status.journal is not None
        self.assertIn("are to stay free", status.journal.problem or "")
        self.assertGreater(status.journal.disk_free, 0)
        (disk / "filler").unlink()
        before = fleet.counts.acked
        await proof.until("lines to be taken again", lambda: fleet.counts.acked >= before + 50)
        await proof.stop_sending()
        await self.is_exact()
