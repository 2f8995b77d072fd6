"""A disk that refuses, hangs, is slow, or turns read-only while the gateway writes to it."""

from __future__ import annotations

import json
import signal

from tests.crash.test_limits import Caller, LimitCase
from tests.crash.test_surroundings import scenario
from tests.rig.faulty_disk import FaultyDisk

WITHOUT_KEYS = scenario(dedupe="")


class DiskCase(LimitCase):
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
