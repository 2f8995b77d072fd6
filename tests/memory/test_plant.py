"""The plant of the demonstration, with an ERP that is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.demo.plant import PATIENCE, Plant
from lineside.model.errors import LinesideError


class PlayedProcess:
    """A command that does nothing until the test says so."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.end: Deferred[int] = Deferred()

    async def ended(self) -> int:
        return await self.end

    def signal(self, name: str) -> None:
        raise AssertionError("nothing is to be signalled")


class StartingErp(SynchronousTestCase):
    """The ERP stand-in is started, and what it prints is waited for."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.clock = Clock()
        self.process = PlayedProcess()
        self.plant = Plant(self.clock, self.directory, start=self.play)
        self.starting = Deferred.fromCoroutine(self.plant.start_erp())

    def play(
        self,
        reactor: object,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
    ) -> PlayedProcess:
        return self.process

    def test_one_that_never_listens_is_given_up(self) -> None:
        """A demonstration does not hang: it ends with a line that names the log."""
        self.clock.advance(PATIENCE - 1)
        self.assertNoResult(self.starting)
        self.clock.advance(1)
        failure = self.failureResultOf(self.starting, LinesideError)
        self.assertEqual(
            f"the ERP stand-in did not start within 30 s; see {self.directory / 'erp.log'}", str(failure.value)
        )
        self.process.end.callback(-9)

    def test_one_that_ends_is_told_with_its_exit_code(self) -> None:
        """What has ended is waited for no longer, and no timer is left."""
        self.process.end.callback(1)
        failure = self.failureResultOf(self.starting, LinesideError)
        self.assertEqual(
            f"the ERP stand-in did not start (exit 1); see {self.directory / 'erp.log'}", str(failure.value)
        )
        self.assertEqual([], self.clock.getDelayedCalls())
