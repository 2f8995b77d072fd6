"""What a journal holds, read out of its file."""

from __future__ import annotations

import time
from pathlib import Path

from lineside.model.event import NO_SEQ, Record
from lineside.testing.journals import JournalOnFile


async def whole_journal(path: Path) -> list[Record]:
    """Return all records; no gateway may hold the journal."""
    file = JournalOnFile(path, time.time_ns)
    try:
        records: list[Record] = []
        after, head = NO_SEQ, file.journal.head
        while after < head:
            page = await file.journal.read(after, limit=5_000)
            records += page.records
            after = page.next_after
        return records
    finally:
        file.close()
