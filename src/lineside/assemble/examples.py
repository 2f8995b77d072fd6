"""Judges the ``[[tests]]`` of a configuration: sample input against the documents it must become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lineside.assemble.examplesettings import ExampleSettings
from lineside.assemble.rehearsal import Rehearsal, Rehearsed, Rendered
from lineside.assemble.settings import Settings
from lineside.model.outcome import Refused, Skipped
from lineside.model.wording import key_path

RECEIVED_NS = 1_735_689_600_000_000_000
"""When every example is received: 2025-01-01 00:00:00 UTC, so that ``event.received`` is always the same."""

Result = dict[str, Any] | Literal["skipped"]


class Verdict(Struct, frozen=True):
    """Whether one route does with one example what is expected."""

    test: str
    """The example's name, or its place in the file."""
    route: str
    problem: str | None
    """Why not, in a line; None where it does."""
    expected: Result
    got: Result | None
    """None where there is neither a document nor a skip: `problem` says why."""


def judge(settings: Settings) -> Iterator[Verdict]:
    """Yield a verdict on each expectation of each example, in the file's order."""
    for index, example in enumerate(settings.tests):
        name = example.name or key_path("tests", index)
        outcome = _rehearse(settings, example)
        for route, expected in example.expect.items():
            if isinstance(outcome, str):
                yield Verdict(name, route, outcome, expected, None)
            else:
                yield _compare(name, route, expected, outcome.routes[route])


def same(one: object, other: object) -> bool:
    """Tell whether two values are one JSON text but for the order of keys: 1, 1.0, true and "1" all differ."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _rehearse(settings: Settings, example: ExampleSettings) -> Rehearsed | str:
    try:
        lines = Rehearsal(settings, example.source, lambda: RECEIVED_NS).example(example.input)
    except ValueError as wrong:
        return str(wrong)
    if len(lines) != 1:
        return f"the input holds {len(lines) or 'no'} lines; a test has one"
    if lines[0].event.error is not None:
        return f"the input is undecodable, {lines[0].event.error}"
    return lines[0]


def _compare(test: str, route: str, expected: Result, rendered: Rendered) -> Verdict:
    match rendered:
        case Refused(reason=reason):
            return Verdict(test, route, f"refused: {reason}", expected, None)
        case Skipped():
            problem = None if expected == "skipped" else "skipped: its condition is false"
            return Verdict(test, route, problem, expected, "skipped")
        case _ if expected == "skipped":
            return Verdict(test, route, "not skipped: its condition is true", expected, rendered.document)
        case _:
            problem = None if same(expected, rendered.document) else "another document than expected"
            return Verdict(test, route, problem, expected, rendered.document)
