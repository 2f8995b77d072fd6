"""The tasks that come with the gateway: what each is told, and what it is made of.

Each is imported when the configuration first names it, and not before.
"""

# ruff: noqa: PLC0415 (see above)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.assemble.tasksettings import TaskSettings
from lineside.assemble.values import Authorities, SecretText, Surroundings, seconds_of
from lineside.delivery.gate import Gate
from lineside.journal.retention import Retention
from lineside.model.wording import did_you_mean
from lineside.tasks.sources import TaskSources
from lineside.tasks.upkeep import BackupParams, JournalBackup, JournalRetention, RetentionParams

if TYPE_CHECKING:
    from lineside.assemble.edges import TargetPart
    from lineside.edges.sql.pool import Pool

FROM_EVENTS = frozenset({"event", "seq", "source", "device"})
"""Parameters that an event gives to the run that it starts."""


class WrongBuiltIn(Exception):
    """A built-in task cannot be as it is configured; ``problems`` holds each reason, with its key in the task."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Around(Struct, frozen=True):
    """What a gateway has for built-in tasks."""

    reactor: Any
    store: JournalPart
    sources: TaskSources
    targets: Mapping[str, TargetPart]
    gates: Mapping[str, Gate]
    retention: Callable[[], Retention]
    """Called when a run begins."""
    random: Random


class Asked(Struct, frozen=True):
    """One task as it is configured."""

    settings: Settings
    params: Any
    """Of the built-in's own type."""
    target: str | None
    """The site that it asks."""
    environ: Mapping[str, str] | None
    """Where ``{ env = "NAME" }`` looks; None where no secret is looked up, for what runs nothing."""

    @property
    def directory(self) -> Path:
        """Where relative paths start."""
        return self.settings.path.parent


class BuiltIn(Struct, frozen=True):
    """One kind of task."""

    about: str
    """What it does, in a line."""
    params: type[Struct]
    """What it is told."""
    make: Callable[[Asked, Around], Callable[..., Any]]
    """Returns the function, of what `check` found nothing wrong with."""
    check: Callable[[Asked], Iterator[str]]
    """Yields what is wrong, with the key."""
    thread: bool = False
    """It blocks."""
    durations: frozenset[str] = frozenset()
    """Parameters that may be written as ``"5m"``."""
    free: frozenset[str] = frozenset()
    """Parameters that whoever asks for a run may give; all others are the configuration's alone."""


class Prepared:
    """A built-in task as one ``[tasks.NAME]`` wants it.

    Args:
        kind: which.
        table: the task's.
        settings: of the whole gateway.
        target: the site that it asks, if one.
        environ: see `Asked`.

    Raises:
        WrongBuiltIn: with everything that is wrong.

    """

    def __init__(
        self,
        kind: BuiltIn,
        table: TaskSettings,
        settings: Settings,
        target: str | None,
        environ: Mapping[str, str] | None,
    ) -> None:
        self.kind = kind
        self.thread = kind.thread
        problems: list[str] = []
        self.params: dict[str, Any] = dict(table.params)
        """The configured ones, durations in seconds."""
        for name in kind.durations & self.params.keys():
            try:
                self.params[name] = seconds_of(self.params[name])
            except ValueError as wrong:
                problems.append(f"params.{name}: {wrong}")
        if problems:
            raise WrongBuiltIn(problems)
        try:
            typed = msgspec.convert(self.params, kind.params, strict=False)
        except msgspec.ValidationError as wrong:
            raise WrongBuiltIn([_at(str(wrong))]) from wrong
        self._asked = Asked(settings, typed, target, environ)
        problems = list(kind.check(self._asked))
        if problems:
            raise WrongBuiltIn(problems)

    def accepts(self, params: Mapping[str, Any]) -> Any:
        """Return the parameters of one run as the function wants them: what it was given, and what is configured.

        What is configured need not be stored with a run, so that a change holds for those that wait too.

        Raises:
            ValueError: they are wrong, or not for whoever asks for a run to give.

        """
        fields = {field.name for field in msgspec.structs.fields(self.kind.params)}
        asked = {name: value for name, value in params.items() if name in fields or name not in FROM_EVENTS}
        for name, value in asked.items():
            if name in self.kind.free | FROM_EVENTS or (name in self.params and value == self.params[name]):
                continue
            free = ", ".join(sorted(self.kind.free)) or "nothing"
            raise ValueError(f"{name}: stands in the configuration; a run is given {free}")
        return msgspec.convert({**self.params, **asked}, self.kind.params, strict=False)

    def function(self, around: Around) -> Callable[..., Any]:
        """Return what is called for each run."""
        return self.kind.make(self._asked, around)


def prepared(
    table: TaskSettings, settings: Settings, target: str | None, environ: Mapping[str, str] | None = None
) -> Prepared:
    """Return the built-in task that ``run`` of a task names; the rest is as of `Prepared`.

    Raises:
        WrongBuiltIn: with everything that is wrong.

    """
    if table.run not in BUILT_IN:
        raise WrongBuiltIn([f'run: there is no built-in task "{table.run}"{did_you_mean(table.run, BUILT_IN)}'])
    return Prepared(BUILT_IN[table.run](), table, settings, target, environ)


def _erp_poll() -> BuiltIn:
    from lineside.edges.frappe.polltask import ErpPollParams

    def check(asked: Asked) -> Iterator[str]:
        yield from _source(asked)
        if asked.target is None:
            yield "target: is missing; there is not just one target of the type frappe"

    def make(asked: Asked, around: Around) -> Callable[..., Any]:
        from lineside.assemble.frappesites import FrappePart
        from lineside.edges.frappe.polltask import ErpPoll

        assert asked.target is not None
        part = around.targets[asked.target]
        assert isinstance(part, FrappePart)
        gate = around.gates[asked.target]
        return ErpPoll(part.client, gate, around.sources, around.store.database, around.random).run

    return BuiltIn(
        "documents that were changed at the site become events",
        ErpPollParams,
        make,
        check,
        durations=frozenset({"overlap"}),
    )


def _sql_poll() -> BuiltIn:
    from lineside.edges.sql.polltask import SqlPollParams

    def check(asked: Asked) -> Iterator[str]:
        yield from _source(asked)
        databases = asked.settings.databases
        if asked.params.database not in databases:
            have = did_you_mean(asked.params.database, databases) if databases else "; add a table [databases.NAME]"
            yield f'params.database: unknown database "{asked.params.database}"{have}'

    def pool(around: Around, settings: Settings, name: str) -> Pool:
        from lineside.assemble.databases import dialect_of
        from lineside.edges.sql.pool import Pool

        dialect = dialect_of(settings.databases[name], name)
        return Pool(around.reactor, dialect, f"tasks of {name}", size=1, use="read")

    def make(asked: Asked, around: Around) -> Callable[..., Any]:
        from lineside.edges.sql.polltask import SqlPoll

        pools = {name: partial(pool, around, asked.settings, name) for name in asked.settings.databases}
        return SqlPoll(pools, around.sources, around.store.database, around.random).run

    return BuiltIn(
        "new rows of a table become events",
        SqlPollParams,
        make,
        check,
        durations=frozenset({"overlap", "within"}),
    )


def _http_call() -> BuiltIn:
    from lineside.edges.http.calltask import Form, HttpCall, HttpCallParams
    from lineside.edges.http.outgoing import Outgoing

    def read(asked: Asked, problems: list[str]) -> tuple[dict[str, str], Any]:
        """Return the secrets and the authorities, and note what is wrong with them."""
        params: HttpCallParams = asked.params
        reading = Surroundings(asked.directory, asked.environ or {}, asked.environ is not None, [])
        secrets = {
            name: _secret(told, f"params.secrets.{name}", reading, problems)
            for name, told in params.secrets.items()
        }
        return secrets, None if params.ca is None else _read(Authorities, params.ca, "params.ca", reading, problems)

    def check(asked: Asked) -> Iterator[str]:
        problems: list[str] = []
        try:
            Form(asked.params)
        except ValueError as wrong:
            problems += [f"params.{line}" for line in str(wrong).split("\n")]
        read(asked, problems)
        yield from problems

    def make(asked: Asked, around: Around) -> Callable[..., Any]:
        secrets, authorities = read(asked, [])
        journal = around.store.journal
        outgoing = Outgoing(around.reactor, authorities)
        return HttpCall(Form(asked.params), secrets, outgoing, lambda: journal.epoch).run

    return BuiltIn(
        "a request to another server",
        HttpCallParams,
        make,
        check,
        durations=frozenset({"within"}),
        free=frozenset({"values"}),
    )


def _journal_retention() -> BuiltIn:
    return BuiltIn(
        "what is due and settled leaves the journal now",
        RetentionParams,
        lambda _, around: JournalRetention(around.retention).run,
        lambda _: iter(()),
    )


def _journal_backup() -> BuiltIn:
    def check(asked: Asked) -> Iterator[str]:
        folder = asked.directory / asked.params.folder
        if folder.exists() and not folder.is_dir():
            yield f"params.folder: {folder} is a file"

    def make(asked: Asked, around: Around) -> Callable[..., Any]:
        params: BackupParams = asked.params
        return JournalBackup(asked.settings.journal.path, asked.directory / params.folder, params.keep).run

    return BuiltIn("a copy of the journal, dated and read back", BackupParams, make, check, thread=True)


BUILT_IN: Mapping[str, Callable[[], BuiltIn]] = {
    "erp-poll": _erp_poll,
    "sql-poll": _sql_poll,
    "http-call": _http_call,
    "journal-retention": _journal_retention,
    "journal-backup": _journal_backup,
}
"""By the names under which ``run`` of a task knows them."""


def _source(asked: Asked) -> Iterator[str]:
    filled, into = asked.settings.filled, asked.params.into
    if into not in filled:
        other = into in asked.settings.sources
        why = f"the source {into} is of another type" if other else f'there is no source "{into}"'
        have = "" if other else did_you_mean(into, filled)
        yield f"params.into: {why}{have or '; it has to be one with type = ' + chr(34) + 'tasks' + chr(34)}"


def _secret(told: dict[str, str], path: str, reading: Surroundings, problems: list[str]) -> str:
    where = {key: value for key, value in told.items() if key != "before"}
    secret = _read(SecretText, where, path, reading, problems)
    return "" if secret is None else told.get("before", "") + secret.reveal()


def _read(kind: Any, value: object, path: str, reading: Surroundings, problems: list[str]) -> Any:
    """Return a value as the configuration has it elsewhere; where it is wrong, note the reason and return None."""
    try:
        return TypeAdapter(kind, config=_ANY).validate_python(value, context=reading)
    except ValidationError as wrong:
        problems += [f"{path}: {each['msg'].removeprefix('Value error, ')}" for each in wrong.errors()]
        return None


_ANY = ConfigDict(arbitrary_types_allowed=True)


def _at(told: str) -> str:
    """Return what msgspec says of parameters, with the key first."""
    what, _, place = told.partition(" - at `$.")
    if place:
        return f"params.{place.removesuffix('`')}: {what}"
    return f"params: {what}"
