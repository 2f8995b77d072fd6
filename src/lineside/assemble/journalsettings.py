"""``[journal]``: where events are kept, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lineside.assemble.bounds import Retention, Size
from lineside.assemble.table import Table
from lineside.assemble.values import (
    Duration,
    RelativePath,
)
from lineside.journal.capacity import Keeping


class JournalSettings(Table):
    """``[journal]``: where events are kept."""

    path: RelativePath = Field(
        default=Path("journal.db"), description="The journal's file. It is made when it is missing."
    )
    control: RelativePath | None = Field(
        default=None,
        description=(
            "The Unix socket on which a running gateway answers the command line; at most 107 bytes. "
            "Default: beside the journal, its path with `.sock` added."
        ),
    )
    dedupe_window: Duration = Field(
        default=7 * 86_400.0,
        gt=0,
        description="How long a sender's key is remembered: a repeat within it gets its first sequence again.",
    )
    retain: Retention = Field(
        default=30 * 86_400.0,
        gt=0,
        description=(
            "How long an event is kept that every route has delivered; what is owed, and dead letters, stay in any "
            'case. `"forever"` removes nothing for its age.'
        ),
    )
    max_size: Annotated[Size, Field(ge=16_000_000)] | None = Field(
        default=None,
        description=(
            "How large the journal may become, 16MB at least. Before that, delivered events are removed however "
            "young; when it is full of others, lines are answered `ERR unavailable`. Default: as large as the disk."
        ),
    )
    min_free: Size | None = Field(
        default=None,
        description=(
            "How much of the journal's disk is to stay free: with less, lines are answered `ERR unavailable`. "
            "Default: 500MB, or a twentieth of the disk where that is less."
        ),
    )

    @property
    def keeping(self) -> Keeping:
        """The journal's bounds."""
        return Keeping(self.retain, self.max_size, self.min_free)

    @property
    def control_path(self) -> Path:
        """The control socket's path."""
        return self.control or self.path.with_name(f"{self.path.name}.sock")
