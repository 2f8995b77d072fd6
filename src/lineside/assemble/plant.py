"""``[plant]``, and when it works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from lineside.assemble.table import Table
from lineside.assemble.values import Shape, TimeZone
from lineside.model.hours import Shift, parse_hours
from lineside.model.wording import key_path


class PlantSettings(Table):
    """``[plant]``: where the devices are."""

    time_zone: TimeZone | None = Field(
        default=None,
        description="The zone of the clocks on the plant's walls. Default: none; working hours need one.",
    )


def _hours(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('expected working hours such as "Mon-Fri 06:00-22:00, Sat 06:00-14:00"')
    return parse_hours(value)


WorkingHours = Annotated[
    tuple[Shift, ...],
    BeforeValidator(_hours),
    Shape('working hours such as `"Mon-Fri 06:00-22:00, Sat 06:00-14:00"`'),
]


def check_watched(plant: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between a plant and how its sources are watched for silence, with key paths."""
    for name, source in sources.items():
        if not isinstance(source, dict):
            continue
        for key in ("hours", "silence_of"):
            if key in source and "silence" not in source:
                yield f'{key_path("sources", name, key)}: nothing is watched; set silence = "10m" as well'
        if "hours" in source and "time_zone" not in plant:
            where = key_path("sources", name, "hours")
            yield f'plant.time_zone: is missing, and {where} needs it; set one such as "Asia/Kolkata"'
