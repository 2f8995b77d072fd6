"""A disk that refuses, hangs, is slow, or turns read-only while the gateway writes to it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
from functools import partial

from tests.crash.test_limits import Caller, LimitCase
from tests.crash.test_surroundings import scenario
from tests.rig.faulty_disk import HANGING, FaultyDisk
from twisted.trial.unittest import SkipTest

from lineside.demo.children import Child
from lineside.testing.fleet import Fleet

WITHOUT_KEYS = scenario(dedupe="")
OWN_DISK = scenario(path='path = "disk/journal.db"\ncontrol = "journal.db.sock"')
LINES = 50


class WrittenCase(LimitCase):
    """A gateway that takes lines all the time."""

    async def lines_flow(self) -> Fleet:
        """Let devices send without an end."""
        await self.proof.plant.start()
        fleet = self.proof.send(seed=1, lines=None, rate=30)
        await self.more_lines(fleet)
        return fleet

    async def more_lines(self, fleet: Fleet) -> None:
        before = fleet.counts.acked
        await self.proof.until("lines to be taken", lambda: fleet.counts.acked >= before + LINES)

    async def lines_are_put_off(self, fleet: Fleet) -> str:
        """Wait until devices are told to send again; returns the one alarm."""
        await self.proof.until("lines to be put off", lambda: fleet.counts.unavailable >= 4)
        [alarm] = [line for line in self.proof.log().splitlines() if " journal.cannot_write " in line]
        self.assertIn("devices are told to send again", alarm)
        return alarm

    async def goes_on(self, fleet: Fleet) -> None:
        """See lines taken again without a hand, and each become one document."""
        await self.more_lines(fleet)
        self.assertIn("journal.writes_again", self.proof.log())
        await self.proof.stop_sending()
        await self.is_exact()

    @property
    def pid(self) -> int:
        gateway = self.proof.plant.gateway
        assert isinstance(gateway, Child)
        pid = gateway.transport.pid
        assert isinstance(pid, int)
        return pid


class DiskCase(WrittenCase):
    """A gateway on a disk that does what it is told."""

    def setUp(self) -> None:
        super().setUp()
        self.disk = FaultyDisk(self.directory, self.directory / "orders")
        self.proof.start_command = self.disk.start

    async def device(self) -> Caller:
        [device] = await self.call(1)
        return device

    def say(self, device: Caller, scan_id: str) -> None:
        device.transport.write(json.dumps({"kind": "none", "scan_id": scan_id}).encode() + b"\n")

    async def told(self, device: Caller, answer: bytes) -> None:
        """Wait for a device's next answer, which begins so."""
        await self.proof.until("an answer", lambda: device.answered.endswith(b"\n"))
        self.assertRegex(device.answered, b"^" + answer)
        device.answered = b""

    async def stored(self) -> list[str]:
        """Return what the journal holds, after the gateway is gone."""
        return [json.loads(record.event.body)["scan_id"] for record in await self.proof.journal()]

    async def dies(self) -> None:
        """Kill the gateway."""
        self.proof.plant.gateway.signal("KILL")
        self.assertEqual(-signal.SIGKILL, await self.proof.ended())


class FailedSync(DiskCase):
    """The disk takes a commit's bytes, and then cannot say that they are safe: its log holds the whole commit."""

    scenario = WITHOUT_KEYS

    async def test_what_was_refused_is_not_there_after_a_crash(self) -> None:
        """A device that was told "not stored" sends again, and without a key that would be a second event."""
        await self.proof.plant.start()
        device = await self.device()
        self.say(device, "stored")
        await self.told(device, b"OK ")
        self.disk.refuses("sync", "-wal", times=1)
        self.say(device, "refused")
        await self.told(device, b"ERR unavailable ")
        self.assertEqual(1, self.disk.struck)
        await self.dies()
        self.assertEqual(["stored"], await self.stored())

    async def test_what_may_be_stored_is_not_called_refused(self) -> None:
        """While the disk goes on failing nobody knows, and the device is cut off; what comes next is surely not."""
        await self.proof.plant.start()
        device, other = await self.device(), await self.device()
        self.say(device, "stored")
        await self.told(device, b"OK ")
        self.disk.refuses("rest", "-wal")
        self.say(device, "in doubt")
        await self.proof.until("the device to be cut off", lambda: device.gone.called)
        self.assertEqual(b"", device.answered)
        self.say(other, "refused")
        await self.told(other, b"ERR unavailable ")
        await self.dies()
        self.assertEqual(["stored", "in doubt"], await self.stored())

    async def test_the_doubt_ends_with_the_failure(self) -> None:
        """Once the disk works again, what it refused is gone for good, and what comes next is stored."""
        await self.proof.plant.start()
        device, other = await self.device(), await self.device()
        self.disk.refuses("sync", "-wal")
        self.say(device, "in doubt")
        await self.proof.until("the device to be cut off", lambda: device.gone.called)
        self.disk.is_well()
        self.say(other, "stored")
        await self.told(other, b"OK ")
        await self.dies()
        self.assertEqual(["stored"], await self.stored())
        [alarm] = [line for line in self.proof.log().splitlines() if " journal.cannot_write " in line]
        self.assertIn("may be stored or not", alarm)
        self.assertIn("journal.writes_again", self.proof.log())


class Refusing(DiskCase):
    """A disk that takes nothing more, from one moment on."""

    async def test_it_turns_read_only(self) -> None:
        """Lines are put off with an alarm; once it can be written again, everything goes on by itself."""
        fleet = await self.lines_flow()
        self.disk.refuses("any", error=errno.EROFS)
        await self.lines_are_put_off(fleet)
        self.assertGreater(self.disk.struck, 0)
        self.disk.is_well()
        await self.goes_on(fleet)

    async def test_it_is_full(self) -> None:
        """The same, and SQLite says what is missing."""
        fleet = await self.lines_flow()
        self.disk.refuses("write", error=errno.ENOSPC)
        self.assertIn("database or disk is full", await self.lines_are_put_off(fleet))
        self.disk.is_well()
        await self.goes_on(fleet)

    async def test_it_is_full_only_when_bytes_are_to_be_safe(self) -> None:
        """Where a file system looks for its space at the sync (NFS, a quota), the commit fails and is not there."""
        fleet = await self.lines_flow()
        self.disk.refuses("sync", error=errno.ENOSPC)
        await self.lines_are_put_off(fleet)
        await self.proof.kill()
        self.disk.is_well()
        await self.more_lines(fleet)
        await self.proof.stop_sending()
        await self.is_exact()


class Slow(DiskCase):
    """A disk on which nothing is lost, and everything takes its time."""

    async def test_a_slow_one(self) -> None:
        """Lines that wait share a commit: each has its answer and its document, and the log names the disk."""
        await self.proof.plant.start()
        self.disk.takes(2100, "sync", "-wal")
        fleet = self.proof.send(seed=1, devices=12, lines=3, window=3)
        await self.proof.until("the first answers", lambda: fleet.counts.acked)
        await self.proof.until("the log to tell", lambda: "journal.slow" in self.proof.log())
        self.disk.takes(100, "sync", "-wal")
        await self.is_exact(36)
        self.assertGreater(self.disk.struck, 0)

    async def test_one_that_hangs(self) -> None:
        """Nothing is acknowledged, questions are answered, the log says what hangs; then all of it goes on."""
        proof = self.proof
        # As systemd does it; nobody listens at the other end.
        supervision = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "2000000"}
        self.disk.environ |= supervision
        fleet = await self.lines_flow()
        self.disk.takes(HANGING, "sync", "-wal")
        await proof.until("a sync to hang", lambda: self.disk.struck)
        await proof.until("the watchdog", lambda: "watchdog.unanswered" in proof.log())
        self.assertRegex(proof.log(), "watchdog.unanswered .*journal-writer")
        before = fleet.counts.acked
        self.assertIsNotNone(await proof.plant.status())
        self.assertEqual(before, fleet.counts.acked)
        self.disk.is_well()
        await self.more_lines(fleet)
        await proof.stop_sending()
        await self.is_exact()

    async def test_one_that_hangs_over_the_file_alone(self) -> None:
        """Copying the log into the file takes its time, and no line waits for it."""
        fleet = await self.lines_flow()
        self.disk.takes(HANGING, "sync", "journal.db")
        await self.proof.until("the file's sync to hang", lambda: self.disk.struck)
        await self.more_lines(fleet)
        self.disk.is_well()
        await self.proof.stop_sending()
        await self.is_exact()


class RemountedReadOnly(WrittenCase):
    """A file system that finds itself broken, and which Linux makes read-only while the gateway writes to it."""

    scenario = OWN_DISK

    def setUp(self) -> None:
        super().setUp()
        self.place = self.directory / "disk"
        self.place.mkdir()
        self.image = self.directory / "image"
        with self.image.open("wb") as image:
            image.truncate(32_000_000)
        maker = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if maker is None:
            raise SkipTest("there is no mkfs.ext4")
        subprocess.run([maker, "-q", str(self.image)], check=True)
        self.attach()
        self.addCleanup(
            subprocess.run, ["umount", "--lazy", str(self.place)], check=False, stderr=subprocess.DEVNULL
        )
        self.proof.journal_path = self.place / "journal.db"
        self.proof.start_command = Child.start

    def attach(self) -> None:
        mounted = subprocess.run(
            ["mount", "-o", "loop", str(self.image), str(self.place)], capture_output=True, check=False, text=True
        )
        if mounted.returncode:
            raise SkipTest(f"no disk can be mounted here: {mounted.stderr.strip()}")

    def attach_again(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)
        self.attach()

    def break_it(self) -> None:
        """Let ext4 do what it does by itself when it finds an error (ext4(5), ``errors=remount-ro``)."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.place)], check=False, stderr=subprocess.DEVNULL)
        with self.assertRaises(OSError) as refused:
            (self.place / "anything").write_text("")
        self.assertEqual(errno.EROFS, refused.exception.errno)

    async def test_a_file_system_that_gives_up(self) -> None:
        """Lines are put off with an alarm; on the disk as it is mounted again, each is one document."""
        fleet = await self.lines_flow()
        self.break_it()
        await self.lines_are_put_off(fleet)
        self.proof.plant.gateway.signal("TERM")
        self.assertEqual(0, await self.proof.ended(), self.proof.log())
        self.attach_again()
        self.proof.start_gateway()
        await self.more_lines(fleet)
        await self.proof.stop_sending()
        await self.is_exact()


class FileSize(WrittenCase):
    """A process whose files may not grow (setrlimit(2), RLIMIT_FSIZE), as a service manager can say it."""

    async def test_a_limit_that_is_reached(self) -> None:
        """Lines are put off with an alarm, and SIGXFSZ kills nobody; with more room all goes on by itself."""
        self.proof.start_command = Child.start
        fleet = await self.lines_flow()
        limit = partial(resource.prlimit, self.pid, resource.RLIMIT_FSIZE)
        soft, hard = limit()
        log = self.proof.journal_path.with_name("journal.db-wal")
        limit((log.stat().st_size, hard))
        await self.lines_are_put_off(fleet)
        limit((soft, hard))
        await self.goes_on(fleet)
