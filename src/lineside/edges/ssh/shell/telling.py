"""What operations answer, as lines for a person. What devices and sites said is escaped for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lineside.model.sizes import size_text
from lineside.model.wording import plain
from lineside.operations.results import (
    CommandAnswer,
    ConnectedDeviceList,
    ConsumerList,
    DeadLetterList,
    DeadLetterSummary,
    DeliveryStory,
    DeviceCommandList,
    Done,
    EventList,
    EventStory,
    EventSummary,
    FollowedEvent,
    Paused,
    Status,
)
from lineside.operations.taskresults import AskedRun, RunList, RunStory, RunSummary, TaskList

GAP = "  "
LEAST = 10
"""Columns that the last field has in any case."""
UNBOUND = 1_000_000
"""Columns where there is no terminal."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: int, width: int) -> list[str]:
    """Return a list; its first ``numbers`` columns are numbers, and the last one is cut to what room there is."""
    lines = [list(headings), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings) - 1)]
    room = max(LEAST, width - sum(widths) - len(GAP) * len(widths))
    told = []
    for line in lines:
        cells = [
            cell.rjust(size) if place < numbers else cell.ljust(size)
            for place, (cell, size) in enumerate(zip(line[:-1], widths, strict=True))
        ]
        last = line[-1] if len(line[-1]) <= room else line[-1][: room - 1] + "…"
        told.append(GAP.join([*cells, last]).rstrip())
    return told


def facts(pairs: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return names and values, one pair a line; pairs without a value are left out."""
    known = [(name, value) for name, value in pairs if value is not None]
    size = max(len(name) for name, _ in known)
    return [
        f"{name if place == 0 else '':{size}}{GAP}{plain(part)}"
        for name, value in known
        for place, part in enumerate(value.split("\n"))
    ]


def status(told: Status, width: int) -> list[str]:
    """Tell how the gateway does."""
    journal = told.journal
    lines = facts(
        [
            ("last event", str(told.head)),
            ("dead letters", str(told.dead_letters)),
            (
                "journal",
                None
                if journal is None
                else f"{size_text(journal.size)}; {size_text(journal.disk_free)} left on its disk",
            ),
            ("takes no lines", None if journal is None else journal.problem),
        ]
    )
    if told.sources:
        rows = [
            (
                str(one.received),
                str(one.undecodable),
                str(one.connections),
                one.id,
                one.address,
                one.last_seen or "",
                "; ".join(filter(None, ("paused" if one.paused else "", one.problem, _silent(one.silent)))),
            )
            for one in told.sources
        ]
        headings = ("RECEIVED", "UNDECODABLE", "CONNECTIONS", "SOURCE", "ADDRESS", "LAST SEEN", "PROBLEM")
        lines += ["", *table(headings, rows, 3, width)]
    if told.routes:
        routes = [
            (
                str(one.delivered),
                str(one.refused),
                str(one.pending),
                one.id,
                one.target,
                "; ".join(filter(None, ("paused" if one.paused else "", one.problem, one.paced, one.warning))),
            )
            for one in told.routes
        ]
        lines += ["", *table(("DELIVERED", "REFUSED", "PENDING", "ROUTE", "TARGET", "PROBLEM"), routes, 3, width)]
    return lines


def events(told: EventList, width: int) -> list[str]:
    """Tell a list of events."""
    rows = [(str(one.seq), one.received, one.source, one.device or "", _body(one)) for one in told.events]
    return table(("SEQUENCE", "RECEIVED", "SOURCE", "DEVICE", "EVENT"), rows, 1, width) if rows else ["no events"]


def event(told: EventStory, _: int) -> list[str]:
    """Tell one event's story."""
    one = told.event
    return facts(
        [
            ("event", told.identity),
            ("source", one.source),
            ("device", one.device),
            ("key", one.key),
            ("received", one.received),
            ("error", one.error),
            ("raw", told.raw),
            ("body", None if one.error else one.body),
            *((delivery.route or "decoding", _outcome(delivery)) for delivery in told.deliveries),
        ]
    )


def followed(told: FollowedEvent, width: int) -> list[str]:
    """Tell an event that is followed, in one line."""
    one = told.event
    parts = [f"{one.seq:>10}", one.received, one.source, *([] if one.device is None else [one.device])]
    parts += [] if told.again else [_body(one)]
    for delivery in told.deliveries:
        if delivery.state in _TOLD and (told.again or delivery.state != "pending"):
            parts.append(f"→ {delivery.route or 'decoding'}: {_outcome(delivery)}")
    line = plain(" ".join(parts))
    return [line if len(line) <= width else line[: width - 1] + "…"]


_TOLD = {"delivered", "dead", "retrying", "discarded"}


def dead_letters(told: DeadLetterList, width: int) -> list[str]:
    """Tell a list of dead letters."""
    rows = [
        (
            str(one.id),
            str(one.seq),
            one.route or "-",
            one.code,
            f"{one.reason} (being retried)" if one.retrying else one.reason,
        )
        for one in told.dead_letters
    ]
    listed = table(("ID", "SEQUENCE", "ROUTE", "CODE", "REASON"), rows, 2, width) if rows else []
    return [*listed, f"{len(rows)} of {told.total} dead letters"]


def dead_letter(told: DeadLetterSummary, _: int) -> list[str]:
    """Tell one dead letter."""
    return facts(
        [
            ("dead letter", str(told.id)),
            ("event", str(told.seq)),
            ("source", told.source),
            ("route", told.route or "- (could not be decoded)"),
            ("reason", f"{told.code}: {told.reason}"),
            ("attempts", str(told.attempts)),
            ("at", told.at),
            ("body", told.body),
            ("reply", told.reply),
        ]
    )


def done(told: Done, what: str) -> list[str]:
    """Tell what became of dead letters."""
    return [f"{told.done} {what}", *(plain(f"left as it is: {why}") for why in told.skipped)]


def paused(told: Paused, _: int) -> list[str]:
    """Tell what became of a pause."""
    since = "works again" if told.since is None else f"is paused since {told.since}"
    return [plain(f"{told.kind} {told.id} {since}")]


def consumers(told: ConsumerList, width: int) -> list[str]:
    """Tell where each route stands."""
    rows = [
        (str(one.floor), str(one.head), str(one.gaps), str(one.backlogs), str(one.dead_letters), one.id)
        for one in told.consumers
    ]
    headings = ("SETTLED TO", "HEAD", "GAPS", "BACKLOGS", "DEAD", "ROUTE")
    return table(headings, rows, 5, width) if rows else ["no route has read anything yet"]


def devices(told: ConnectedDeviceList, width: int) -> list[str]:
    """Tell which devices are connected."""
    rows = [
        (str(one.waiting), "yes" if one.commands else "no", one.device, one.source, one.peer)
        for one in told.devices
    ]
    listed = table(("WAITING", "COMMANDS", "DEVICE", "SOURCE", "FROM"), rows, 1, width) if rows else []
    return [*listed, f"{len(rows)} of {told.total} devices"]


def commands(told: DeviceCommandList, width: int) -> list[str]:
    """Tell commands to devices."""
    rows = [
        (one.at[:19].replace("T", " "), one.id, one.device, one.by, one.state, one.reason or "")
        for one in told.commands
    ]
    return table(("GIVEN", "ID", "DEVICE", "BY", "STATE", "WHY"), rows, 0, width) if rows else ["no commands"]


def answer(told: CommandAnswer, _: int) -> list[str]:
    """Tell a device's answer."""
    return [plain(f"{told.state}: {told.id}" if told.reply is None else told.reply)]


def tasks(told: TaskList, width: int) -> list[str]:
    """Tell the tasks."""
    rows = [(one.name, "paused" if one.paused else "", one.when, one.runs) for one in told.tasks]
    return table(("TASK", "", "WHEN", "RUNS"), rows, 0, width) if rows else ["no tasks"]


def runs(told: RunList, width: int) -> list[str]:
    """Tell a list of runs."""
    rows = [(str(one.run), one.state, one.task, one.asked, one.error or one.message or "") for one in told.runs]
    return table(("RUN", "STATE", "TASK", "ASKED", "WORD"), rows, 1, width) if rows else ["no runs"]


def run(told: RunStory, _: int) -> list[str]:
    """Tell one run."""
    one = told.summary
    return facts(
        [
            ("run", str(one.run)),
            ("task", one.task),
            ("state", one.state),
            ("asked", f"{one.asked}, by {one.caller}"),
            ("started", one.started),
            ("ended", one.ended),
            ("error", one.error),
            ("result", told.result),
            *((line.at, line.text) for line in told.log),
        ]
    )


def run_line(told: RunSummary, _: int) -> list[str]:
    """Tell how a run is, in one line."""
    word = told.error or told.message
    return [plain(f"run {told.run} of {told.task}: {told.state}{'' if word is None else f', {word}'}")]


def asked(told: AskedRun, _: int) -> list[str]:
    """Tell what became of the wish for a run."""
    return [f"run {told.run}: {told.outcome}"]


def _silent(names: Sequence[str]) -> str:
    return "; ".join(_silences(names))


def _silences(names: Sequence[str]) -> Iterator[str]:
    if "" in names:
        yield "silent"
    found = [name for name in names if name]
    if found:
        yield f"silent devices: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"


def _outcome(delivery: DeliveryStory) -> str:
    words = [delivery.state if delivery.name is None else f"{delivery.state} as {delivery.name}"]
    words += [f"attempt {delivery.attempts}"] if delivery.attempts > 1 else []
    words += [] if delivery.reason is None else [delivery.reason]
    words += [] if delivery.dead_letter is None else [f"dead letter {delivery.dead_letter}"]
    return ", ".join(words)


def _body(one: EventSummary) -> str:
    return one.body if one.error is None else f"{one.error}: {one.body}"
