"""Commands to devices on record, in the journal's database: who gave which one, and what became of it."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from msgspec import Struct

from lineside.operations.requests import ListDeviceCommands
from lineside.operations.results import CommandState, DeviceCommand
from lineside.operations.texts import moment
from lineside.store.migrations import Component

COMMANDS = Component(
    "commands",
    (
        (
            """CREATE TABLE device_command (
                number INTEGER PRIMARY KEY,
                id TEXT NOT NULL UNIQUE,
                device TEXT NOT NULL,
                source TEXT NOT NULL,
                given_by TEXT NOT NULL,
                state TEXT NOT NULL,
                at_ns INTEGER NOT NULL,
                expires REAL NOT NULL,
                size INTEGER NOT NULL,
                sent_ns INTEGER,
                ended_ns INTEGER,
                reason TEXT,
                reply_size INTEGER,
                late_ns INTEGER
            )""",
            "CREATE INDEX device_command_open ON device_command (state) WHERE state IN ('queued', 'sent')",
        ),
    ),
)
"""One row a command. Its payload and the reply may hold secrets, and are not in it."""

KEPT = 10_000
KEPT_NS = 90 * 86_400 * 1_000_000_000
"""So many are kept, and none that ended longer ago."""
AT_ONCE = 100
"""Old ones that are removed with each new one, at most."""
MOST = 1_000
"""In one answer."""


class Given(Struct, frozen=True):
    """A command as it is given."""

    id: str
    device: str
    source: str
    by: str
    expires: float
    size: int


class End(Struct, frozen=True):
    """What became of a command."""

    state: CommandState
    reason: str | None = None
    reply_size: int | None = None


def begin(connection: Connection, given: Given, now_ns: int) -> None:
    """Put a command on record, and remove old ones. Raises `sqlite3.IntegrityError` for an id that is there."""
    connection.execute(
        """INSERT INTO device_command (id, device, source, given_by, state, at_ns, expires, size)
            VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)""",
        (given.id, given.device, given.source, given.by, now_ns, given.expires, given.size),
    )
    connection.execute(
        """DELETE FROM device_command WHERE number IN (
            SELECT number FROM device_command WHERE state NOT IN ('queued', 'sent')
                AND (at_ns < ? OR number <= (SELECT max(number) FROM device_command) - ?)
            ORDER BY number LIMIT ?)""",
        (now_ns - KEPT_NS, KEPT, AT_ONCE),
    )


def send(connection: Connection, identifier: str, now_ns: int) -> None:
    """Put on record that a command is about to be written to the connection."""
    connection.execute(
        "UPDATE device_command SET state = 'sent', sent_ns = ? WHERE id = ? AND state = 'queued'",
        (now_ns, identifier),
    )


def end(connection: Connection, identifier: str, ended: End, now_ns: int) -> None:
    """Put on record what became of a command."""
    connection.execute(
        """UPDATE device_command SET state = ?1, ended_ns = ?2, reason = ?3, reply_size = ?4,
            sent_ns = iif(?1 = 'unsent', NULL, sent_ns) WHERE id = ?5 AND state IN ('queued', 'sent')""",
        (ended.state, now_ns, ended.reason, ended.reply_size, identifier),
    )


def late(connection: Connection, identifier: str, now_ns: int) -> None:
    """Put on record that a reply came after the end."""
    connection.execute(
        "UPDATE device_command SET late_ns = ? WHERE id = ? AND late_ns IS NULL", (now_ns, identifier)
    )


def any_open(connection: Connection) -> bool:
    """Tell whether a command has no end on record."""
    found = connection.execute("SELECT 1 FROM device_command WHERE state IN ('queued', 'sent') LIMIT 1")
    return found.fetchone() is not None


def abandon(connection: Connection, now_ns: int) -> tuple[int, int]:
    """End what a former process left open; return how many it had sent, and how many it had not."""
    counts = []
    for state, ended, reason in (
        ("sent", "unknown", "the gateway ended while it was under way"),
        ("queued", "unsent", "the gateway ended before its turn came"),
    ):
        done = connection.execute(
            "UPDATE device_command SET state = ?, ended_ns = ?, reason = ? WHERE state = ?",
            (ended, now_ns, reason, state),
        )
        counts.append(done.rowcount)
    return counts[0], counts[1]


def state_of(connection: Connection, identifier: str) -> str | None:
    """Return what is on record of a command's state; None where there is no such id."""
    found = connection.execute("SELECT state FROM device_command WHERE id = ?", (identifier,)).fetchone()
    return None if found is None else str(found[0])


def page(connection: Connection, wanted: ListDeviceCommands) -> tuple[list[DeviceCommand], int | None]:
    """Return commands, the newest first, and where older ones go on."""
    given: dict[str, Any] = {
        "id": wanted.id,
        "device": wanted.device,
        "source": wanted.source,
        "state": wanted.state,
    }
    terms = [f"{column} = :{column}" for column, value in given.items() if value is not None]
    if wanted.before is not None:
        terms.append("number < :before")
    limit = max(1, min(wanted.limit, MOST))
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    rows = connection.execute(
        f"""SELECT number, id, device, source, given_by, state, at_ns, expires, size, sent_ns, ended_ns, reason,
            reply_size, late_ns FROM device_command{where} ORDER BY number DESC LIMIT :limit""",
        {**given, "before": wanted.before, "limit": limit + 1},
    ).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    return [_summary(*row[1:]) for row in rows], rows[-1][0] if more else None


def _summary(
    identifier: str,
    device: str,
    source: str,
    by: str,
    state: CommandState,
    at_ns: int,
    expires: float,
    size: int,
    sent_ns: int | None,
    ended_ns: int | None,
    reason: str | None,
    reply_size: int | None,
    late_ns: int | None,
) -> DeviceCommand:
    return DeviceCommand(
        id=identifier,
        device=device,
        source=source,
        by=by,
        state=state,
        at=moment(at_ns),
        expires=expires,
        size=size,
        sent=_moment(sent_ns),
        ended=_moment(ended_ns),
        reason=reason,
        reply_size=reply_size,
        late=_moment(late_ns),
    )


def _moment(ns: int | None) -> str | None:
    return None if ns is None else moment(ns)
