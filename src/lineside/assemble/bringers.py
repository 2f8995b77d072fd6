"""The sources that bring whole files by themselves: from a folder here, or from a partner's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lineside.assemble.files import FileSource
from lineside.model.ports import Part
from lineside.operations.results import SourceStatus


class Bringer(Protocol):
    """One such source."""

    files: FileSource
    """What takes its files, and answers them."""

    @property
    def part(self) -> Part:
        """What looks for them."""
        ...

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        ...

    def announce(self) -> None:
        """Say in the log that it works, and where."""
        ...


class Bringers:
    """All of a gateway."""

    def __init__(self, sources: Sequence[Bringer]) -> None:
        self._sources = sources

    @property
    def stages(self) -> list[list[Part]]:
        """What has to be there before any file is brought: what answers, then what takes."""
        return [
            [source.files.answers for source in self._sources],
            [source.files.intake for source in self._sources],
        ]

    @property
    def parts(self) -> list[Part]:
        """What brings files."""
        return [source.part for source in self._sources]

    @property
    def status(self) -> list[SourceStatus]:
        """What is told of them."""
        return [source.status for source in self._sources]

    def announce(self) -> None:
        """Say in the log that they work, and where."""
        for source in self._sources:
            source.announce()
