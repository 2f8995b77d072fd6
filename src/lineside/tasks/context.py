"""What a task's function gets: its parameters, and everything that it may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread

from lineside.model.event import Receipt

P = TypeVar("P")
T = TypeVar("T")

LINES = 1_000
"""Lines of one run's log that are kept, the first of them."""
LONGEST_LINE = 2_000
"""Characters of such a line."""


class Erp(Protocol):
    """The ERP, for tasks. Calls wait their turn in the site's budget, and while it is away for its return."""

    async def get(self, doctype: str, name: str) -> dict[str, Any]:
        """Return one document."""
        ...

    async def get_list(
        self,
        doctype: str,
        *,
        fields: Sequence[str] = ("name",),
        filters: Any = None,
        order_by: str | None = None,
        start: int = 0,
        limit: int = 20,
    ) -> list[dict[str, Any]]:
        """Return documents."""
        ...

    async def call(self, method: str, arguments: dict[str, Any] | None = None, *, safe: bool = False) -> Any:
        """Call a method; one that is ``safe`` changes nothing, and is asked again where no answer comes."""
        ...


class Appending(Protocol):
    """The journal, as far as tasks add to it."""

    async def append(
        self,
        source: str,
        documents: Sequence[Mapping[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
    ) -> list[Receipt]:
        """Store documents as events of a source with ``type = "tasks"``; durable when it returns.

        They are stored in order, a thousand in a transaction. A run that is resumed appends again what it had: a
        document whose key is known is not stored again, so give the source a ``dedupe`` field, or keys here.

        Args:
            source: its name.
            documents: what JSON can hold.
            keys: one for each document, in place of the field that the source's ``dedupe`` names.

        Returns:
            For each document its sequence, and whether it is a repeat.

        Raises:
            NoSource: there is no such source, or it is of another type.
            ValueError: a document cannot be an event; none is stored.
            SourcePaused: a person stopped the source.
            JournalFull: there is no room.

        """
        ...


class Recording(Protocol):
    """Where a context keeps what it is told. Called on the reactor's thread."""

    def progressed(self, done: float, total: float | None, message: str | None) -> None:
        """Note how far the run is."""
        ...

    def logged(self, text: str) -> None:
        """Add a line to the run's log."""
        ...

    def finished_step(self, name: str) -> bytes | None:
        """Return the stored result of a step; None if it has not been finished."""
        ...

    async def keep_step(self, name: str, result: bytes) -> None:
        """Store a step's result; durable when it returns."""
        ...


class NoErp(RuntimeError):
    """A task asks for the ERP and no site is configured for it."""


class Cancelled(CancelledError):
    """The run is to end: somebody cancelled it, its time is over, or the gateway stops."""


class Context(Generic[P]):
    """What a function on the reactor's thread gets. Its methods are called there.

    Args:
        run: the run's number.
        task: the task's name.
        attempt: 1 at first.
        params: the run's parameters: a dict, or what the function's annotation says, `Context[Params]`.
        clock: the reactor's time.
        recording: keeps progress, log and steps.
        journal: adds events to sources.
        erp: the ERP; None where none is configured.
        now_ns: the wall clock.

    """

    def __init__(
        self,
        run: int,
        task: str,
        attempt: int,
        params: P,
        clock: IReactorTime,
        recording: Recording,
        journal: Appending,
        erp: Erp | None,
        now_ns: Callable[[], int],
    ) -> None:
        self.run = run
        self.task = task
        self.attempt = attempt
        self.params = params
        self.clock = clock
        self.journal = journal
        self._recording = recording
        self._erp = erp
        self._now_ns = now_ns
        self.cancelled = False
        """Whether it is to end; a coroutine is told by a `CancelledError` where it waits."""

    @property
    def erp(self) -> Erp:
        """The ERP.

        Raises:
            NoErp: no site is configured for this task.

        """
        if self._erp is None:
            raise NoErp(f"tasks.{self.task}: no target of type frappe is there to ask; name one by `target`")
        return self._erp

    def now(self) -> datetime:
        """Return the moment, in UTC, by the wall clock."""
        return datetime.fromtimestamp(self._now_ns() / 1e9, UTC)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the run is. It costs little: the newest is kept, and not more often than people look."""
        self._recording.progressed(done, total, message)

    def log(self, text: str) -> None:
        """Add a line to the run's log."""
        self._recording.logged(text)

    def check(self) -> None:
        """Raise `Cancelled` if the run is to end."""
        if self.cancelled:
            raise Cancelled

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await deferLater(self.clock, seconds)

    async def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function(*args)`` returns, and never call it again once that is stored.

        A run that is resumed gets the stored result. Between the function's end and the commit of its result a
        crash makes it run once more. Results go through JSON: a tuple comes back as a list, at the first time too.

        Raises:
            TypeError: the result is nothing that JSON has.

        """
        stored = self._recording.finished_step(name)
        if stored is None:
            result = function(*args)
            if isinstance(result, Awaitable):
                result = await result
            stored = encoded(result, f"step {name!r}")
            await self._recording.keep_step(name, stored)
        return msgspec.json.decode(stored)


class ThreadContext(Generic[P]):
    """What a blocking function gets, on its thread: the same, as plain calls that wait.

    Args:
        inner: does the work, on the reactor's thread.
        reactor: whose thread that is.

    """

    def __init__(self, inner: Context[P], reactor: Any) -> None:
        self._inner = inner
        self._reactor = reactor
        self.run, self.task, self.attempt, self.params = inner.run, inner.task, inner.attempt, inner.params
        self._waits: Deferred[Any] | None = None

    def interrupt(self) -> None:
        """End what `wait` waits for, if it does. Called on the reactor's thread, where the run is to end."""
        if self._waits is not None:
            self._waits.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether it is to end: nothing can stop a blocking function but itself."""
        return self._inner.cancelled

    def now(self) -> datetime:
        """Return the moment, in UTC, by the wall clock."""
        return self._inner.now()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the run is.

        Raises:
            Cancelled: it is to end.

        """
        self.check()
        self._reactor.callFromThread(self._inner.progress, done, total, message)

    def log(self, text: str) -> None:
        """Add a line to the run's log."""
        self._reactor.callFromThread(self._inner.log, text)

    def check(self) -> None:
        """Raise `Cancelled` if the run is to end."""
        self._inner.check()

    def wait(self, start: Callable[[], Awaitable[T]]) -> T:
        """Call ``start`` on the reactor's thread, wait for what it returns, and return its result.

        So a blocking function asks the ERP: ``ctx.wait(lambda: ctx.erp.get("Item", name))``.

        Raises:
            CancelledError: it is to end; what it waited for was cancelled.

        """
        self.check()

        async def awaited() -> T:
            self.check()
            return await start()

        def begin() -> Deferred[T]:
            self._waits = Deferred.fromCoroutine(awaited())
            return self._waits.addBoth(self._waited)

        # Its annotation knows functions of one kind only.
        return cast(T, blockingCallFromThread(self._reactor, cast(Any, begin)))

    @property
    def erp(self) -> Erp:
        """The ERP; see `wait`."""
        return self._inner.erp

    @property
    def journal(self) -> Appending:
        """The journal; see `wait`."""
        return self._inner.journal

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """Do as `Context.step`; ``function`` blocks, on this thread."""
        self.check()
        stored = self.wait(lambda: self._stored(name))
        if stored is None:
            stored = result = encoded(function(*args), f"step {name!r}")
            self.wait(lambda: self._inner._recording.keep_step(name, result))
        return msgspec.json.decode(stored)

    def _waited(self, result: T) -> T:
        self._waits = None
        return result

    async def _stored(self, name: str) -> bytes | None:
        return self._inner._recording.finished_step(name)


def encoded(value: Any, what: str) -> bytes:
    """Return a result as JSON.

    Raises:
        TypeError: JSON has nothing of the kind.

    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as wrong:
        raise TypeError(f"the result of {what} cannot be kept: {wrong}") from wrong
