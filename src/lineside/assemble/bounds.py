"""How much and how long, as the configuration says it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BeforeValidator

from lineside.assemble.values import Shape, seconds_of
from lineside.model.sizes import parse_size

FOREVER = "forever"


def _size(value: object) -> int:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError('expected a size such as "500MB", or bytes')
    return value


def _retention(value: object) -> float:
    return math.inf if value == FOREVER else seconds_of(value)


Size = Annotated[int, BeforeValidator(_size), Shape("size")]
"""Bytes."""
Retention = Annotated[float, BeforeValidator(_retention), Shape(f'duration or `"{FOREVER}"`')]
"""Seconds; infinity for ever."""
