"""Keys of a journal that kept each in a row of its own, with all its text, are made runs."""

from __future__ import annotations

from sqlite3 import Connection

from lineside.journal import keyruns
from lineside.journal.keydigests import KeyDigests

RUN = 32_768


def move_keys(connection: Connection) -> None:
    """Copy the keys of the table ``seen`` to new runs, in the order of their arrival."""
    (salt,) = connection.execute("SELECT salt FROM journal").fetchone()
    digests = KeyDigests(salt)
    rows = connection.execute("SELECT source, key, seq, received_ns FROM seen ORDER BY id")
    while several := rows.fetchmany(RUN):
        kept = sorted((digests.of(source, [key])[0], seq, stamp) for source, key, seq, stamp in several)
        keyruns.store(connection, *(list(column) for column in zip(*kept, strict=True)))
