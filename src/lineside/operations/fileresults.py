"""What is told of partners' files."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class FileName(Struct, frozen=True):
    """A name under which a file was given."""

    name: str
    answered: Literal["no", "partly", "whole"]


class FileSummary(Struct, frozen=True):
    """A file that was taken."""

    id: int
    source: str
    sender: str
    names: list[FileName]
    """The last one first."""
    taken: str
    """ISO 8601 in UTC."""
    state: Literal["arriving", "waiting", "read", "refused"]
    size: int
    """Bytes."""
    digest: str
    """BLAKE2b-256 of its bytes, in hex."""
    rows: int
    """How many of its rows are events, or dead letters."""
    bad: int
    """How many of them could not be decoded."""
    reason: str | None = None
    """Why it was refused."""


class FileList(Struct, frozen=True):
    """Files, the newest first."""

    files: list[FileSummary]
    next_before: int | None
    """Pass as ``before`` to go on; None at the end."""
    waiting: int
    """Files of all sources whose rows are not all read."""
    waiting_bytes: int


class RowFate(Struct, frozen=True):
    """What became of one row."""

    row: int
    seq: int
    status: Literal["delivered", "skipped", "dead-letter", "discarded", "pending"]
    documents: list[str] = []
    error: str | None = None


class FileStory(Struct, frozen=True):
    """A file with what became of some of its rows."""

    file: FileSummary
    rows: list[RowFate]
    next_after: int | None
    """Pass as ``after`` to go on; None at the end."""
