"""What is wrong where a database does not do what it was asked. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from lineside.model.errors import LinesideError

Kind = Literal["down", "denied", "busy", "duplicate", "constraint", "value", "statement", "overdue", "other"]
"""``down``: nobody answers, the connection is lost, or the server has no room. ``denied``: who we are, or what we
may. ``busy``: undone for another transaction's sake, and free to be tried again. ``duplicate``: a unique index has
the value already. ``constraint``: another rule of the table. ``value``: a column cannot hold a value.
``statement``: the statement itself, as where a table is missing. ``overdue``: it took too long, and was ended."""


class Trouble(Struct, frozen=True):
    """Why a database did not do it."""

    kind: Kind
    reason: str
    """One line for a person. May quote a value, so it never goes into the log but for ``down`` and ``denied``."""
    code: str = ""
    """The database's own: an SQLSTATE, or a number."""
    connected: bool = True
    """There was a connection when it happened; without one nothing was asked."""


class DatabaseFailed(LinesideError):
    """A database did not do what it was asked; nothing of the transaction is stored, but of a `CommitUnknown`."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


class CommitUnknown(DatabaseFailed):
    """The connection was lost while a transaction was committed: it may be stored or not."""


class DriverMissing(LinesideError):
    """The Python package that speaks to a kind of database is not installed."""


def one_line(text: str, longest: int = 500) -> str:
    """Return a database's words as one line."""
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[:longest]}…"
