"""What commands on a host write to their standard error, told in the log as far as that is bearable."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

log = Logger()

LONGEST = 200
"""Characters that are told of one line."""
MOST = 5
"""Lines that are told in `EVERY` seconds."""
EVERY = 60.0


class Complaints:
    """Those of one source.

    Args:
        source: for the log.
        clock: must follow a monotonic clock.

    """

    def __init__(self, source: str, clock: IReactorTime) -> None:
        self._source = source
        self._clock = clock
        self._line = bytearray()
        self._begun = float("-inf")
        self._told = self._left_out = 0

    def heard(self, data: bytes) -> None:
        """Take what was written."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._keep(part)
            self._tell()
        self._keep(rest)

    def over(self) -> None:
        """The command is over: a line may have no end."""
        self._tell()

    def _keep(self, part: bytes) -> None:
        self._line += part[: max(0, 4 * LONGEST - len(self._line))]

    def _tell(self) -> None:
        text = self._line.decode("utf-8", "replace").strip()
        self._line.clear()
        if not text:
            return
        now = self._clock.seconds()
        if now - self._begun >= EVERY:
            self._begun, self._told = now, 0
        if self._told >= MOST:
            self._left_out += 1
            return
        self._told += 1
        left_out, self._left_out = self._left_out, 0
        log.warn(
            "command.complains",
            source=self._source,
            text="".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in text[:LONGEST]),
            left_out=left_out,
            remedy="see what the command says; left_out counts lines before this one that were not logged",
        )
