"""What of the journal may go, and its going: in steps so small that no append waits for long.

Segments go from the front, so that what is left has no holes but those the sequence had. One may go when it is due
(its age, or the journal's size) and no consumer owes anything of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection

from msgspec import Struct

from lineside.journal import consumers
from lineside.model.event import NO_SEQ, Seq

OUTCOMES = ("delivered", "altered", "discarded")
"""What is known of a record's fate beside its dead letter, and goes with it."""
ROWS = 256
"""Outcomes that are removed at a time."""
PAGES = 16
"""Pages that are given back at a time."""
FUTURE_NS = 86_400_000_000_000
"""A stamp so far ahead was made by a clock that was wrong."""


class Pin(Struct, frozen=True):
    """A consumer that owes something, and so keeps it."""

    consumer: str
    floor: Seq
    """It has no need of anything at or below."""


class Prospect(Struct, frozen=True):
    """What the journal holds, and what keeps it."""

    oldest: Seq
    """The first record's sequence; 0 while there is none."""
    oldest_ns: int
    """When the oldest segment was stored, by the clock of that time; 0 while there is none."""
    newest_ns: int
    pins: list[Pin]
    """The one that keeps most comes first."""
    head: Seq
    oldest_to: Seq
    """Where the oldest segment ends, which goes as one; the last of all never goes."""

    @property
    def removable(self) -> bool:
        """Whether something may go, if it is due."""
        return self.oldest_to < self.head and self.oldest_to <= self.free_to

    @property
    def free_to(self) -> Seq:
        """Nothing at or below is owed to anyone."""
        return self.pins[0].floor if self.pins else self.head


class Due(Struct, frozen=True):
    """Which of the segments that nobody needs are to go."""

    before_ns: int
    """Those stored before go for their age; 0 for none."""
    now_ns: int
    crowded: Callable[[int], bool]
    """Whether, with so many bytes used, the oldest has to go for want of room."""


class Removed(Struct, frozen=True):
    """What one step did."""

    events: int
    more: bool
    """A further step finds more to do."""


def survey(
    connection: Connection, sources: Mapping[str, frozenset[str]], floors: Mapping[str, Seq] | None = None
) -> Prospect:
    """Return what the journal holds and what keeps it.

    Args:
        connection: any, in a transaction.
        sources: of each consumer that is at work, whose records it takes: it keeps no others, but for those that
            it owes one by one. One that is not named here keeps everything above its place.
        floors: of consumers at work, where they are known to be further than what they have stored.

    """
    names: dict[str, int] = {
        name: identifier for identifier, name in connection.execute("SELECT id, name FROM source")
    }
    first = connection.execute("SELECT first, received_ns, last FROM segment ORDER BY first LIMIT 1").fetchone()
    last = connection.execute("SELECT last, received_ns FROM segment ORDER BY first DESC LIMIT 1").fetchone()
    head = NO_SEQ if last is None else Seq(last[0])
    pins = []
    for one in consumers.remembered(connection):
        floor = max(one.floor, (floors or {}).get(one.id, NO_SEQ))
        taken = sources.get(one.id)
        needed = (
            floor if taken is None else _needed_from(connection, [names[n] for n in taken if n in names], floor)
        )
        if taken is not None and (owed := _first_gap(connection, one.id, floor)) is not None:
            # Owed whatever it takes now: the record's source may have been taken from it meanwhile.
            needed = min(Seq(owed - 1), head if needed is None else needed)
        if needed is not None and needed < head:
            pins.append(Pin(one.id, needed))
    return Prospect(
        oldest=NO_SEQ if first is None else Seq(first[0]),
        oldest_ns=0 if first is None else first[1],
        newest_ns=0 if last is None else last[1],
        pins=sorted(pins, key=lambda pin: (pin.floor, pin.consumer)),
        head=head,
        oldest_to=NO_SEQ if first is None else Seq(first[2]),
    )


def remove_some(connection: Connection, free_to: Seq, due: Due, in_time: Callable[[], bool]) -> Removed:
    """Remove what is due, from the front, while ``in_time`` is true; at least a little.

    The last segment stays: the sequence goes on after it.
    """
    events = 0
    while True:
        row = connection.execute(
            """SELECT first, last, received_ns FROM segment
               WHERE first < (SELECT MAX(first) FROM segment) ORDER BY first LIMIT 1"""
        ).fetchone()
        if row is None or row[1] > free_to or not _is_due(connection, row[2], due):
            return Removed(events, more=False)
        if _remove_outcomes(connection, row[1]):
            connection.execute("DELETE FROM segment WHERE first = ?", (row[0],))
            events += row[1] - row[0] + 1
        if not in_time():
            return Removed(events, more=True)


def give_back(connection: Connection, keep: int, in_time: Callable[[], bool]) -> bool:
    """Cut free pages off the file, but for ``keep`` bytes, while ``in_time`` is true; whether there are more.

    What stands behind them in the file is moved into them. The file itself is shorter after the next checkpoint.
    """
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    while True:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        surplus = free - keep // page
        if surplus <= 0:
            return False
        # Each row is a page moved: it has to be fetched to happen.
        connection.execute(f"PRAGMA incremental_vacuum({min(surplus, PAGES)})").fetchall()
        (left,) = connection.execute("PRAGMA freelist_count").fetchone()
        if left >= free:
            return False
        if not in_time():
            return bool(left > keep // page)


def _needed_from(connection: Connection, sources: list[int], floor: Seq) -> Seq | None:
    """Return below which sequence nothing of these sources is needed any more; None if nothing is at all."""
    found = []
    for source in sources:
        row = connection.execute(
            """SELECT first FROM segment WHERE source = :source AND last > :floor
               AND first >= COALESCE((SELECT MAX(first) FROM segment WHERE source = :source AND first <= :floor), 0)
               ORDER BY first LIMIT 1""",
            {"source": source, "floor": floor},
        ).fetchone()
        if row is not None:
            found.append(row[0])
    return max(floor, Seq(min(found) - 1)) if found else None


def _first_gap(connection: Connection, consumer: str, floor: Seq) -> Seq | None:
    """Return the first record above ``floor`` that a consumer owes by itself."""
    (seq,) = connection.execute(
        "SELECT MIN(seq) FROM gap WHERE consumer = ? AND seq > ?", (consumer, floor)
    ).fetchone()
    return None if seq is None else Seq(seq)


def _is_due(connection: Connection, received_ns: int, due: Due) -> bool:
    if received_ns > due.now_ns + FUTURE_NS:
        # Its own stamp says nothing; it is older than what came after it.
        row = connection.execute(
            "SELECT received_ns FROM segment WHERE received_ns <= ? ORDER BY first LIMIT 1",
            (due.now_ns + FUTURE_NS,),
        ).fetchone()
        received_ns = received_ns if row is None else row[0]
    if received_ns < due.before_ns:
        return True
    (page,), (pages,), (free,) = (
        connection.execute(f"PRAGMA {fact}").fetchone() for fact in ("page_size", "page_count", "freelist_count")
    )
    return due.crowded((pages - free) * page)


def _remove_outcomes(connection: Connection, upto: Seq) -> bool:
    """Remove up to `ROWS` outcomes of records up to a sequence; whether none is left."""
    for table in OUTCOMES:
        consumer = ""
        while True:
            (following,) = connection.execute(
                f"SELECT MIN(consumer) FROM {table} WHERE consumer > ?", (consumer,)
            ).fetchone()
            if following is None:
                break
            consumer = following
            removed = connection.execute(
                f"""DELETE FROM {table} WHERE consumer = :consumer AND seq IN (
                    SELECT seq FROM {table} WHERE consumer = :consumer AND seq <= :upto ORDER BY seq LIMIT :rows
                )""",
                {"consumer": consumer, "upto": upto, "rows": ROWS},
            ).rowcount
            if removed == ROWS:
                return False
    return True
