"""The senders' own keys, remembered for a window of time, so that a repeat is told its first sequence."""

from __future__ import annotations

from sqlite3 import Connection

import msgspec

from lineside.model.event import Seq

_encoder = msgspec.json.Encoder()


def _encode(keys: list[str]) -> str:
    return _encoder.encode(keys).decode()


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
        known = self._known(connection, source, keys, received_ns)
        repeats: dict[int, Seq] = {}
        fresh: list[tuple[int, str, Seq, int]] = []
        seq = first
        for place, key in enumerate(keys):
            if key is not None:
                earlier = known.get(key)
                if earlier is not None:
                    repeats[place] = earlier
                    continue
                known[key] = seq
                fresh.append((source, key, seq, received_ns))
            seq = Seq(seq + 1)
        # One that had passed out of the window is replaced.
        connection.executemany(
            "INSERT OR REPLACE INTO seen (source, key, seq, received_ns) VALUES (?, ?, ?, ?)", fresh
        )
        return repeats

    def _known(
        self, connection: Connection, source: int, keys: list[str | None], received_ns: int
    ) -> dict[str, Seq]:
        asked = sorted({key for key in keys if key is not None})
        rows: list[tuple[str, int, int]] = []
        # SQLite's JSON ends a text at a NUL.
        alone = asked if len(asked) == 1 else [key for key in asked if "\0" in key]
        for key in alone:
            rows += connection.execute(
                "SELECT key, seq, received_ns FROM seen WHERE source = ? AND key = ?", (source, key)
            )
        if len(asked) > 1:
            # One statement for all: each of its own would have to ask for Python's lock, and wait for the reactor.
            rows += connection.execute(
                """SELECT seen.key, seq, received_ns FROM json_each(?) AS asked
                   CROSS JOIN seen ON source = ? AND seen.key = asked.value""",
                (_encode([key for key in asked if "\0" not in key]), source),
            )
        return {key: Seq(seq) for key, seq, at_ns in rows if received_ns - at_ns <= self._window_ns}

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
