"""``[sources.NAME]`` with ``type = "tasks"``: what tasks bring in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, FieldPath


class TaskSourceSettings(Table):
    """``[sources.NAME]`` with ``type = "tasks"``: documents that tasks append."""

    type: Literal["tasks"] = Field(description="The kind of source.")
    dedupe: FieldPath | None = Field(
        default=None,
        description=(
            "The field with a document's own key. One whose key is known is a repeat, and is not stored again, so "
            "that a run may begin anew. Default: every document is new, but for those that a task gives a key."
        ),
    )
    device: FieldPath | None = Field(
        default=None, description="The field that names the device. Default: none; the events have no device."
    )
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="After how long without an event there is an alarm, `source.silent`. Default: never.",
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None, description="When silence counts, in the time zone of `[plant]`. Default: always."
    )
