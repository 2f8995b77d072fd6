"""Writes the key tables of the configuration's reference: ``python -m lineside.assemble.reference PAGE``.

The prose of the page stays as it is; what stands between ``<!-- keys: NAME -->`` and ``<!-- end -->`` is
made from the settings' types.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from lineside.assemble.commandsettings import CommandSettings
from lineside.assemble.dnssettings import ConditionSettings, DnsSettings, RecordSettings
from lineside.assemble.erpsettings import ErpCallSettings, ErpSettings
from lineside.assemble.examplesettings import ExampleSettings
from lineside.assemble.filesettings import EdifactFormat, FileCsvFormat
from lineside.assemble.formats import FORMATS, FixedColumn
from lineside.assemble.framings import LengthFraming, StxEtxFraming
from lineside.assemble.frappesettings import FrappePollSettings
from lineside.assemble.httpsettings import HttpSettings
from lineside.assemble.journalsettings import JournalSettings
from lineside.assemble.limitsettings import LimitSettings
from lineside.assemble.linessettings import PollSettings
from lineside.assemble.livesettings import ChannelSettings, FrappeRealtimeSettings, LiveSettings
from lineside.assemble.loginsettings import LogInRoles, LogInSettings
from lineside.assemble.plant import PlantSettings
from lineside.assemble.routesettings import AttachmentSettings, RouteSettings
from lineside.assemble.settings import SOURCES, TARGETS
from lineside.assemble.sqlsettings import DatabaseSettings, ParameterSettings, QuerySettings
from lineside.assemble.sshsettings import SshSettings, SshUserSettings
from lineside.assemble.table import Table
from lineside.assemble.tasksettings import CodeSettings, RetrySettings, TaskSettings
from lineside.assemble.tlssettings import TlsSettings
from lineside.assemble.values import Shape, duration_text

TABLES: dict[str, type[Table]] = {
    "journal": JournalSettings,
    "plant": PlantSettings,
    "limits": LimitSettings,
    **{f"targets {kind}": table for kind, table in TARGETS.items()},
    **{f"sources {kind}": table for kind, table in SOURCES.items()},
    "databases": DatabaseSettings,
    "queries": QuerySettings,
    "queries parameters": ParameterSettings,
    "erp": ErpSettings,
    "calls": ErpCallSettings,
    "poll": PollSettings,
    "commands": CommandSettings,
    "frappe poll": FrappePollSettings,
    "framing stx": StxEtxFraming,
    "framing length": LengthFraming,
    **{f"format {name}": table for name, table in FORMATS.items() if name != "json"},
    "format fixed columns": FixedColumn,
    "files csv": FileCsvFormat,
    "files edifact": EdifactFormat,
    "routes": RouteSettings,
    "attachments": AttachmentSettings,
    "tls": TlsSettings,
    "dns": DnsSettings,
    "dns records": RecordSettings,
    "dns when": ConditionSettings,
    "http": HttpSettings,
    "http login": LogInSettings,
    "http login roles": LogInRoles,
    "ssh": SshSettings,
    "ssh users": SshUserSettings,
    "live": LiveSettings,
    "live frappe": FrappeRealtimeSettings,
    "channels": ChannelSettings,
    "code": CodeSettings,
    "tasks": TaskSettings,
    "tasks retry": RetrySettings,
    "tests": ExampleSettings,
}
"""What a page has to describe, by the names of its marks."""

_MARKED = re.compile(r"(<!-- keys: (?P<name>[a-z][a-z -]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"} | dict.fromkeys(
    (
        PollSettings,
        FrappePollSettings,
        FrappeRealtimeSettings,
        RetrySettings,
        ConditionSettings,
        RecordSettings,
        LogInSettings,
        LogInRoles,
    ),
    "table",
)


def rewrite(page: str) -> str:
    """Return a page with its key tables as the settings' types have them.

    Raises:
        ValueError: the page's marks are not those of `TABLES`, each once.

    """
    marks = [match["name"] for match in _MARKED.finditer(page)]
    if sorted(marks) != sorted(TABLES):
        raise ValueError(f"the page describes {', '.join(sorted(marks))}; there are {', '.join(sorted(TABLES))}")
    return _MARKED.sub(lambda match: f"{match[1]}{key_table(TABLES[match['name']])}{match[3]}", page)


def key_table(table: type[Table]) -> str:
    """Return the Markdown table of a table's keys."""
    lines = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    # What a table shares with others comes after what is its own.
    own = _annotated(next((each for each in table.__mro__ if "type" in _annotated(each)), table))
    for name, field in sorted(table.model_fields.items(), key=lambda item: item[0] not in own):
        cells = [f"`{name}`", _type(field), _default(field), field.description or ""]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""])


def _annotated(table: type) -> Mapping[str, object]:
    annotations: Mapping[str, object] = vars(table).get("__annotations__", {})
    return annotations


def _type(field: FieldInfo) -> str:
    metadata = [*field.metadata, *_metadata(field.annotation)]
    literals = [f'`"{value}"`' for value in _literals(field.annotation)]
    shape = next((mark.text for mark in metadata if isinstance(mark, Shape)), None)
    text = " or ".join(literals) or shape or _PLAIN[_inner(field.annotation)]
    lowest = next((mark.ge for mark in metadata if isinstance(mark, Ge)), None)
    highest = next((mark.le for mark in metadata if isinstance(mark, Le)), None)
    if lowest is not None and highest is not None:
        text += f", {lowest:,} to {highest:,}"
    if any(isinstance(mark, Gt) for mark in metadata):
        text += ", more than 0"
    return text


def _inner(annotation: Any) -> Any:
    # The type beside None, without what annotates it.
    for part in get_args(annotation):
        if part is not NoneType and get_origin(annotation) is not Literal:
            return _inner(part) if get_args(part) else part
    return annotation


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif NoneType in get_args(annotation):
        for part in get_args(annotation):
            yield from _literals(part)


def _metadata(annotation: Any) -> Iterator[object]:
    for part in get_args(annotation):
        for mark in getattr(part, "__metadata__", ()):
            yield mark
            yield from getattr(mark, "metadata", ())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    # What depends on other keys is told by the description.
    if field.default is None or field.default_factory is not None:
        return ""
    durations = any(isinstance(mark, Shape) and "duration" in mark.text for mark in field.metadata)
    return f"`{_toml(field.default, durations)}`"


def _toml(value: object, durations: bool) -> str:
    match value:
        case float() if durations:
            return f'"{duration_text(value)}"'
        case tuple():
            return f"[{', '.join(_toml(item, durations) for item in value)}]"
        case Table():
            return "{}"
        case Path() | IPv4Network() | IPv6Network():
            return f'"{value}"'
    return msgspec.json.encode(value).decode()


def main(page: Path) -> None:
    """Bring a page up to date."""
    page.write_text(rewrite(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
