"""One file on its way from the spool to the journal: a batch of its rows at a time. Everything here blocks."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from math import inf
from pathlib import Path
from typing import Any

from lineside.edges.files import spool
from lineside.model.batch import Batch
from lineside.wire.rows.forms import FileForm, Surveyed
from lineside.wire.rows.reading import About, NoRows

ROWS = 4_096
"""Rows of a batch, at most; of no more than one piece of the file, so that large ones are fewer."""


def survey(form: FileForm, path: Path) -> Surveyed:
    """Look through a file where its format asks for that."""
    looks = form.survey()
    if looks is None:
        return Surveyed()
    try:
        for piece in spool.pieces(path):
            looks.feed(piece)
        return looks.end()
    except NoRows as wrong:
        return Surveyed(str(wrong))


class Batches:
    """The batches of a file, in order.

    Args:
        form: the source's.
        path: the file's place in the spool.
        about: what events say of it.
        sender: whose they are.
        skip: rows at its beginning that are events already.
        rows: how many count; None for all.

    """

    def __init__(
        self, form: FileForm, path: Path, about: About, sender: str, *, skip: int, rows: int | None
    ) -> None:
        self._reader = form.reader(about, sender)
        self._path = path
        self._done = skip
        self._rows = rows
        self._groups = self._grouped()

    def next(self) -> Batch | None:
        """Return the next batch; None at the end.

        Raises:
            NoRows: nothing of this file can be read.
            OSError: it cannot be read now.

        """
        group = next(self._groups, None)
        if group is None:
            return None
        batch = self._reader.batch(group, self._done + 1)
        self._done += len(group)
        return batch

    def close(self) -> None:
        """Let go of the file."""
        self._groups.close()

    def _grouped(self) -> Generator[list[Any], None, None]:
        skip = self._done
        left = inf if self._rows is None else max(0, self._rows - skip)
        for rows in self._found():
            skipped = min(skip, len(rows))
            skip -= skipped
            for start in range(skipped, len(rows), ROWS):
                group = rows[start : start + ROWS]
                if left < len(group):
                    # What is left is the trailer.
                    group = group[: int(left)]
                left -= len(group)
                if group:
                    yield group

    def _found(self) -> Iterator[list[Any]]:
        for piece in spool.pieces(self._path):
            yield self._reader.feed(piece)
        yield self._reader.end()
