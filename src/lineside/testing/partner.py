"""A trading partner: sends order files to a drop box until it has them, and collects the answers."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from lineside.model.errors import LinesideError

RESULT, RECEIPT = ".result.csv", ".contrl.edi"
LOOK_EVERY = 0.5
"""Seconds from one look for answers to the next."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until it connects again; each failure in a row doubles it."""


class Hopeless(LinesideError):
    """It is of no use to try again: the gateway is another one, or does not let us in, say."""


class Box(Protocol):
    """A connection to a drop box. Whatever it cannot do raises a `LinesideError`, after which it is let go."""

    async def put(self, name: str, content: bytes) -> None:
        """Send a file; when this returns the gateway has it."""
        ...

    async def answers(self) -> list[str]:
        """Return the names of the outbox."""
        ...

    async def fetch(self, name: str) -> bytes:
        """Return an answer."""
        ...

    async def remove(self, name: str) -> None:
        """Remove an answer."""
        ...

    def leave(self) -> None:
        """Let it go."""
        ...


class OrderFile(Struct, frozen=True):
    """One file to send."""

    name: str
    content: bytes


class FileSent(Struct, frozen=True, tag="file", tag_field="stage"):
    """A file is about to be sent for the first time."""

    file: str
    sent_at: float
    """Wall time, seconds since 1970."""
    content: str


class FileTaken(Struct, frozen=True, tag="taken", tag_field="stage"):
    """The gateway has a file."""

    file: str


class FileAnswered(Struct, frozen=True, tag="answer", tag_field="stage"):
    """The last answer to a file."""

    file: str
    rows: list[dict[str, str]]
    receipt: str | None
    """The CONTRL, for EDIFACT."""


FileEntry = FileSent | FileTaken | FileAnswered


class PartnerStatus(Struct, frozen=True):
    """How it stands, or how it ended."""

    seconds: float
    files: int
    """To send in all."""
    sent: int
    """Of them those that the gateway has."""
    answered: int
    rows: dict[str, int]
    """By what the answers say became of them."""
    receipts: int
    reconnects: int
    trouble: str | None

    @property
    def unanswered(self) -> int:
        """Files that have no last answer."""
        return self.files - self.answered


class Partner:
    """One run.

    A file whose sending was cut off is sent again from its beginning: the gateway takes the same file once.

    Args:
        reactor: its timers must follow a monotonic clock.
        connect: opens a connection; raises `Hopeless`, or another `LinesideError` where it may be tried again.
        files: to send, in their order.
        record: is told of each file.
        patience: seconds without anything new after which it gives up.
        now: wall time, seconds since 1970.

    """

    def __init__(
        self,
        reactor: IReactorTime,
        connect: Callable[[], Awaitable[Box]],
        files: list[OrderFile],
        record: Callable[[FileEntry], None] = lambda _: None,
        *,
        patience: float = 60.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._connect = connect
        self._record = record
        self._patience = patience
        self._now = now
        self._files = len(files)
        self._unsent = list(reversed(files))
        self._begun: set[str] = set()
        self._waiting: set[str] = set()
        self._receipts: dict[str, str] = {}
        self._rows: Counter[str] = Counter()
        self._reconnects = 0
        self._trouble: str | None = None
        self._began = self._last = self._looked = reactor.seconds()
        self._running: Deferred[None] | None = None
        self._ended = False

    @property
    def status(self) -> PartnerStatus:
        """How it stands."""
        unsent = len(self._unsent)
        return PartnerStatus(
            seconds=round(self._reactor.seconds() - self._began, 3),
            files=self._files,
            sent=self._files - unsent,
            answered=self._files - unsent - len(self._waiting),
            rows=dict(sorted(self._rows.items())),
            receipts=len(self._receipts),
            reconnects=self._reconnects,
            trouble=self._trouble,
        )

    def end(self) -> None:
        """Give up what is still to do."""
        self._ended = True
        if self._running is not None:
            self._running.cancel()

    async def run(self, show: Callable[[PartnerStatus], None], every: float) -> PartnerStatus:
        """Send everything and collect every answer, or give up; ``show`` is called every so many seconds.

        Raises:
            Hopeless: as `connect` does.

        """
        self._began = self._last = self._reactor.seconds()
        showing = LoopingCall(lambda: show(self.status))
        showing.clock = self._reactor
        shown = showing.start(every, now=False)
        self._running = Deferred.fromCoroutine(self._go_on())
        shown.addErrback(self._not_shown)
        try:
            await self._running
        except CancelledError:
            if not self._ended:
                raise
        finally:
            if showing.running:
                showing.stop()
        await shown
        return self.status

    def _not_shown(self, failed: Failure) -> Failure:
        # Nobody waits for what nobody sees.
        self.end()
        return failed

    async def _go_on(self) -> None:
        pause = FIRST_PAUSE
        while self._unsent or self._waiting:
            box: Box | None = None
            before = self._last
            try:
                box = await self._connect()
                self._trouble = None
                await self._visit(box)
            except Hopeless:
                raise
            except LinesideError as failed:
                self._trouble = str(failed)
                self._reconnects += 1
            finally:
                if box is not None:
                    box.leave()
            if self._overdue or not (self._unsent or self._waiting):
                return
            if self._last > before:
                pause = FIRST_PAUSE
            await deferLater(self._reactor, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    @property
    def _overdue(self) -> bool:
        return self._reactor.seconds() - self._last >= self._patience

    async def _visit(self, box: Box) -> None:
        while self._unsent and not self._overdue:
            file = self._unsent[-1]
            if file.name not in self._begun:
                self._begun.add(file.name)
                self._record(FileSent(file.name, self._now(), file.content.decode("latin-1")))
            await box.put(file.name, file.content)
            self._unsent.pop()
            self._waiting.add(file.name)
            self._last = self._reactor.seconds()
            self._record(FileTaken(file.name))
            if self._last - self._looked >= LOOK_EVERY:
                await self._look(box)
        while self._waiting and not self._overdue:
            await self._look(box)
            if self._waiting:
                await deferLater(self._reactor, LOOK_EVERY)

    async def _look(self, box: Box) -> None:
        self._looked = self._reactor.seconds()
        there = set(await box.answers())
        for name in sorted(self._waiting):
            if name + RESULT not in there:
                continue
            rows = list(csv.DictReader(io.StringIO((await box.fetch(name + RESULT)).decode(), newline="")))
            if any(row["status"] == "pending" for row in rows):
                continue
            # It is put there before the result.
            if name + RECEIPT in there:
                self._receipts[name] = (await box.fetch(name + RECEIPT)).decode("latin-1")
            self._record(FileAnswered(name, rows, self._receipts.get(name)))
            self._waiting.discard(name)
            self._rows.update(row["status"] for row in rows)
            self._last = self._reactor.seconds()
            for answer in {name + RESULT, name + RECEIPT} & there:
                await box.remove(answer)
