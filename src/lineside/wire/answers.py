"""The answers a line device gets: ``OK <sequence>`` or ``ERR <code> <reason>``, one for each line it sent.

Pure. Encoding is total for what the gateway may say, and `parse` gives back exactly what was encoded.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from typing import Final

from msgspec import Struct

from lineside.model.batch import Receipts
from lineside.model.event import Receipt, Seq

UNAVAILABLE: Final = "unavailable"
"""The gateway could not store the line."""

BUSY: Final = "busy"
"""The gateway takes no further connection, and hangs up: it read no line."""

AGAIN: Final = frozenset({UNAVAILABLE, BUSY})
"""The codes that mean "not stored: send the line again". With any other the line is kept as a dead letter."""

REASON_LIMIT: Final = 200
"""Characters of a reason that are sent; what goes beyond ends in an ellipsis."""

ANSWER_LIMIT: Final = 1024
"""Bytes no answer exceeds, its line end included."""

_OK = re.compile(rb"OK (0|[1-9][0-9]{0,15})")
_ERR = re.compile(rb"ERR ([a-z][a-z0-9_-]{0,39})(?: (.*))?", re.DOTALL)
_CODE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SEQ_LIMIT = 2**53
_ENDINGS = [b"%03d" % ending for ending in range(1000)]


class Ok(Struct, frozen=True):
    """The line's event is committed and synced."""

    seq: Seq


class Err(Struct, frozen=True):
    """The line became no event: send it again if the code is one of `AGAIN`, else it is kept as a dead letter."""

    code: str
    reason: str

    @property
    def again(self) -> bool:
        """Nothing was stored; the sender still owns the line."""
        return self.code in AGAIN


def reason_line(text: str) -> str:
    """Return a reason as it may be sent: one line, no control characters, at most `REASON_LIMIT` characters.

    Each control character or run of white space becomes one space, and what UTF-8 cannot carry a ``?``.
    Applying it twice changes nothing.
    """
    visible = text[: 8 * REASON_LIMIT]
    if not visible.isprintable():
        # Seldom: to look at each character of thousands of answers would keep the other devices waiting.
        plain = visible.encode("utf-8", "replace").decode("utf-8")
        visible = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} else char for char in plain)
    line = " ".join(visible.split())
    return line if len(line) <= REASON_LIMIT else line[: REASON_LIMIT - 1].rstrip() + "…"


def encode_ok(seq: Seq) -> bytes:
    """Return the answer to a line whose event is stored under ``seq``, line end included."""
    return b"OK %d\n" % seq


def encode_oks(first: Seq, count: int) -> bytes:
    """Return ``count`` answers as `encode_ok` gives them, for the sequences from ``first`` on."""
    if count == 1:
        return b"OK %d\n" % first
    answers = []
    last = first + count - 1
    for thousand in range(first // 1000, last // 1000 + 1):
        if thousand == 0:
            answers += [b"OK %d\n" % seq for seq in range(first, min(last, 999) + 1)]
            continue
        # What a thousand of them have in common goes between the endings, which are always the same.
        common = b"OK %d" % thousand
        endings = _ENDINGS[max(first - 1000 * thousand, 0) : last - 1000 * thousand + 1]
        answers += [common, (b"\n" + common).join(endings), b"\n"]
    return b"".join(answers)


def encode_receipts(receipts: Receipts, counts: list[int]) -> list[bytes]:
    """Return the answers to a batch, in its order: joined for so many of its events each, ``counts`` in all."""
    answers = []
    if not receipts.repeats and not receipts.errors:
        first = receipts.first
        for count in counts:
            answers.append(b"OK %d\n" % first if count == 1 else encode_oks(first, count))
            first = Seq(first + count)
        return answers
    each = map(_encode_receipt, receipts)
    return [b"".join(islice(each, count)) for count in counts]


def _encode_receipt(receipt: Receipt) -> bytes:
    if receipt.error is None:
        return encode_ok(receipt.seq)
    code, _, reason = receipt.error.partition(": ")
    return encode_err(code, reason)


def encode_err(code: str, reason: str) -> bytes:
    """Return the answer to a line that became no event, line end included; the reason as `reason_line` makes it.

    Raises:
        ValueError: the code is not lower-case letters, digits, ``-`` and ``_``, beginning with a letter.

    """
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code!r} is no error code: lower-case letters, digits, '-' and '_' only")
    return f"ERR {code} {reason_line(reason)}".rstrip().encode() + b"\n"


def parse(line: bytes) -> Ok | Err:
    """Read one answer, with or without its line end (LF or CRLF).

    Raises:
        ValueError: it is no answer; the message is one line.

    """
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    if (ok := _OK.fullmatch(text)) and (seq := int(ok[1])) < _SEQ_LIMIT:
        return Ok(Seq(seq))
    if err := _ERR.fullmatch(text):
        return Err(err[1].decode("ascii"), reason_line((err[2] or b"").decode("utf-8", "replace")))
    raise ValueError(f"neither OK nor ERR: {text[:80]!r}")
