"""An old Unix box whose log grows: what `tail` says of it, without a shell, a disk or a network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Literal, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

CHUNK = 32_768
LARGEST = 10_000_000
"""Bytes after which the log is rotated in any case."""
OFTEN = 0.05
"""Seconds between two moments at which lines are written, at the least."""


class Output(Protocol):
    """Where a command writes to; see `lineside.edges.ssh.channels.Session`."""

    @property
    def full(self) -> bool:
        """What is written now waits for the client."""
        ...

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        ...

    def complain(self, text: str) -> None:
        """Write to standard error."""
        ...

    def finish(self, status: int) -> None:
        """End, once all that was written is sent."""
        ...


class Wanted(Struct, frozen=True):
    """What a `tail` is to show."""

    path: str
    unit: Literal["lines", "bytes", "size"] = "lines"
    """``size`` for how large it is, and nothing of it."""
    count: int = 10
    from_start: bool = False
    """``count`` is the first one to be shown, from 1; else it is how many of the last ones are."""
    follow: Literal["no", "file", "name"] = "no"


class UnknownCommand(Exception):
    """The box has no such command; the text is what its shell says."""


class OldBox:
    """The box.

    Args:
        clock: must follow a monotonic clock.
        lines: what is written to the log.
        rate: lines a second.
        path: the log's.
        count: of the lines; None for all that there are.
        rotate_every: lines after which the log is rotated; None for when it is large.

    """

    def __init__(
        self,
        clock: IReactorTime,
        lines: Iterator[bytes],
        *,
        rate: float,
        path: str = "/var/log/scale.log",
        count: int | None = None,
        rotate_every: int | None = None,
    ) -> None:
        self.path = path
        self.written = self.commands = self.rotations = 0
        self.running: set[Tail] = set()
        self.files: dict[str, bytearray] = {path: bytearray()}
        self._clock = clock
        self._lines = lines
        self._rate = rate
        self._count = count
        self._rotate_every = rotate_every
        self._began = 0.0
        self._loop = LoopingCall(self._write_due)
        self._loop.clock = clock

    def start(self) -> Deferred[LoopingCall]:
        """Begin to write; returns what fires when it has ended."""
        self._began = self._clock.seconds()
        return self._loop.start(max(OFTEN, min(1.0, 1.0 / self._rate)), now=False)

    def stop(self) -> None:
        """Write no more."""
        if self._loop.running:
            self._loop.stop()

    def run(self, output: Output, command: str) -> Tail:
        """Begin a command."""
        self.commands += 1
        return Tail(self, output, command)

    def write(self, line: bytes) -> None:
        """Append a line to the log."""
        if self._is_rotated():
            self.rotations += 1
            self.files[f"{self.path}.1"] = self.files[self.path]
            self.files[self.path] = bytearray()
        self.files[self.path] += line + b"\n"
        self.written += 1

    def _is_rotated(self) -> bool:
        large = len(self.files[self.path]) > LARGEST
        return large or bool(self._rotate_every and self.written and self.written % self._rotate_every == 0)

    def _write_due(self) -> None:
        due = int((self._clock.seconds() - self._began) * self._rate)
        due = due if self._count is None else min(due, self._count)
        while self.written < due:
            line = next(self._lines, None)
            if line is None:
                self._count = self.written
                break
            self.write(line)
        for each in list(self.running):
            each.go_on()


class Tail:
    """One run of a command: a `lineside.edges.ssh.channels.Program`."""

    def __init__(self, box: OldBox, output: Output, command: str) -> None:
        self._box = box
        self._output = output
        self._over = False
        self._content = bytearray()
        self._at = 0
        try:
            self._wanted = parse(command)
        except UnknownCommand as unknown:
            self._end(127, str(unknown))
            return
        found = box.files.get(self._wanted.path)
        if found is None:
            self._end(1, f"tail: cannot open '{self._wanted.path}' for reading: No such file or directory")
            return
        if self._wanted.unit == "size":
            output.write(b"%d\n" % len(found))
            self._end(0)
            return
        self._content = found
        self._at = begin(found, self._wanted)
        box.running.add(self)
        self.go_on()

    def go_on(self) -> None:
        """Show what there is, as far as the client takes it."""
        while not self._over and not self._output.full:
            if self._at < len(self._content):
                piece = bytes(self._content[self._at : self._at + CHUNK])
                self._at += len(piece)
                self._output.write(piece)
            elif not self._went_over():
                return

    def received(self, data: bytes) -> None:
        """Let it pass: `tail` reads no input here."""

    def ended(self) -> None:
        """Let it pass: it goes on without input."""

    def drained(self) -> None:
        """Go on."""
        self.go_on()

    def resized(self) -> None:
        """It has no terminal."""

    def stop(self) -> None:
        """End with its channel."""
        self._over = True
        self._box.running.discard(self)

    def _went_over(self) -> bool:
        """At the end of the file: end, go over to the new one of its name, or wait; whether there is more."""
        wanted = self._wanted
        if wanted.follow == "no":
            self._end(0)
            return False
        now = self._box.files.get(wanted.path)
        if wanted.follow != "name" or now is None or now is self._content:
            return False
        self._output.complain(f"tail: '{wanted.path}' has been replaced;  following new file\n")
        self._content, self._at = now, 0
        return True

    def _end(self, status: int, why: str = "") -> None:
        self.stop()
        if why:
            self._output.complain(f"{why}\n")
        self._output.finish(status)


def parse(command: str) -> Wanted:
    """Return what a command line wants: `tail` with ``-n``, ``-c``, ``-f`` and ``-F``, `cat`, or ``wc -c <``.

    Raises:
        UnknownCommand: it is something else.

    """
    try:
        words = shlex.split(command)
    except ValueError as wrong:
        raise UnknownCommand(f"sh: syntax error: {wrong}") from wrong
    if len(words) == 2 and words[0] == "cat":
        return Wanted(words[1], count=1, from_start=True)
    if len(words) == 4 and words[:3] == ["wc", "-c", "<"]:
        return Wanted(words[3], "size")
    if not words or words[0] != "tail":
        raise UnknownCommand(f"sh: {words[0] if words else ''}: not found")
    told: dict[str, object] = {}
    rest = iter(words[1:])
    for word in rest:
        if word in {"-n", "-c"}:
            number = next(rest, "")
            if not number.lstrip("+-").isdecimal():
                raise UnknownCommand(f"tail: invalid number: '{number}'")
            told["unit"] = "lines" if word == "-n" else "bytes"
            told["count"], told["from_start"] = int(number.lstrip("+-")), number.startswith("+")
        elif word in {"-f", "-F"}:
            told["follow"] = "file" if word == "-f" else "name"
        elif word.startswith("-") or "path" in told:
            raise UnknownCommand(f"tail: unknown option or file '{word}'")
        else:
            told["path"] = word
    if "path" not in told:
        raise UnknownCommand("tail: no file")
    return Wanted(**told)  # type: ignore[arg-type] # (checked above)


def begin(content: bytes | bytearray, wanted: Wanted) -> int:
    """Return the first byte to be shown."""
    if wanted.unit == "bytes":
        return max(0, wanted.count - 1) if wanted.from_start else max(0, len(content) - wanted.count)
    if wanted.from_start:
        at = 0
        for _ in range(wanted.count - 1):
            at = content.find(b"\n", at) + 1 or len(content)
        return at
    at = len(content) - content.endswith(b"\n")
    for _ in range(wanted.count):
        at = content.rfind(b"\n", 0, at)
        if at < 0:
            return 0
    return at + 1 if wanted.count else len(content)
