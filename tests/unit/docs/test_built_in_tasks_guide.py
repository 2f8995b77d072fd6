"""The guide to the built-in tasks is held to what they are told."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from lineside.assemble.builtintasks import BUILT_IN, FROM_EVENTS
from lineside.edges.http.calltask import CallFailed, CallRefused
from lineside.edges.http.outgoing import CallUnreachable, CallUnsure

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "tasks-built-in.md"
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def section(name: str) -> str:
    """Return what the guide says of one task."""
    _, _, after = GUIDE.read_text().partition(f"\n## {name}\n")
    return after.partition("\n## ")[0]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_each_parameter_is_described_with_its_default(name: str) -> None:
    """Neither one too few nor one too many, and those that have no default are required."""
    told = {row[0]: row[1] for row in _ROW.findall(section(name))}
    fields = {
        field.encode_name: field
        for field in msgspec.structs.fields(BUILT_IN[name]().params)
        if field.name not in FROM_EVENTS or (name, field.name) == ("sql-poll", "device")
    }
    assert list(told) == list(fields)
    for key, field in fields.items():
        assert (told[key] == "required") == field.required, key
        number = re.fullmatch(r"`(\d+)`", told[key])
        if number:
            assert field.default == int(number[1]), key


def test_each_error_of_a_call_is_named() -> None:
    """So that `retry.on` can list it."""
    for kind in (CallFailed, CallRefused, CallUnreachable, CallUnsure):
        assert f"| `{kind.__name__}` |" in section("http-call")
