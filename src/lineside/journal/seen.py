"""The senders' own keys, remembered for a window of time, so that a repeat is told its first sequence."""

from __future__ import annotations

from sqlite3 import Connection

from lineside.model.event import Seq


class Seen:
    """Keys by source. Runs on the writer's thread, inside the transaction that stores the events."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._due_ns = 0
        """Before this time there is nothing to forget, as far as is known; looking is not for nothing."""

    def sift(
        self, connection: Connection, source: int, keys: list[str | None], received_ns: int, first: Seq
    ) -> dict[int, Seq]:
        """Return the repeats among ``keys``: by their place, the sequences first given; remember the others.

        A key is known inside the window only. Those that are not known, and None, take consecutive sequences
        from ``first`` on. A clock that was set back makes a key look younger, never forgotten.
        """
        repeats: dict[int, Seq] = {}
        seq = first
        for place, key in enumerate(keys):
            if key is not None:
                row = connection.execute(
                    "SELECT seq, received_ns FROM seen WHERE source = ? AND key = ?", (source, key)
                ).fetchone()
                if row is not None and received_ns - row[1] <= self._window_ns:
                    repeats[place] = Seq(row[0])
                    continue
                # One that had passed out of the window is replaced.
                connection.execute(
                    "INSERT OR REPLACE INTO seen (source, key, seq, received_ns) VALUES (?, ?, ?, ?)",
                    (source, key, seq, received_ns),
                )
            seq = Seq(seq + 1)
        return repeats

    def prune(self, connection: Connection, now_ns: int, limit: int) -> None:
        """Forget up to ``limit`` keys older than the window, the oldest first."""
        if now_ns < self._due_ns <= now_ns + self._window_ns:
            return
        connection.execute(
            "DELETE FROM seen WHERE id IN (SELECT id FROM seen ORDER BY id LIMIT ?) AND received_ns < ?",
            (limit, now_ns - self._window_ns),
        )
        row = connection.execute("SELECT received_ns FROM seen ORDER BY id LIMIT 1").fetchone()
        # A key that is added later is due later; where the transaction fails, what is due is only looked at later.
        self._due_ns = (now_ns if row is None else min(row[0], now_ns)) + self._window_ns
