"""Dead letters: list, show, retry, discard."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock

from lineside.journal import deadletters
from lineside.journal.deadletters import UNDECODABLE, DeadLetter
from lineside.journal.log import SqliteJournal
from lineside.model.errors import NotFound
from lineside.model.event import Event
from lineside.operations.registry import Operations
from lineside.operations.requests import DiscardDeadLetters, ListDeadLetters, RetryDeadLetters, ShowDeadLetter
from lineside.operations.results import DeadLetterList, DeadLetterSummary, Done
from lineside.operations.texts import summarize_letter
from lineside.store.database import Database
from lineside.wire.framing import decodable_again

MOST = 1000
"""Dead letters in one answer."""


class Readmitting(Protocol):
    """A route's consumer, as far as dead letters are concerned."""

    async def readmit(self, letter: DeadLetter) -> bool:
        """Hand the letter out again; False if that is under way."""
        ...


class DeadLetterOperations:
    """What may be asked of dead letters.

    Args:
        journal: open.
        database: the journal's.
        decoders: by source, what turns a frame into an event.
        consumers: by route.

    """

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        decoders: Mapping[str, Callable[[bytes, str | None], Event]],
        consumers: Mapping[str, Readmitting],
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._journal = journal
        self._database = database
        self._decoders = decoders
        self._consumers = consumers
        self._now_ns = now_ns
        self._busy = DeferredLock()

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListDeadLetters, self.list_letters)
        operations.answer(ShowDeadLetter, self.show)
        operations.answer(RetryDeadLetters, self.retry)
        operations.answer(DiscardDeadLetters, self.discard)

    async def list_letters(self, request: ListDeadLetters) -> DeadLetterList:
        """Return dead letters above ``after``."""
        limit = max(1, min(request.limit, MOST))
        letters = await self._page(request.after, request.route, limit)
        total = await self._database.read(deadletters.count)
        return DeadLetterList([summarize_letter(letter) for letter in letters], total)

    async def show(self, request: ShowDeadLetter) -> DeadLetterSummary:
        """Return one dead letter.

        Raises:
            NotFound: there is none with this id.

        """
        return summarize_letter(await self._get(request.id), whole=True)

    async def retry(self, request: RetryDeadLetters) -> Done:
        """Give dead letters another chance; what is still wrong comes back as it was."""
        return await self._each(request.ids, request.route, self._try_again)

    async def discard(self, request: DiscardDeadLetters) -> Done:
        """Remove dead letters, but for those that are being delivered again."""
        return await self._each(request.ids, request.route, self._give_up)

    async def _each(
        self,
        ids: list[int] | None,
        route: str | None,
        treat: Callable[[DeadLetter], Coroutine[Deferred[Any], Any, str | None]],
    ) -> Done:
        # One command at a time, and each letter read anew when its turn comes: two people who retry the same
        # letter must not make two events of it.
        await self._busy.acquire()
        try:
            done, skipped = 0, []
            async for letter in self._chosen(ids, route):
                why = await treat(letter)
                if why is None:
                    done += 1
                else:
                    skipped.append(f"{letter.id}: {why}")
            return Done(done, skipped)
        finally:
            self._busy.release()

    async def _give_up(self, letter: DeadLetter) -> str | None:
        if letter.retrying:
            return "is being delivered again"
        await self._database.write(partial(deadletters.discard, letter=letter, at_ns=self._now_ns()))
        return None

    async def _try_again(self, letter: DeadLetter) -> str | None:
        return await (self._decode_again(letter) if letter.consumer == UNDECODABLE else self._readmit(letter))

    async def _readmit(self, letter: DeadLetter) -> str | None:
        consumer = self._consumers.get(letter.consumer)
        if consumer is None:
            return f"there is no route {letter.consumer} any more"
        return None if await consumer.readmit(letter) else "is being delivered again already"

    async def _decode_again(self, letter: DeadLetter) -> str | None:
        decode = self._decoders.get(letter.record.source)
        if decode is None:
            return f"there is no source {letter.record.source} any more"
        error = letter.record.event.error or ""
        if not decodable_again(error):
            return f"{error}; no whole frame was kept, so it is not decoded again"
        event = decode(letter.record.event.raw or b"", letter.record.event.device)
        if event.error is not None:
            return event.error
        forget = partial(deadletters.forget, consumer=letter.consumer, seq=letter.record.seq)
        await self._journal.append(letter.record.source, [event], also=forget)
        return None

    async def _chosen(self, ids: list[int] | None, route: str | None) -> AsyncIterator[DeadLetter]:
        if ids is not None:
            for identifier in dict.fromkeys(ids):
                yield await self._get(identifier)
            return
        after = 0
        while letters := await self._page(after, route, 1):
            after = letters[0].id
            yield letters[0]

    async def _get(self, identifier: int) -> DeadLetter:
        letter = await self._database.read(lambda connection: deadletters.get(connection, identifier))
        if letter is None:
            raise NotFound(f"there is no dead letter {identifier}")
        return letter

    async def _page(self, after: int, route: str | None, limit: int) -> list[DeadLetter]:
        return await self._database.read(
            lambda connection: deadletters.page(connection, after=after, consumer=route, limit=limit)
        )
