"""What `lineside check --security` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import Struct

from lineside.assemble.posture import Posture, posture
from lineside.assemble.settings import Settings
from lineside.cli.session import Session, print_json
from lineside.cli.tables import console, print_facts, print_list
from lineside.model.errors import LinesideError
from lineside.operations.requests import ListTokens, VerifyAudit
from lineside.operations.results import AuditVerdict


class Report(Struct, frozen=True):
    """What an auditor asks, as ``--json`` prints it."""

    posture: Posture
    tokens: dict[str, int] | None
    """By role; None where there is no journal to ask."""
    expired: int
    never_expire: int
    audit: AuditVerdict | None
    problem: str | None = None
    """Why the journal was not asked."""


async def show(reactor: Any, settings: Settings, as_json: bool) -> None:
    """Print the report. Tokens and the record are asked of the gateway, or read from the journal."""
    found = await report(Session(reactor, settings), settings)
    if as_json:
        print_json(found)
        return
    told = found.posture
    print_list(
        ("OPEN TO", "TLS", "KNOWN BY", "WHAT", "ADDRESS"),
        [
            (
                "others" if door.public else "this machine",
                "yes" if door.tls else "no",
                door.known_by,
                door.what,
                door.address,
            )
            for door in told.doors
        ],
        numbers=0,
    )
    print_facts(
        [
            *((door.what, _limits(door.limits)) for door in told.doors if door.limits),
            *(
                (each.what, f"goes to {each.address} as {each.user}, by {each.shows}; known by {each.known_by}")
                for each in told.hosts
            ),
            *((f"secret {each.key}", f"{each.place}{_mode(each.mode)}") for each in told.secrets),
            *((f"mode of {path}", mode) for path, mode in told.files.items()),
            ("tokens", _tokens(found)),
            ("record", _record(found)),
            ("versions", ", ".join(f"{name} {version}" for name, version in told.versions.items())),
            *(("unsafe", line) for line in told.unsafe),
        ]
    )
    console().print(f"{len(told.unsafe)} findings", style="dim")


async def report(session: Session, settings: Settings) -> Report:
    """Return the report."""
    try:
        tokens = (await session.call(ListTokens())).tokens
        audit = await session.call(VerifyAudit())
    except LinesideError as unasked:
        return Report(posture(settings), None, 0, 0, None, str(unasked))
    return Report(
        posture(settings),
        dict(Counter(token.role for token in tokens)),
        sum(token.expired for token in tokens),
        sum(token.expires is None for token in tokens),
        audit,
    )


def _limits(limits: dict[str, float]) -> str:
    return ", ".join(f"{name} {limit:,.10g}" for name, limit in limits.items())


def _mode(mode: str | None) -> str:
    return "" if mode is None else f", mode {mode}"


def _tokens(found: Report) -> str:
    if found.tokens is None:
        return f"not known: {found.problem}"
    counted = ", ".join(f"{count} {role}" for role, count in sorted(found.tokens.items())) or "none"
    return f"{counted}; {found.expired} expired, {found.never_expire} that never do"


def _record(found: Report) -> str:
    if found.audit is None:
        return f"not known: {found.problem}"
    audit = found.audit
    if audit.broken is not None:
        return f"broken: entry {audit.broken} {audit.why}"
    return f"{audit.entries} entries follow from one another; the last is {audit.last}:{audit.hash}"
