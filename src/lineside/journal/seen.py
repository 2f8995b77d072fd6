"""The senders' own keys, remembered for a window of time, so that a repeat is told its first sequence."""

from __future__ import annotations

from sqlite3 import Connection

from lineside.journal.segments import Stored
from lineside.model.event import Seq


class Seen:
    """Keys by source. Runs on the writer's thread, inside the transaction that stores the events."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns

    def find(self, connection: Connection, source: int, stored: Stored) -> Seq | None:
        """Return the sequence first given to the event's key, if it has one, inside the window.

        A clock that was set back makes a key look younger, never forgotten.
        """
        if stored.key is None:
            return None
        row = connection.execute(
            "SELECT seq, received_ns FROM seen WHERE source = ? AND key = ?", (source, stored.key)
        ).fetchone()
        if row is None or stored.received_ns - row[1] > self._window_ns:
            return None
        return Seq(row[0])

    def add(self, connection: Connection, source: int, stored: Stored, seq: Seq) -> None:
        """Remember the event's key; one that had passed out of the window is replaced."""
        if stored.key is not None:
            connection.execute(
                "INSERT OR REPLACE INTO seen (source, key, seq, received_ns) VALUES (?, ?, ?, ?)",
                (source, stored.key, seq, stored.received_ns),
            )

    def prune(self, connection: Connection, now_ns: int, limit: int) -> None:
        """Forget up to ``limit`` keys older than the window, the oldest first."""
        connection.execute(
            "DELETE FROM seen WHERE id IN (SELECT id FROM seen ORDER BY id LIMIT ?) AND received_ns < ?",
            (limit, now_ns - self._window_ns),
        )
