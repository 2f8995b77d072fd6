"""How a device frames what it sends, and what it hears. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from lineside.model.event import NO_SEQ
from lineside.wire.answers import ANSWER_LIMIT, UNAVAILABLE, Err, Ok, parse
from lineside.wire.commands import LONGEST, Reply, encode_reply, parse_command
from lineside.wire.framing import Delimited, Fault, Framing
from lineside.wire.stxetx import ACK, NAK

HEARD_LIMIT = LONGEST + 128
"""Bytes of what the gateway says that a device hears: no command exceeds them, nor an answer."""
LINES = partial(Delimited, b"\n", HEARD_LIMIT, HEARD_LIMIT)


class Speech(Struct, frozen=True):
    """How one device speaks."""

    framing: Callable[[], Framing] = LINES
    """Makes the framing of one connection; it must let `HEARD_LIMIT` bytes through."""
    ack_nak: bool = False
    """Answers are single bytes: ACK, without a sequence, or NAK."""
    answered: bool = True
    """False where the gateway answers nothing."""

    def hearing(self) -> Hearing:
        """Return what finds the answers in one connection."""
        return Hearing(None if self.ack_nak else self.framing())


AS_LINES = Speech()
"""Lines, each with its answer."""


class Heard(Struct, frozen=True):
    """A command to the device."""

    id: str
    payload: bytes

    @property
    def reply(self) -> bytes | None:
        """What a simulated device says to it, not framed yet: its payload once more.

        ``fail`` is an error, and ``ignore`` has no reply.
        """
        text = self.payload.decode(errors="backslashreplace")
        if text == "ignore":
            return None
        failed = text == "fail"
        return encode_reply(Reply(self.id, "as it was told" if failed else text, failed))


def command_in(frame: bytes) -> Heard | None:
    """Return the command that a frame is, if it is one."""
    found = parse_command(frame)
    return None if found is None else Heard(*found)


class Hearing:
    """Finds the answers, and the commands, in one connection's bytes.

    Args:
        framing: what frames them; None for ACK and NAK.

    """

    def __init__(self, framing: Framing | None) -> None:
        self._framing = framing

    def feed(self, data: bytes) -> Iterator[Ok | Err | Heard]:
        """Yield the answers and commands that ended in a chunk.

        Raises:
            ValueError: what came is no answer; the message is one line.

        """
        if self._framing is None:
            yield from map(_of_byte, data)
            return
        for found in self._framing.feed(data):
            if isinstance(found, Fault):
                raise ValueError(found.error)
            yield command_in(found) or parse(found)
        if self._framing.pending > ANSWER_LIMIT and not self._framing.beginning.startswith(b"CMD "):
            raise ValueError(f"an answer longer than {ANSWER_LIMIT} bytes")


def _of_byte(byte: int) -> Ok | Err:
    if byte == ACK[0]:
        return Ok(NO_SEQ)
    if byte == NAK[0]:
        return Err(UNAVAILABLE, "NAK")
    raise ValueError(f"neither ACK nor NAK: {byte:#04x}")
