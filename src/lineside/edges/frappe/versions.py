"""A document as it was after one change: what a webhook and a poll of that change have in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

NEEDED = ("name", "modified", "docstatus")
"""The fields that name a version."""
DAY = 86_400.0
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


class Version(Struct, frozen=True):
    """One document after one change."""

    name: str | int
    modified: str
    """``2026-03-04 09:12:07.000123``, in the site's time zone; always so long, so that texts are in order."""
    docstatus: int

    def key(self, doctype: str) -> str:
        """Return what is the same for the webhook and the poll of this change, and for no other (contract, 5)."""
        return f"{doctype}/{self.name}@{self.modified}/{self.docstatus}"


def version_of(document: Mapping[str, object], doctype: str) -> Version:
    """Return the version that a webhook's body or a list's row shows.

    Raises:
        ValueError: it does not tell, or is of another DocType; the text quotes no values but the DocType.

    """
    lacking = [field for field in NEEDED if document.get(field) in (None, "")]
    if lacking:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    told = document.get("doctype", doctype)
    if told != doctype:
        raise ValueError(f"it is about the DocType {str(told)[:140]}, and the source is for {doctype}")
    name, docstatus = document["name"], document["docstatus"]
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("its name is neither text nor a whole number")
    if isinstance(docstatus, bool) or str(docstatus) not in {"0", "1", "2"}:
        raise ValueError("its docstatus is none of 0, 1 and 2")
    return Version(name, moment_text(document["modified"]), int(str(docstatus)))


def moment_text(value: object) -> str:
    """Return a moment as Frappe writes it, with all six digits, which it leaves away where they are zero.

    Raises:
        ValueError: it is none, or names a zone: the site's times have none.

    """
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("its modified is no moment such as 2026-03-04 09:12:07.000123")
    return _text(datetime.fromisoformat(value))


def settled(last: str, now: float, zone: ZoneInfo, overlap: float) -> str:
    """Return the moment up to which nothing new is to be expected: ``overlap`` before ``last``, or before now.

    Rows become visible in the order of their commits, not of their stamps (contract, section 10). A stamp of the
    future, from a clock that was wrong, must not hide what comes until then. When clocks are put back, a new row
    has a stamp that was there before: for the day before that, as much is given away.

    Args:
        last: the newest stamp that was seen.
        now: seconds since 1970.
        zone: in which the stamps are.
        overlap: seconds.

    """
    naive = datetime.fromisoformat(last)
    # Of an hour that is there twice the first one: it is the earlier.
    reached = min(naive.replace(tzinfo=zone).timestamp(), now)
    begin = max(reached - overlap, 0.0)
    offsets = [datetime.fromtimestamp(at, zone).utcoffset() or timedelta() for at in (begin, begin + DAY)]
    return _text(datetime.fromtimestamp(begin, UTC).replace(tzinfo=None) + min(offsets))


def _text(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")
