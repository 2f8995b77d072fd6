"""Reads `lineside.toml`: every error at once, each with its key path."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace
from pydantic import ValidationError

from lineside.assemble.askingtable import AskingTable
from lineside.assemble.complaints import complaints, kind, not_listed
from lineside.assemble.crosschecks import Tables, cross_check, unfit_lists, warn
from lineside.assemble.dnssettings import DnsSettings, check_dns
from lineside.assemble.dropboxsettings import check_drop_boxes
from lineside.assemble.erpsettings import ErpCallSettings, ErpSettings, check_calls, check_erp
from lineside.assemble.examplesettings import ExampleSettings
from lineside.assemble.formats import FORMATS, JsonFormat
from lineside.assemble.frappesettings import check_frappe_sources
from lineside.assemble.httpsettings import HttpSettings, check_posts
from lineside.assemble.journalsettings import JournalSettings
from lineside.assemble.limitsettings import LimitSettings
from lineside.assemble.livesettings import ChannelSettings, LiveSettings, check_channels
from lineside.assemble.loginsettings import check_login
from lineside.assemble.plant import PlantSettings, check_watched
from lineside.assemble.routesettings import RouteSettings
from lineside.assemble.settings import SOURCES, TARGETS, Settings
from lineside.assemble.sqlsettings import DatabaseSettings, QuerySettings, check_databases
from lineside.assemble.sshsettings import SshSettings, check_ssh
from lineside.assemble.table import Table
from lineside.assemble.tasksettings import CodeSettings, TaskSettings, check_tasks
from lineside.assemble.tlssettings import TlsSettings, check_tls
from lineside.assemble.values import Surroundings
from lineside.assemble.zones import zone_problems
from lineside.delivery.templates import TemplateProblem, compile_condition, compile_template
from lineside.model.errors import ConfigurationError
from lineside.model.wording import did_you_mean, key_path
from lineside.operations.control import LONGEST_PATH

T = TypeVar("T", bound=Table)

_TABLES = (
    "journal",
    "plant",
    "limits",
    "databases",
    "targets",
    "formats",
    "sources",
    "routes",
    "queries",
    "erp",
    "calls",
    "tls",
    "dns",
    "http",
    "ssh",
    "live",
    "channels",
    "code",
    "tasks",
    "tests",
)
_NAME = re.compile("[a-z0-9][a-z0-9_-]*")
_SYNTAX = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|(?P<end>end of document))\)")


def load(path: Path, environ: Mapping[str, str], *, secrets: bool = True) -> Settings:
    """Read a configuration and check all of it.

    Args:
        path: the file; relative paths inside start at its directory.
        environ: where ``{ env = "NAME" }`` looks.
        secrets: false to look up no secrets at all, for what talks to no target; they are then empty.

    Raises:
        ConfigurationError: with every error, one line each: ``lineside.toml: sources.gate.lisen: unknown key``.

    """
    reading = _Reading(path, environ, secrets)
    try:
        content = _content(path)
        settings = reading.read(_parse(content))
    except _Unreadable as wrong:
        raise ConfigurationError([f"{path}: {_visible(str(wrong))}"]) from wrong.__cause__
    if reading.problems:
        raise ConfigurationError([f"{path}: {_visible(problem)}" for problem in dict.fromkeys(reading.problems)])
    assert settings is not None
    return replace(settings, digest=blake2b(content, digest_size=32).hexdigest())


class _Unreadable(Exception):
    pass


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as wrong:
        raise _Unreadable("there is no such file; `lineside init` writes one to start from") from wrong
    except OSError as wrong:
        raise _Unreadable(f"cannot be read: {wrong.strerror}") from wrong


def _parse(content: bytes) -> dict[str, Any]:
    try:
        text = content.decode()
    except UnicodeDecodeError as wrong:
        line = wrong.object[: wrong.start].count(b"\n") + 1
        raise _Unreadable(f"line {line}: not UTF-8") from wrong
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise _Unreadable(_place(str(wrong), text)) from wrong
    except RecursionError as wrong:
        raise _Unreadable("tables or arrays are nested too deeply") from wrong
    except ValueError as wrong:
        # Python turns no more digits than that into a number.
        raise _Unreadable(f"a number has more than {sys.get_int_max_str_digits()} digits") from wrong


def _visible(text: str) -> str:
    # It may repeat what stands in the file; nothing of that may command a terminal.
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    )


def _place(message: str, text: str) -> str:
    found = _SYNTAX.fullmatch(message)
    if found is None:
        return message
    if found["end"]:
        lines = text.split("\n")
        return f"line {len(lines)}, column {len(lines[-1]) + 1}: {found['what']}"
    return f"line {found['line']}, column {found['column']}: {found['what']}"


class _Reading:
    """One pass over a file: collects problems instead of stopping at the first."""

    def __init__(self, path: Path, environ: Mapping[str, str], secrets: bool) -> None:
        self.problems: list[str] = []
        self._warnings: list[str] = []
        self._path = path.absolute()
        self._environ = environ
        self._secrets = secrets
        self._formats: dict[str, Table] = {}

    def read(self, raw: dict[str, Any]) -> Settings | None:
        for key in raw.keys() - set(_TABLES):
            self.problems.append(f"{key_path(key)}: unknown key{did_you_mean(key, _TABLES)}")
        formats = {
            name: self._typed(FORMATS, table, key_path("formats", name))
            for name, table in self._named(raw, "formats").items()
        }
        # What is wrong with a format is told once, not again for each source.
        self._formats = {name: table or JsonFormat(type="json") for name, table in formats.items()}
        journal = self._table(JournalSettings, raw.get("journal", {}), "journal")
        plant = self._table(PlantSettings, raw.get("plant", {}), "plant")
        limits = self._table(LimitSettings, raw.get("limits", {}), "limits")
        http = self._table(HttpSettings, raw["http"], "http") if "http" in raw else None
        dns = self._table(DnsSettings, raw["dns"], "dns") if "dns" in raw else None
        ssh = self._table(SshSettings, raw["ssh"], "ssh") if "ssh" in raw else None
        tables = Tables(
            self._named(raw, "targets"),
            self._named(raw, "sources"),
            self._named(raw, "routes"),
            bool(raw.get("tasks")),
        )
        databases = self._each(DatabaseSettings, raw, "databases")
        queries = self._each(QuerySettings, raw, "queries")
        live = self._table(LiveSettings, raw["live"], "live") if "live" in raw else None
        channels = self._each(ChannelSettings, raw, "channels")
        code = self._table(CodeSettings, raw.get("code", {}), "code")
        tasks = self._each(TaskSettings, raw, "tasks")
        tls = self._each(TlsSettings, raw, "tls")
        self.problems += check_tls(raw, tls, read=self._secrets)
        self.problems += check_dns(raw, tables.sources, tables.targets)
        self.problems += [] if dns is None or self.problems else zone_problems(dns)
        self.problems += [
            *check_channels(raw),
            *check_login(raw),
            *check_tasks(raw),
            *check_databases(raw, tables.targets, tables.sources),
            *check_frappe_sources(raw, tables.targets, tables.sources),
            *check_posts(raw, tables.sources),
            *check_ssh(raw, tables.sources),
            *check_drop_boxes(raw, tables.sources),
        ]
        shown = self._shown(raw, tables.targets)
        calls = self._each(ErpCallSettings, raw, "calls")
        if isinstance(raw.get("calls"), dict):
            self.problems += check_calls(raw["calls"], tables.targets)
        targets = {
            name: self._typed(TARGETS, table, key_path("targets", name)) for name, table in tables.targets.items()
        }
        sources = {
            name: self._typed(SOURCES, table, key_path("sources", name)) for name, table in tables.sources.items()
        }
        if self._secrets:
            self.problems += unfit_lists(sources)
        routes = {name: self._route(table, key_path("routes", name)) for name, table in tables.routes.items()}
        examples = raw.get("tests", [])
        if not isinstance(examples, list):
            self.problems.append(f"tests: expected tables [[tests]], got {kind(examples)}")
            examples = []
        tests = [
            self._table(ExampleSettings, table, key_path("tests", index)) for index, table in enumerate(examples)
        ]
        self.problems += cross_check(tables, [table for table in examples if isinstance(table, dict)])
        if isinstance(raw.get("plant", {}), dict):
            self.problems += check_watched(raw.get("plant", {}), tables.sources)
        if journal is not None and len(os.fsencode(journal.control_path)) > LONGEST_PATH:
            self.problems.append(
                f"journal.control: a Unix socket's path has at most {LONGEST_PATH} bytes, unlike "
                f"{journal.control_path}; set a shorter one"
            )
        if self.problems or journal is None or plant is None or code is None or limits is None:
            return None
        for table in (*targets.values(), *sources.values()):
            if isinstance(table, AskingTable) and dns is not None:
                table.ask(dns.servers)
        settings = Settings(
            path=self._path,
            journal=journal,
            plant=plant,
            limits=limits,
            targets={name: table for name, table in targets.items() if table is not None},
            sources={name: table for name, table in sources.items() if table is not None},
            routes={name: table for name, table in routes.items() if table is not None},
            tests=tuple(table for table in tests if table is not None),
            warnings=self._warnings,
            http=http,
            ssh=ssh,
            databases={name: table for name, table in databases.items() if table is not None},
            queries={name: table for name, table in queries.items() if table is not None},
            live=live,
            channels={name: table for name, table in channels.items() if table is not None},
            calls={name: table for name, table in calls.items() if table is not None},
            erp={doctype: table for doctype, table in shown.items() if table is not None},
            code=code.path,
            tasks={name: table for name, table in tasks.items() if table is not None},
            tls={name: table for name, table in tls.items() if table is not None},
            dns=dns,
        )
        self._warnings += warn(settings)
        return settings

    def _each(self, model: type[T], raw: dict[str, Any], key: str) -> dict[str, T | None]:
        return {
            name: self._table(model, table, key_path(key, name)) for name, table in self._named(raw, key).items()
        }

    def _shown(self, raw: dict[str, Any], targets: Mapping[str, Any]) -> dict[str, ErpSettings | None]:
        tables = raw.get("erp", {})
        if not isinstance(tables, dict):
            self.problems.append(f"erp: expected tables [erp.DOCTYPE], got {kind(tables)}")
            return {}
        self.problems += check_erp(tables, targets)
        return {
            doctype: self._table(ErpSettings, table, key_path("erp", doctype)) for doctype, table in tables.items()
        }

    def _named(self, raw: dict[str, Any], key: str) -> dict[str, Any]:
        tables = raw.get(key, {})
        if not isinstance(tables, dict):
            self.problems.append(f"{key}: expected tables [{key}.NAME], got {kind(tables)}")
            return {}
        for name in tables:
            if key == "formats" and name in FORMATS:
                self.problems.append(f"{key_path(key, name)}: {name} is a format of its own; choose another name")
            if not _NAME.fullmatch(name):
                self.problems.append(
                    f"{key_path(key, name)}: a name has lower-case letters, digits, - and _, and begins with a "
                    "letter or digit"
                )
        return tables

    def _typed(self, kinds: dict[str, type[T]], raw: object, path: str) -> T | None:
        name = raw.get("type") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and "type" in raw and (not isinstance(name, str) or name not in kinds):
            self.problems.append(f"{path}.type: {not_listed('type', name, list(kinds))}")
            return None
        if isinstance(raw, dict) and "type" not in raw and len(kinds) > 1:
            self.problems.append(f"{path}.type: is missing; known: {', '.join(kinds)}")
            return None
        # What lacks its type is read as the only kind, so that its other errors show as well.
        return self._table(kinds[name] if isinstance(name, str) else next(iter(kinds.values())), raw, path)

    def _route(self, raw: object, path: str) -> RouteSettings | None:
        route = self._table(RouteSettings, raw, path)
        if not isinstance(raw, dict):
            return route
        for key, compile_value, expected in (
            ("when", compile_condition, str),
            ("document", compile_template, dict),
            ("match", compile_template, dict),
        ):
            if isinstance(raw.get(key), expected):
                try:
                    compile_value(raw[key], f"{path}.{key}")
                except TemplateProblem as wrong:
                    self.problems += wrong.problems
        files = raw.get("attachments")
        for index, file in enumerate(files if isinstance(files, list) else ()):
            for key in ("name", "content"):
                if isinstance(file, dict) and isinstance(file.get(key), str):
                    try:
                        compile_template(file[key], f"{path}.attachments[{index}].{key}")
                    except TemplateProblem as wrong:
                        self.problems += wrong.problems
        return route

    def _table(self, model: type[T], raw: object, path: str) -> T | None:
        if not isinstance(raw, dict):
            self.problems.append(f"{path}: expected a table, got {kind(raw)}")
            return None
        around = Surroundings(self._path.parent, self._environ, self._secrets, [], self._formats)
        try:
            table = model.model_validate(raw, context=around)
        except ValidationError as wrong:
            self.problems += complaints(wrong, model, path)
            return None
        self._warnings += [
            f'{path}.{field}: the secret stands in the file; use {{ env = "NAME" }} or {{ file = "path" }}'
            for field in around.literal_secrets
        ]
        return table
