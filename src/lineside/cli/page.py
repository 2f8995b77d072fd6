"""The page of `lineside top`: an overview as a person reads it. Pure: what it shows depends on nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineside.model.sizes import size_text
from lineside.model.wording import plain
from lineside.operations.results import Overview

ALARMS = 5
"""The newest ones that are shown."""
_STATES = {"open": "green", "down": "bold red", "blocked": "bold red", "not asked yet": "dim"}


def page(overview: Overview | None, problem: str | None = None, *, keys: str = "") -> Group:
    """Return the page.

    Args:
        overview: the last that was heard; None where nothing was heard yet.
        problem: why there is no newer one.
        keys: what the reader may press.

    """
    parts: list[RenderableType] = []
    if problem is not None:
        since = "" if overview is None else f"; what follows is of {overview.at}"
        parts.append(Text(f"{plain(problem)}{since}", style="bold red"))
    if overview is not None:
        parts += _body(overview, keys)
    return Group(*parts)


def _body(overview: Overview, keys: str) -> Iterable[RenderableType]:
    journal = overview.journal
    head = Text(f"{overview.at[:19].replace('T', ' ')} UTC", style="dim", no_wrap=True, overflow="ellipsis")
    head.append(f"   up {_span(overview.uptime)}   ")
    head.append(f"{_rate(journal.rate)} lines/s", style="bold")
    head.append(f" ({_rate(journal.rate_minute)} over a minute)")
    letters = f"   dead letters {overview.dead_letters}"
    head.append(letters, style="yellow" if overview.dead_letters else "dim")
    if keys:
        head.append(f"   {keys}", style="dim")
    yield head
    size = f"{size_text(journal.size)} on the disk, {size_text(journal.unused)} of it unused"
    yield Text(f"journal: last event {journal.head}, {size}", no_wrap=True, overflow="ellipsis")
    yield _table(
        ("LINES/S", "A MINUTE", "BAD/S", "CONN", "DEVICES", "HEARD", "ON DISK p50", "p99", "SOURCE"),
        [
            (
                _rate(one.rate),
                _rate(one.rate_minute),
                _rate(one.undecodable_minute),
                str(one.connections),
                str(one.devices),
                _ago(one.silent_for),
                _time(one.commit_p50),
                _time(one.commit_p99),
                _source(one.id, one.silent),
            )
            for one in overview.sources
        ],
    )
    if overview.devices:
        yield _table(
            ("LINES/S", "LINES", "HEARD", "DEVICE", "SOURCE", "FROM"),
            [
                (
                    _rate(one.rate),
                    str(one.lines),
                    _ago(one.silent_for),
                    Text(plain(one.device), style="bold red" if one.silent else ""),
                    plain(one.source),
                    plain(one.peer or ""),
                )
                for one in overview.devices
            ],
            numbers=3,
        )
    yield _table(
        ("DOCS/S", "WAITING", "OLDEST", "DEAD", "ROUTE", "TARGET", "PROBLEM"),
        [
            (
                _rate(one.rate_minute),
                f"{one.waiting}{'+' if one.more else ''}",
                "" if one.oldest is None else _span(one.oldest),
                str(one.dead_letters),
                one.id,
                one.target,
                Text(plain(one.problem or ""), style="red"),
            )
            for one in overview.routes
        ],
        numbers=4,
    )
    yield _table(
        ("IN USE", "p50", "p99", "TARGET", "STATE", ""),
        [
            (
                f"{one.in_use} of {one.limit}",
                _time(one.p50),
                _time(one.p99),
                one.id,
                Text(one.state, style=_STATES[one.state]),
                plain(one.paced or one.problem or ""),
            )
            for one in overview.targets
        ],
        numbers=3,
    )
    if overview.alarms:
        yield Text("\nALARMS", style="bold")
        for alarm in overview.alarms[:ALARMS]:
            line = Text(f"{alarm.at[11:19]} ", style="dim", no_wrap=True, overflow="ellipsis")
            line.append(f"{alarm.level} {alarm.event} ", style="yellow" if alarm.level == "warn" else "bold red")
            line.append(plain(alarm.facts))
            yield line
        if len(overview.alarms) > ALARMS:
            yield Text(f"and {len(overview.alarms) - ALARMS} more in the last quarter of an hour", style="dim")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: int = 8) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place < numbers else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return Group(Text(""), table)


def _source(name: str, silent: Sequence[str]) -> Text:
    shown = Text(name)
    devices = [device for device in silent if device]
    if "" in silent:
        shown.append("  SILENT", style="bold red")
    if devices:
        shown.append(f"  {len(devices)} silent: {plain(', '.join(devices[:3]))}", style="bold red")
        shown.append(", ..." if len(devices) > 3 else "", style="bold red")
    return shown


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 or not rate else f"{rate:.1f}" if rate >= 0.1 else "<0.1"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else "now" if seconds < 2 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return (
        f"{seconds * 1000:.1f} ms"
        if seconds < 0.0995
        else f"{seconds:.2f} s"
        if seconds < 9.995
        else f"{seconds:.0f} s"
    )
