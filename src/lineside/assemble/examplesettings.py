"""``[[tests]]``: sample input and the documents it must become."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lineside.assemble.table import Table
from lineside.assemble.values import (
    Expectations,
    Payload,
)


class ExampleSettings(Table):
    """``[[tests]]``: sample input and the documents it must become; ``lineside test`` runs them."""

    name: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="What the test shows. Default: its place in the file."
    )
    source: str = Field(description="The source that gets the input.")
    input: Payload = Field(
        description=(
            "One line as a device sends it, without what frames it; or a table of fields that stands for it."
        )
    )
    expect: Expectations = Field(
        description='For each route by its name: the document, or `"skipped"` where its `when` is false.'
    )
