"""What the senders themselves know: which line was sent when, and what they were told of it.

A proof that nothing was lost or doubled counts from these records and the ERP's own rows, never from
the gateway's counters.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec
from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.model.event import Seq


class Line(Struct, frozen=True):
    """One line a device sends."""

    id: str
    """Unique among all lines of all devices."""
    payload: bytes
    """Without its line end; neither blank nor holding a line feed."""


class Ledger(Protocol):
    """Told of every line, once for each stage. What it raises ends the device (see `LineDevice.finished`)."""

    def on_sent(self, line: Line, sent_at: float) -> None:
        """A line is about to be sent for the first time. ``sent_at``: wall time, seconds since 1970."""
        ...

    def on_ack(self, line_id: str, sent_at: float, seq: Seq) -> None:
        """The gateway promised the line; ``sent_at`` is the wall time of its first sending."""
        ...

    def on_error(self, line_id: str, code: str, reason: str) -> None:
        """The gateway took the line as a dead letter. Never told for `answers.AGAIN`."""
        ...


class LineSent(Struct, frozen=True, tag="sent", tag_field="stage"):
    """A line was sent for the first time."""

    id: str
    sent_at: float
    payload: str
    """The line as text; bytes that are no UTF-8 appear as ``\\xNN``."""


class LineAcked(Struct, frozen=True, tag="ack", tag_field="stage"):
    """A line was acknowledged."""

    id: str
    sent_at: float
    seq: Seq


class LineRefused(Struct, frozen=True, tag="error", tag_field="stage"):
    """A line became a dead letter."""

    id: str
    code: str
    reason: str


Entry = LineSent | LineAcked | LineRefused


class MemoryLedger:
    """Keeps everything it is told, for tests and short runs."""

    def __init__(self) -> None:
        self.sent: dict[str, Line] = {}
        self.acked: dict[str, Seq] = {}
        self.errors: dict[str, tuple[str, str]] = {}
        self.answered: list[str] = []
        """Ids of acknowledged and refused lines, in the order of their answers."""
        self.sent_at: dict[str, float] = {}
        """Wall time of each line's first sending, seconds since 1970."""

    def on_sent(self, line: Line, sent_at: float) -> None:
        """Keep the line."""
        self.sent[line.id] = line
        self.sent_at[line.id] = sent_at

    def on_ack(self, line_id: str, sent_at: float, seq: Seq) -> None:
        """Keep the sequence."""
        self.acked[line_id] = seq
        self.answered.append(line_id)

    def on_error(self, line_id: str, code: str, reason: str) -> None:
        """Keep code and reason."""
        self.errors[line_id] = (code, reason)
        self.answered.append(line_id)


class LedgerFile:
    """Appends each record as one JSON line, out of the process before `on_sent` returns.

    Several devices may share it. Writes are not synced: the records survive the death of the sender, not
    that of the machine. One short blocking write a record, fit for simulators only.

    Raises:
        LinesideError: the file cannot be opened or written.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("ab")
        except OSError as failed:
            raise LinesideError(f"cannot record to {path}: {failed.strerror}") from failed
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> LedgerFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further records raise ValueError."""
        self._file.close()

    def _append(self, entry: Entry) -> None:
        try:
            self._file.write(self._encoder.encode(entry) + b"\n")
            self._file.flush()
        except OSError as failed:
            raise LinesideError(f"cannot record to {self._path}: {failed.strerror}") from failed

    def on_sent(self, line: Line, sent_at: float) -> None:
        """Append a `LineSent`."""
        self._append(LineSent(line.id, sent_at, line.payload.decode("utf-8", "backslashreplace")))

    def on_ack(self, line_id: str, sent_at: float, seq: Seq) -> None:
        """Append a `LineAcked`."""
        self._append(LineAcked(line_id, sent_at, seq))

    def on_error(self, line_id: str, code: str, reason: str) -> None:
        """Append a `LineRefused`."""
        self._append(LineRefused(line_id, code, reason))


def read_entries(path: Path) -> list[Entry]:
    """Return a file's records in order; a last line that was cut short by its writer's death is left out.

    Raises:
        OSError: the file cannot be read.
        msgspec.DecodeError: a line before the last is no record.

    """
    whole, _, _cut_short = path.read_bytes().rpartition(b"\n")
    decoder = msgspec.json.Decoder(Entry)
    return [decoder.decode(line) for line in whole.splitlines()]
