"""The operator at work: a terminal with one command after the other, or one command alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.ssh.channels import Session
from lineside.edges.ssh.shell.commands import Asked, WrongUse, asked, completions
from lineside.edges.ssh.shell.editing import LineEditor, Typed
from lineside.edges.ssh.shell.telling import UNBOUND
from lineside.model.errors import LinesideError
from lineside.model.wording import plain
from lineside.operations.registry import Operations
from lineside.wakeup import Wakeup

log = Logger()

PROMPT = "lineside> "
LONGEST_LINE = 8_192
"""Bytes of a command, and of keys that are typed while one is carried out."""

Names = Callable[[], Mapping[str, Sequence[str]]]


class Shell:
    """Carries out commands for one session.

    Args:
        session: the channel.
        operations: what may be asked.
        background: where commands run, which outlives them.
        clock: begins, once the client was told that it may.

    """

    def __init__(
        self, session: Session, operations: Operations, background: Background, clock: IReactorTime
    ) -> None:
        self._session = session
        self._operations = operations
        self._background = background
        self._clock = clock
        self._drained = Wakeup()
        self._running: Deferred[None] | None = None
        self._gone = False

    def drained(self) -> None:
        """Go on: the client reads again."""
        self._drained.set()

    def resized(self) -> None:
        """Nothing: each answer asks how wide the terminal is."""

    def stop(self) -> None:
        """Give up what is under way: the client is gone."""
        self._gone = True
        if self._running is not None:
            self._running.cancel()

    def _begin(self, line: str, then: Callable[[int], None]) -> None:
        """Carry out a command, and tell its status: 0, or 1 where it failed, or 2 where it is none."""

        async def work() -> None:
            status = 1
            try:
                status = await self._carry_out(line)
            except CancelledError:
                # By Ctrl-C, where the client is still there.
                status = 130
            except WrongUse as wrong:
                self._complain(str(wrong))
                status = 2
            except LinesideError as failed:
                self._complain(str(failed))
            except Exception as failed:  # noqa: BLE001 (told, and logged)
                self._complain(f"the gateway failed: {type(failed).__name__}")
                log.failure("ssh.command_failed", remedy="report it with what stands below")
            self._running = None
            if not self._gone:
                then(status)

        self._running = self._background.run("command", work())
        if self._running.called:
            self._running = None

    async def _carry_out(self, line: str) -> int:
        wanted = asked(line)
        if wanted.request is None:
            if wanted.text:
                await self._tell(wanted.text.split("\n"))
            return LEAVE if wanted.leave else 0
        visitor = self._session.visitor
        if self._operations.streams(wanted.request):
            items = self._operations.follow(wanted.request, visitor.user.identity)
            return await self._follow(wanted, items)
        told = await self._operations.call(wanted.request, visitor.user.identity, visitor.where)
        await self._tell(self._lines(wanted, told))
        return 1 if getattr(told, "skipped", None) and not getattr(told, "done", 1) else 0

    async def _follow(self, wanted: Asked, items: AsyncIterator[Any]) -> int:
        try:
            async for item in items:
                await self._tell(self._lines(wanted, item))
        finally:
            await items.aclose()  # type: ignore[attr-defined]
        return 0

    def _lines(self, wanted: Asked, told: Any) -> Sequence[str]:
        if wanted.as_json:
            values = [told] if wanted.each is None else getattr(told, wanted.each)
            return [msgspec.json.encode(value).decode() for value in values]
        terminal = self._session.terminal
        return wanted.tell(told, UNBOUND if terminal is None else terminal.columns)

    async def _tell(self, lines: Sequence[str]) -> None:
        end = "\n" if self._session.terminal is None else "\r\n"
        for line in lines:
            self._session.say(line + end)
            while self._session.full:
                await self._drained.wait()

    def _complain(self, text: str) -> None:
        if self._gone:
            return
        if self._session.terminal is not None:
            self._session.say("".join(f"{plain(line)}\r\n" for line in text.split("\n")))
        else:
            first, *rest = text.split("\n")
            self._session.complain("".join(f"{plain(line)}\n" for line in (f"lineside: {first}", *rest)))


LEAVE = -1
"""The status of a command that ends the session."""


class OneCommand(Shell):
    """``ssh ops@gateway status --json``: one command; its status is the session's."""

    def __init__(
        self, session: Session, operations: Operations, background: Background, clock: IReactorTime, line: str
    ) -> None:
        super().__init__(session, operations, background, clock)
        clock.callLater(0, self._start, line)

    def received(self, data: bytes) -> None:
        """Give up by Ctrl-C on a terminal; commands read nothing else."""
        if self._session.terminal is not None and b"\x03" in data and self._running is not None:
            self._running.cancel()

    def ended(self) -> None:
        """Nothing: a command reads no input."""

    def _start(self, line: str) -> None:
        if not self._gone:
            if len(line) > LONGEST_LINE:
                self._complain(f"a command has at most {LONGEST_LINE} bytes")
                self._session.finish(2)
                return
            self._begin(line, lambda status: self._session.finish(max(0, status)))


class Conversation(Shell):
    """``ssh ops@gateway``: one command after the other, until ``exit``.

    On a terminal the line can be edited; without one each line of the input is a command.
    """

    def __init__(
        self,
        session: Session,
        operations: Operations,
        background: Background,
        clock: IReactorTime,
        names: Names,
        greeting: str,
    ) -> None:
        super().__init__(session, operations, background, clock)
        self._greeting = greeting
        self._editor = LineEditor(
            PROMPT,
            lambda before: completions(before, names()),
            session.say,
            lambda: session.terminal.columns if session.terminal is not None else 80,
        )
        self._waiting = bytearray()
        self._over = False
        self._status = 0
        clock.callLater(0, self._start)

    def _start(self) -> None:
        if not self._gone:
            self._begun = True
            if self._session.terminal is not None:
                self._session.say(f"{self._greeting}\r\n")
            self._next()

    _begun = False

    def received(self, data: bytes) -> None:
        """Take keys, or lines of a program."""
        if self._session.terminal is not None and self._running is not None and b"\x03" in data:
            # What was typed ahead is given up with the command.
            self._waiting.clear()
            self._session.say("^C\r\n")
            self._running.cancel()
            return
        room = LONGEST_LINE - len(self._waiting)
        self._waiting += data[:room]
        if room < len(data) and self._session.terminal is None:
            self._complain(f"a command has at most {LONGEST_LINE} bytes")
            self._session.finish(2)
            return
        if self._begun and self._running is None:
            self._read()

    def ended(self) -> None:
        """Leave once what came is carried out."""
        self._over = True
        if self._begun and self._running is None:
            self._read()

    def resized(self) -> None:
        """Draw the line anew."""
        if self._begun and self._running is None and self._session.terminal is not None:
            self._editor.show()

    def _next(self) -> None:
        if self._session.terminal is not None:
            self._editor.show()
        self._read()

    def _read(self) -> None:
        while self._waiting and self._running is None and not self._gone:
            line = self._typed() if self._session.terminal is not None else self._line()
            if line is None:
                break
            if line.what == "leave":
                self._session.say("\r\n")
                self._session.finish(0)
                return
            if line.what == "line":
                self._begin(line.text, self._finished)
                return
            self._editor.show()
        if self._over and not self._waiting and self._running is None and not self._gone:
            self._session.finish(self._status)

    def _typed(self) -> Typed | None:
        # One key at a time: what follows a whole line waits until that is carried out.
        while self._waiting:
            key = bytes(self._waiting[:1])
            del self._waiting[:1]
            for typed in self._editor.feed(key):
                return typed
        return None

    def _line(self) -> Typed | None:
        line, found, rest = bytes(self._waiting).partition(b"\n")
        if not found and not self._over:
            return None
        self._waiting[:] = rest
        return Typed("line", line.decode("utf-8", "replace").rstrip("\r"))

    def _finished(self, status: int) -> None:
        if status == LEAVE:
            self._session.finish(self._status)
            return
        # As a Unix shell: that of the last command.
        self._status = 0 if status == 130 else status
        # Not from within: a thousand lines would nest a thousand deep.
        self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        if not self._gone:
            self._next()
