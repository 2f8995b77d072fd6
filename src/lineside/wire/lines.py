"""Lines as devices send them: each ends with LF or CRLF. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.jsonl import undecodable


class Frame(Struct, frozen=True):
    """One line of a stream, empty ones included."""

    number: int
    """Its place in the stream, from 1."""
    data: bytes
    """Without the LF at its end; of a line too long to be kept, the beginning."""
    size: int
    """Bytes it had, also where ``data`` holds fewer."""
    ended: bool
    """Its LF came; a gateway waits for it, and takes no line without."""


def split(chunks: Iterable[bytes], max_kept: int) -> Iterator[Frame]:
    """Yield the lines of a stream as they end, whatever its chunks are, and at last one that did not end."""
    number, size, kept = 1, 0, bytearray()
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            kept += part[: max_kept - len(kept)]
            yield Frame(number, bytes(kept), size + len(part), True)
            number, size = number + 1, 0
            kept.clear()
        kept += rest[: max_kept - len(kept)]
        size += len(rest)
    if size:
        yield Frame(number, bytes(kept), size, False)


def content(line: bytes) -> bytes:
    """Return what a line says, without the CR of its end.

    Nothing for one of white space: it is a device's sign of life, becomes no event and has no answer.
    """
    return line.removesuffix(b"\r") if line.strip() else b""


def contents(lines: list[bytes]) -> list[bytes]:
    """Return what lines say, as `content` does for each; those that say nothing are left out."""
    if any(map(bytes.isspace, lines)) or not all(lines):
        lines = [line for line in lines if line and not line.isspace()]
    if b"\r" in b"".join(lines):
        return [line.removesuffix(b"\r") for line in lines]
    return lines


def too_long(kept: bytes, size: int, max_line: int, sender: str | None) -> Event:
    """Return the event of a line of ``size`` bytes, more than ``max_line``: what was kept of it, and why."""
    reason = f"{size} bytes, at most {max_line} are taken"
    if size > len(kept):
        reason += f"; the first {len(kept)} are kept"
    return undecodable(kept, "too-long", reason, sender)
