"""A gateway that gets less memory than it wants: allocations that fail, and a kernel that kills it."""

from __future__ import annotations

import os
import resource
import signal
from functools import partial
from pathlib import Path

from tests.crash.test_dead_letters import checkins_of
from tests.crash.test_faulty_disks import WrittenCase
from twisted.trial.unittest import SkipTest

from lineside.demo.children import Child

CGROUPS = Path("/sys/fs/cgroup")
LARGE = 50_000
DEVICES = 8


class MemoryCase(WrittenCase):
    """Devices with long lines, many in flight at once."""

    def setUp(self) -> None:
        super().setUp()
        self.proof.start_command = Child.start

    def send_long_lines(self) -> None:
        employees = [f"HR-EMP-{number:05}" for number in range(1, DEVICES + 1)]
        self.proof.send_lines([checkins_of(employee, 50, pad=LARGE) for employee in employees], window=50)


class Exhausted(MemoryCase):
    """A process whose address space may not grow (setrlimit(2), RLIMIT_AS)."""

    async def test_allocations_that_fail(self) -> None:
        """What cannot be taken is not acknowledged; the log names the cause; with more memory all of it goes on."""
        fleet = await self.lines_flow()
        limit = partial(resource.prlimit, self.pid, resource.RLIMIT_AS)
        soft, hard = limit()
        limit((resource.getpagesize(), hard))
        self.send_long_lines()
        await self.proof.until("memory to be short", self.is_short)
        if not self.has_ended():
            self.assertIn("allow the process more memory", self.proof.log())
            limit((soft, hard))
        before = fleet.counts.acked
        await self.proof.until(
            "lines to be taken, or an end", lambda: self.has_ended() or fleet.counts.acked > before
        )
        if self.has_ended():
            # Python itself may not survive it; whoever supervises the gateway starts it again.
            self.proof.start_gateway()
        await self.more_lines(fleet)
        await fleet.stop(within=self.proof.patience)
        await self.is_exact()

    def is_short(self) -> bool:
        return self.has_ended() or "MemoryError" in self.proof.log()

    def has_ended(self) -> bool:
        return self.proof.plant.gateway.code is not None


class Killed(MemoryCase):
    """A control group with next to no memory, as a container has it: the kernel kills who wants more."""

    def group(self) -> Path:
        """Make a control group whose processes get no further memory; skips where that is not allowed."""
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                place, limit = CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
                break
            if not controllers:
                place, limit = CGROUPS / path.lstrip("/"), "memory.max"
        group = place / f"lineside-{os.getpid()}"
        try:
            group.mkdir()
            self.addCleanup(group.rmdir)
            (group / limit).write_text("65536")
        except OSError as refused:
            raise SkipTest(f"no control group can be made here: {refused}") from refused
        return group

    async def test_a_kill_for_want_of_memory(self) -> None:
        """It is gone in the middle of whatever it did; started again, nothing acknowledged is lost or doubled."""
        fleet = await self.lines_flow()
        group = self.group()
        (group / "cgroup.procs").write_text(str(self.pid))
        self.send_long_lines()
        self.assertEqual(-signal.SIGKILL, await self.proof.ended())
        self.proof.start_gateway()
        await self.more_lines(fleet)
        await fleet.stop(within=self.proof.patience)
        await self.is_exact()
