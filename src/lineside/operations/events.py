"""Events: list, show, follow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from msgspec.structs import replace
from twisted.internet.interfaces import IReactorTime

from lineside.journal.log import SqliteJournal
from lineside.journal.search import Found, Wanted, search_back, search_on
from lineside.model.errors import LinesideError, NotFound
from lineside.model.event import NO_SEQ, Record, Seq
from lineside.model.ports import ConsumerSpec
from lineside.operations.registry import Operations
from lineside.operations.requests import ListEvents, ShowEvent, TailEvents
from lineside.operations.results import DeliveryStory, EventList, EventStory, FollowedEvent
from lineside.operations.stories import deliveries
from lineside.operations.texts import readable, summarize
from lineside.store.database import Database
from lineside.wakeup import Wakeup

MOST = 1000
"""Events in one answer."""
LOOK_AGAIN = 0.5
"""Seconds after which a follower looks what became of the events that were undecided."""
MOST_UNDECIDED = 256
"""Events whose decision a follower waits for; of more, the oldest are not told again."""


class EventOperations:
    """What may be asked of the journal's events.

    Args:
        journal: open.
        database: the journal's.
        specs: by route, how it reads the journal.
        clock: tells followers when to look again.
        links: where people see a document, by its route and its name; None where they cannot.

    """

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        specs: Mapping[str, ConsumerSpec],
        clock: IReactorTime,
        links: Callable[[str, str], str | None] = lambda route, name: None,
    ) -> None:
        self._journal = journal
        self._database = database
        self._specs = specs
        self._clock = clock
        self._links = links

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListEvents, self.list_events)
        operations.answer(ShowEvent, self.show)
        operations.stream(TailEvents, self.tail)

    async def list_events(self, request: ListEvents) -> EventList:
        """Return events above ``after``, or the newest, or the newest below ``before``.

        Raises:
            LinesideError: both were given.

        """
        if request.after is not None and request.before is not None:
            raise LinesideError("give after or before, not both")
        wanted = Wanted(_only(request.source), _only(request.device), request.contains, request.undecodable)
        limit = max(1, min(request.limit, MOST))
        head = self._journal.head
        if request.after is not None:
            after = Seq(request.after)
            found = await self._database.read(lambda connection: search_on(connection, wanted, after, limit))
            next_after = max(after, _end(found, head)) if found.reached is None else found.reached
            return EventList([summarize(record) for record in found.records], next_after, head)
        before = None if request.before is None else Seq(request.before)
        found = await self._database.read(lambda connection: search_back(connection, wanted, before, limit))
        return EventList([summarize(record) for record in found.records], _end(found, head), head, found.reached)

    async def show(self, request: ShowEvent) -> EventStory:
        """Return one event's story.

        Raises:
            NotFound: the journal holds no such event.

        """
        seq = Seq(request.seq)
        record = (await self._journal.get([seq])).get(seq)
        if record is None:
            floor = (await self._journal.read(self._journal.head, limit=1)).floor
            if NO_SEQ < seq <= floor:
                raise NotFound(
                    f"event {seq} was removed for its age or for want of room; those after {floor} are kept"
                )
            raise NotFound(f"there is no event {seq}; the newest is {self._journal.head}")
        raw = record.event.raw
        return EventStory(
            summarize(record),
            record.identity,
            None if raw is None else readable(raw),
            [
                self._linked(story)
                for story in await self._database.read(
                    lambda connection: deliveries(connection, record, self._specs)
                )
            ],
        )

    def _linked(self, story: DeliveryStory) -> DeliveryStory:
        if story.name is None:
            return story
        return replace(story, link=self._links(story.route, story.name))

    async def tail(self, request: TailEvents) -> AsyncIterator[FollowedEvent]:
        """Yield the newest events or those after a sequence, then each as it is committed, and once it is decided.

        It reads from the journal at its own pace: a slow follower costs no memory.
        """
        sources = _only(request.source)
        changed = Wakeup()

        def wake(appended: str) -> None:
            if sources is None or appended in sources:
                changed.set()

        unsubscribe = self._journal.on_append(wake)
        undecided: OrderedDict[Seq, Record] = OrderedDict()
        try:
            after, records = await self._begin(request, sources)
            while True:
                for followed in await self._follow(_of_device(records, request.device), undecided):
                    yield followed
                page = await self._journal.read(after, sources=sources, limit=256)
                after, records = page.next_after, page.records
                if not records:
                    for followed in await self._look_again(undecided):
                        yield followed
                    late = self._clock.callLater(LOOK_AGAIN, changed.set) if undecided else None
                    try:
                        await changed.wait()
                    finally:
                        if late is not None and late.active():
                            late.cancel()
        finally:
            unsubscribe()

    async def _begin(self, request: TailEvents, sources: frozenset[str] | None) -> tuple[Seq, list[Record]]:
        if request.after is not None:
            return Seq(request.after), []
        after = self._journal.head
        if not request.last:
            return after, []
        records = await self._journal.last(min(request.last, MOST), sources=sources)
        return max([after, *(record.seq for record in records)]), records

    async def _follow(self, records: list[Record], undecided: OrderedDict[Seq, Record]) -> list[FollowedEvent]:
        followed = await self._told(records)
        for record, told in zip(records, followed, strict=True):
            if not _decided(told):
                undecided[record.seq] = record
        while len(undecided) > MOST_UNDECIDED:
            undecided.popitem(last=False)
        return followed

    async def _look_again(self, undecided: OrderedDict[Seq, Record]) -> list[FollowedEvent]:
        decided = [told for told in await self._told(list(undecided.values()), again=True) if _decided(told)]
        for told in decided:
            del undecided[Seq(told.event.seq)]
        return decided

    async def _told(self, records: list[Record], *, again: bool = False) -> list[FollowedEvent]:
        if not records:
            return []
        stories = await self._database.read(
            lambda connection: [deliveries(connection, record, self._specs) for record in records]
        )
        return [
            FollowedEvent(summarize(record), story, again) for record, story in zip(records, stories, strict=True)
        ]


def _end(found: Found, head: Seq) -> Seq:
    # A commit may have come between the look at the head and the search.
    return max([head, *(record.seq for record in found.records[-1:])])


def _only(source: str | None) -> frozenset[str] | None:
    return None if source is None else frozenset({source})


def _of_device(records: Iterable[Record], device: str | None) -> list[Record]:
    return [record for record in records if device is None or record.event.device == device]


def _decided(told: FollowedEvent) -> bool:
    return all(delivery.state not in {"pending", "retrying"} for delivery in told.deliveries)
