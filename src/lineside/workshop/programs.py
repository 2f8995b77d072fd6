"""Programs that a demonstration starts: their output is read aside, their end is certain."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Condition, Thread

PATIENCE = 15.0
"""Seconds until something that was expected of a program counts as missing."""


class Missed(Exception):
    """What was waited for did not come."""


class Program:
    """A program at work; for scripts, not for a reactor: its methods block.

    Args:
        name: for messages.
        command: the program and its arguments.
        environ: variables beside this process's own.
        folder: where it works.
        heard: gets each line that it prints, in a thread of its own, as it comes.

    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        heard: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603 (the course's own commands)
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._lines: list[str] = []
        self._ended = False
        self._read = 0
        self._changed = Condition()
        self._heard = heard
        self._reader = Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether it has ended, and all that it printed was read."""
        with self._changed:
            return self._ended

    @property
    def output(self) -> str:
        """All that it printed so far."""
        with self._changed:
            return "\n".join(self._lines)

    def expect(self, text: str, *, within: float = PATIENCE) -> str:
        """Wait for the next line that holds ``text``, after the one found last; returns that line.

        Raises:
            Missed: it did not come in time, or the program ended without it; tells what it printed.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._find(text) is not None or self._ended, within)
            place = self._find(text)
            if place is None:
                raise Missed(f"{self.name} did not say {text!r}; it said:\n" + "\n".join(self._lines))
            self._read = place + 1
            return self._lines[place]

    def _find(self, text: str) -> int | None:
        return next((place for place in range(self._read, len(self._lines)) if text in self._lines[place]), None)

    def stop(self) -> int:
        """Ask it to end, and make it end if it does not; returns its exit code, negative for a signal."""
        self.kill(signal.SIGTERM)
        try:
            return self._finished(5.0)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._finished(PATIENCE)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(how)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait until it ends by itself; returns its exit code.

        Raises:
            Missed: it goes on.

        """
        try:
            return self._finished(within)
        except subprocess.TimeoutExpired as late:
            raise Missed(f"{self.name} did not end within {within:.0f} s") from late

    def _finished(self, within: float) -> int:
        code = self._process.wait(within)
        self._reader.join(within)
        return code

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as printed:
            for line in printed:
                # Before whoever waits for it is told, so that what is shown keeps its order.
                self._heard(line.rstrip("\n"))
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
