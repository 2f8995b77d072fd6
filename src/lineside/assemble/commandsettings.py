"""Commands to the devices of a source: what `lineside.toml` can say of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from lineside.assemble.table import Table
from lineside.assemble.values import Duration, Shape


class CommandSettings(Table):
    """``commands`` of a source of lines: its devices can be sent commands."""

    expires: Duration = Field(
        default=10.0,
        gt=0,
        le=600,
        description=(
            "How long a command may wait for its turn and its answer, where the one who gives it does not say; ten "
            "minutes at most."
        ),
    )
    queue: int = Field(
        default=16,
        ge=0,
        le=1_000,
        description="Commands to one device that may wait while another is under way; a further one is refused.",
    )


def _switched(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    if value is not None and not isinstance(value, dict):
        raise ValueError('expected true, false, or a table such as { expires = "10s" }')
    return value


Commands = Annotated[CommandSettings | None, BeforeValidator(_switched), Shape("`true`, `false` or a table")]
"""``commands = true``, or a table."""
