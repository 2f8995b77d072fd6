"""What was changed in one DocType and is not known yet: it becomes events, each change once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from lineside.edges.frappe.changedrows import PAGE, ChangedRows, Row
from lineside.edges.frappe.hooks import Ledger
from lineside.edges.frappe.versions import Version, settled
from lineside.journal import polls
from lineside.model.batch import Batch
from lineside.store.database import Database
from lineside.wire.decoding import Decoder


class NewChanges:
    """Looks at one DocType.

    Each look begins where nothing new is to be expected before, see `settled`, and takes what it did not know. What
    it knows is stored with the events, in one transaction, by whoever brings them: after a crash at any moment no
    change is lost, and none becomes two events, however long nobody looked.

    A look may take longer than the overlap, and changes become visible all the while, behind the pages that it has
    read. So the next one begins an overlap before the newest change that was visible when this one began.

    Args:
        place: the name under which it is stored how far the looks have come.
        source: whose events they become.
        rows: asks the site.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        decoder: of the source.
        address: where the documents come from, for people.
        overlap: seconds by which each look goes back.
        batch: documents that are read whole, and stored, at a time.
        begin: where it begins that was never there before: with all documents, or with changes to come.
        now: the wall clock, for stamps of the future only.

    """

    def __init__(
        self,
        place: str,
        source: str,
        rows: ChangedRows,
        ledger: Ledger,
        database: Database,
        *,
        decoder: Decoder,
        address: str,
        overlap: float,
        batch: int = 200,
        begin: Literal["all", "new"] = "new",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.received = 0
        """Events that are new."""
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored."""
        self._place = place
        self._source = source
        self._rows = rows
        self._ledger = ledger
        self._database = database
        self._address = address
        self._overlap = overlap
        self._batch = batch
        self._begin = begin
        self._decoder = decoder
        self._now = now
        self._zone = ZoneInfo("UTC")
        self._begun = 0.0
        """When the present look began."""
        self._newest = ""
        """The newest moment that was visible then."""
        self._floor: str | None = None
        """Up to this moment everything is known."""
        self._seen: dict[str, str] = {}
        """The moments of the versions above it that are known, by key."""
        self._known = False

    def note(self, version: Version) -> Callable[[Connection], None]:
        """Return what stores that a change is known; for the transaction that stores its event."""
        seen = {version.key(self._rows.doctype): version.modified}
        return lambda connection: polls.take(connection, self._place, seen)

    def noted(self, version: Version) -> None:
        """Take it that the transaction was committed."""
        self._seen[version.key(self._rows.doctype)] = version.modified

    def doubt(self) -> None:
        """Take it that a transaction may have failed or not: the next look begins with what is stored."""
        self._known = False

    async def look(self, zone: ZoneInfo) -> None:
        """Take all that is new, in the zone of the site's stamps.

        Raises:
            Unlisted: the site did not answer; what was taken before is stored.

        """
        self._zone, self._begun = zone, self._now()
        if not self._known:
            await self._take_up()
        begin = self._floor
        page = await self._rows.versions(begin, None)
        if not page:
            return
        self._newest = page[-1].modified
        if len(page) == PAGE:
            # There is more, and its end is not known. The look begins anew, so that the answer is older than it.
            newest = await self._rows.newest()
            if newest is not None:
                self._newest = newest.modified
            page = await self._rows.versions(begin, None)
        while True:
            missing = [version for version in page if version.key(self._rows.doctype) not in self._seen]
            for start in range(0, len(missing), self._batch):
                part = missing[start : start + self._batch]
                await self._take(await self._rows.whole([version.name for version in part]), part[-1])
            if page:
                await self._move(page[-1])
            if len(page) < PAGE:
                return
            page = await self._rows.versions(begin, page[-1])

    async def _take_up(self) -> None:
        before, floor, seen = await self._database.read(lambda connection: polls.load(connection, self._place))
        if not before:
            if self._begin == "new":
                floor, there = await self._what_is_there()
                seen |= there
            taken = dict(seen)
            await self._database.write(lambda connection: polls.store(connection, self._place, floor, taken, ()))
        # What webhooks brought since is committed as well.
        self._floor, self._seen, self._known = floor, seen | self._seen, True

    async def _what_is_there(self) -> tuple[str | None, dict[str, str]]:
        newest = await self._rows.newest()
        if newest is None:
            return None, {}
        self._newest = newest.modified
        floor = self._settled(newest)
        seen: dict[str, str] = {}
        after = None
        while True:
            page = await self._rows.versions(floor, after)
            # What is newer was changed since.
            there = [version for version in page if version.modified <= newest.modified]
            seen |= {version.key(self._rows.doctype): version.modified for version in there}
            if len(there) < PAGE:
                return floor, seen
            after = page[-1]

    async def _take(self, rows: Sequence[Row], last: Version) -> None:
        # One that was changed again meanwhile comes as it is now; perhaps a webhook has brought it.
        fresh = {row.version.key(self._rows.doctype): row for row in rows}
        fresh = {key: row for key, row in fresh.items() if key not in self._seen}
        events = [replace(self._decoder.decode(row.body), key=key) for key, row in fresh.items()]
        floor, passed = self._passed(last)
        seen = {key: row.version.modified for key, row in fresh.items()}
        if self.on_batch is not None and events:
            self.on_batch(Batch.of(events), [(self._address, len(events))])
        receipts = await self._ledger.append(
            self._source, events, also=lambda connection: polls.store(connection, self._place, floor, seen, passed)
        )
        self._gone_on(floor, passed)
        self._seen |= seen
        self.received += sum(not receipt.repeated for receipt in receipts)

    async def _move(self, last: Version) -> None:
        floor, passed = self._passed(last)
        if floor != self._floor:
            await self._database.write(lambda connection: polls.store(connection, self._place, floor, {}, passed))
            self._gone_on(floor, passed)

    def _passed(self, last: Version) -> tuple[str, list[str]]:
        """Return up to where everything is known once all up to ``last`` is taken, and what lies below."""
        floor = self._settled(last)
        if self._floor is not None:
            floor = max(floor, self._floor)
        return floor, [key for key, modified in self._seen.items() if modified <= floor]

    def _gone_on(self, floor: str, passed: list[str]) -> None:
        self._floor = floor
        for key in passed:
            self._seen.pop(key, None)

    def _settled(self, version: Version) -> str:
        return settled(min(version.modified, self._newest), self._begun, self._zone, self._overlap)
