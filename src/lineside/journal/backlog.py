"""How much of the journal a consumer has not read yet: counted by segments, so that nothing is unpacked."""

from __future__ import annotations

from sqlite3 import Connection

from msgspec import Struct

from lineside.model.event import Seq

MOST_SEGMENTS = 2_000
"""So many are looked at: it is asked every second while somebody watches."""


class Backlog(Struct, frozen=True):
    """What waits for one route."""

    waiting: int
    """Events that the route has not decided on; of those not read yet some may be none of its business."""
    more: bool
    """There are still more, which were not counted."""
    oldest_ns: int | None
    """When the oldest of them arrived, in nanoseconds since 1970; None where none waits."""


def unread(connection: Connection, sources: frozenset[str], after: Seq) -> Backlog:
    """Return what these sources have above a sequence."""
    names = dict(connection.execute("SELECT name, id FROM source"))
    wanted = ",".join(str(names[name]) for name in sources if name in names)
    rows = connection.execute(
        f"""SELECT first, last, received_ns FROM segment
            WHERE first >= (SELECT COALESCE(MAX(first), 0) FROM segment WHERE first <= ?)
            AND last > ? AND source IN ({wanted}) ORDER BY first LIMIT ?""",
        (after, after, MOST_SEGMENTS + 1),
    ).fetchall()
    counted = rows[:MOST_SEGMENTS]
    waiting = sum(last - max(first - 1, after) for first, last, _ in counted)
    return Backlog(waiting, len(rows) > len(counted), rows[0][2] if rows else None)
