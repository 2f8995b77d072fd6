"""A `LineReceiver` that splits a whole chunk at once.

Twisted's own splits off one line and copies the rest, for each line anew: its time grows with the square of the
chunk. Twisted's tests of `LineReceiver` hold for this one too.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols import basic


class LineReceiver(basic.LineReceiver):
    """Drop-in for `twisted.protocols.basic.LineReceiver`, with the lines of a chunk in one call for who wants them.

    Override `linesReceived` to take them so; `lineReceived` is not called then.
    """

    judges_length = False
    """True where `linesReceived` bears complete lines above ``MAX_LENGTH``: `lineLengthExceeded` is then called for
    one only whose end has not come. What it gets is bounded all the same, by ``MAX_LENGTH`` and a chunk."""

    transport: Any
    _buffer: bytes
    _untaken: list[bytes] | None = None

    def linesReceived(self, lines: list[bytes]) -> Any:
        """Take complete lines, without their delimiters; called in line mode, while not paused. The list is yours.

        This one gives them to `lineReceived` one by one. It stops where that pauses, changes the mode, clears the
        buffer, loses the connection or returns something true; what is left is dealt with as Twisted's does.
        """
        lines.reverse()
        self._untaken = lines
        while lines and self.line_mode and not self.paused:
            why = self.lineReceived(lines.pop())
            if why or (self.transport and self.transport.disconnecting):
                return why
        return None

    def clearLineBuffer(self) -> bytes:
        """Throw away, and return, what was received and not taken."""
        self._put_back()
        cleared: bytes = super().clearLineBuffer()
        return cleared

    def dataReceived(self, data: bytes) -> Any:
        """Give on the lines that are complete, or raw data."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._busyReceiving:
            return None
        self._busyReceiving = True
        try:
            return self._receive()
        finally:
            self._busyReceiving = False

    def _receive(self) -> Any:
        while self._buffer and not self.paused:
            if self.line_mode:
                lines = self._take_lines()
                if not lines:
                    return self._give_up_on_line()
                try:
                    why = self.linesReceived(lines)
                finally:
                    self._put_back()
                if why or (self.transport and self.transport.disconnecting):
                    return why
            else:
                data, self._buffer = self._buffer, b""
                if why := self.rawDataReceived(data):
                    return why
        return None

    def _take_lines(self) -> list[bytes]:
        """Take complete lines from the buffer: none where the first one has no end or is too long."""
        lines = self._buffer.split(self.delimiter)
        rest = lines.pop()
        if lines and not self.judges_length and max(map(len, lines)) > self.MAX_LENGTH:
            bearable = next(place for place, line in enumerate(lines) if len(line) > self.MAX_LENGTH)
            if not bearable:
                return []
            rest = self.delimiter.join([*lines[bearable:], rest])
            del lines[bearable:]
        if lines:
            self._buffer = rest
        return lines

    def _give_up_on_line(self) -> Any:
        if len(self._buffer) >= self.MAX_LENGTH + len(self.delimiter) or (
            # One with an end was not taken for its length.
            self.delimiter in self._buffer
        ):
            line, self._buffer = self._buffer, b""
            return self.lineLengthExceeded(line)
        return None

    def _put_back(self) -> None:
        if self._untaken:
            self._buffer = self.delimiter.join([*reversed(self._untaken), self._buffer])
            # The list is the loop's of `linesReceived`, too.
            self._untaken.clear()
        self._untaken = None
