"""What parts one frame of a stream from the next: ``framing`` of a source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lineside.assemble.formats import named_table
from lineside.assemble.table import Table
from lineside.assemble.values import Shape


class LfFraming(Table):
    """``framing = "lf"``."""

    type: Literal["lf"] = Field(description="Each frame ends with LF. A CR before it does not count.")


class CrlfFraming(Table):
    """``framing = "crlf"``."""

    type: Literal["crlf"] = Field(description="Each frame ends with CR LF; either alone may stand inside.")


class CrFraming(Table):
    """``framing = "cr"``."""

    type: Literal["cr"] = Field(description="Each frame ends with CR. An LF after it does not count.")


class StxEtxFraming(Table):
    """``type = "stx-etx"``: frames between two marks."""

    type: Literal["stx-etx"] = Field(description="Each frame begins with STX and ends with ETX.")
    checksum: Literal["none", "lrc"] = Field(
        default="none",
        description=(
            "`lrc`: one byte follows ETX, the exclusive or of the bytes before it. A frame with another becomes a "
            "dead letter."
        ),
    )
    covers: Literal["data", "data-etx", "stx-etx"] = Field(
        default="data-etx",
        description="Which bytes the checksum is made of: what stands between the marks, that and ETX, or all.",
    )
    dle: bool = Field(
        default=False,
        description=(
            "Whether DLE stands before both marks, and a DLE between them is sent twice. The checksum is made "
            "without these."
        ),
    )
    answers: Literal["text", "ack-nak"] = Field(
        default="text",
        description=(
            "What devices get with `ack = true`: the usual answers, each between marks, or ACK for what is on disk "
            "(as a dead letter, too) and NAK for what is to be sent again: it was not stored, or its checksum is "
            "wrong."
        ),
    )


def _size(value: int) -> int:
    if value not in {1, 2, 4}:
        raise ValueError("a length has 1, 2 or 4 bytes")
    return value


class LengthFraming(Table):
    """``type = "length"``: frames that begin with their length."""

    type: Literal["length"] = Field(description="Each frame begins with its length.")
    size: Annotated[int, AfterValidator(_size), Shape("1, 2 or 4")] = Field(
        default=2, description="How many bytes the length has."
    )
    order: Literal["big", "little"] = Field(
        default="big", description="Whether its highest byte comes first (`big`) or last (`little`)."
    )
    inclusive: bool = Field(default=False, description="Whether the length counts its own bytes, too.")


FRAMINGS: dict[str, type[Table]] = {
    "lf": LfFraming,
    "crlf": CrlfFraming,
    "cr": CrFraming,
    "stx-etx": StxEtxFraming,
    "length": LengthFraming,
}
"""The framings, by ``type``."""
FramingSettings = LfFraming | CrlfFraming | CrFraming | StxEtxFraming | LengthFraming


def _framing(value: object) -> object:
    return named_table(value, "framing", FRAMINGS, {})


Framing = Annotated[
    Annotated[FramingSettings, Field(discriminator="type")], BeforeValidator(_framing), Shape("name or table")
]
"""``framing = "lf"``, or a table."""
