"""The long proofs of what the machine and its peers may do: a flood of connections, a peer that stalls."""

from __future__ import annotations

import errno
import resource
import socket
from functools import partial

import pytest
from tests.crash.test_limits import LimitCase
from tests.crash.test_surroundings import scenario

from lineside.assemble.descriptors import RESERVED
from lineside.demo.children import LINESIDE, Child

FLOOD = 10_000
ROOM = 500


@pytest.mark.acceptance
class Flood(LimitCase):
    """Ten thousand connect at once to a source that has room for five hundred."""

    scenario = scenario(dedupe=f'dedupe = "scan_id"\nmax_connections = {ROOM}')
    timeout = 600

    @pytest.fixture(autouse=True)
    def own_screen(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.captured = capfd

    async def test_ten_thousand_at_once(self) -> None:
        """Devices that are there go on, those without room are told so, and nothing acknowledged is lost."""
        proof = self.proof
        self.patience = proof.patience = 240.0
        proof.start_command = partial(Child.start, program=LINESIDE)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        number = min(FLOOD, hard - RESERVED)
        await proof.plant.start()
        fleet = proof.send(seed=1, devices=4, lines=None, rate=20)
        await proof.until("some lines", lambda: fleet.counts.acked >= 50)
        resting = self.resident()

        callers = []
        for _ in range(number):
            caller = socket.socket()
            caller.setblocking(False)
            self.addCleanup(caller.close)
            begun = caller.connect_ex(("127.0.0.1", proof.plant.port))
            self.assertIn(begun, (0, errno.EINPROGRESS, errno.EAGAIN))
            callers.append(caller)
        before = fleet.counts.acked
        await proof.until("devices to go on", lambda: fleet.counts.acked >= before + 100)
        busy = Counter(callers)
        await proof.until("the others to be told", lambda: busy.count() >= number - ROOM)
        status = await self.status()
        self.assertLessEqual(status.sources[0].connections, ROOM)
        grown = self.resident() - resting
        with self.captured.disabled():
            print(f"\n{number} connections at once: {busy.told} turned away, {grown} MB more memory")  # noqa: T201
        self.assertLess(grown, 100)
        self.assertLess(proof.log().count("lines.busy"), 50)
        for caller in callers:
            caller.close()
        await proof.stop_sending()
        await self.is_exact()


class Counter:
    """Counts those who were told that there is no room."""

    def __init__(self, callers: list[socket.socket]) -> None:
        self._waiting = list(callers)
        self.told = 0

    def count(self) -> int:
        """Look at those who still wait."""
        waiting = []
        for caller in self._waiting:
            try:
                self.told += caller.recv(64).startswith(b"ERR busy")
            except OSError as wrong:
                if wrong.errno in (errno.EAGAIN, errno.ENOTCONN):
                    waiting.append(caller)
        self._waiting = waiting
        return self.told


@pytest.mark.acceptance
class Peers(LimitCase):
    """Peers that vanish or stall, without a word."""

    scenario = scenario(dedupe='dedupe = "scan_id"\nidle_timeout = "2s"')

    async def test_one_that_reads_no_answers(self) -> None:
        """It is read no further, cut off after the idle time-out, and the memory it takes is bounded."""
        proof = self.proof
        proof.start_command = partial(Child.start, program=LINESIDE)
        await proof.plant.start()
        before = self.resident()
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect(("127.0.0.1", proof.plant.port))
            stalled.setblocking(False)
            proof.send(seed=1, lines=25)
            line = b'{"kind": "none", "text": "' + b"x" * 60 + b'"}\n'
            sent = 0

            def pushed_until_cut() -> bool:
                nonlocal sent
                try:
                    while True:
                        sent += stalled.send(line * 1000)
                except BlockingIOError:
                    return False
                except OSError:
                    return True

            await proof.until("the stalled one to be cut off", pushed_until_cut)
        self.assertIn("lines.silent", proof.log())
        self.assertLess(self.resident(), before + 100)
        await proof.answered()
        await proof.delivered()
