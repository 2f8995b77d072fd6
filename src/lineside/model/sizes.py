"""Sizes in bytes as people write them. Pure."""

from __future__ import annotations

import re

_UNITS = {
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "TB": 1_000_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes of a text such as ``500MB`` or ``1.5 GiB``; ``0`` is nothing.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    match = _SIZE.fullmatch(text.strip())
    if match:
        return int(float(match[1]) * _UNITS[match[2]])
    if text.strip() == "0":
        return 0
    raise ValueError(f'"{text}" is no size such as "500MB", "10GB" or "2GiB"')


def size_text(size: int) -> str:
    """Return bytes for a person, three digits or so: ``1.23 GB``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _UNITS[unit]:
            return (
                f"{size / _UNITS[unit]:.3g} {unit}"
                if size < 1_000 * _UNITS[unit]
                else f"{size // _UNITS[unit]} {unit}"
            )
    return f"{size} bytes"


def exact_size_text(size: int) -> str:
    """Return a size as one would write it in the configuration: ``500000000`` as ``500MB``."""
    for unit, length in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)
