"""How a task's function is called, whatever its kind.

There are four: a coroutine function, one that returns a `Deferred`, a generator function (plain or asynchronous)
that yields how far it is, and a blocking function, which gets a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from threading import Thread
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure

from lineside.tasks.context import Cancelled, Context, ThreadContext

Step = float | tuple[Any, ...] | Awaitable[Any] | None
"""What a generator yields: ``done``, ``(done, total)`` or ``(done, total, message)``; a plain one may also yield
something to wait for, or None to let others work."""


async def call(function: Callable[..., Any], context: Context[Any], cooperator: Cooperator) -> Any:
    """Return what the function returns in the end. Cancelling cancels what it waits for.

    A plain generator gets a share of each turn of the reactor, so that a long one holds nobody up.
    """
    result = function(context)
    if isinstance(result, Generator):
        return await _generator(result, context, cooperator)
    if isinstance(result, AsyncGenerator):
        return await _async_generator(result, context)
    if isinstance(result, Awaitable):
        return await result
    return result


def call_in_thread(function: Callable[..., Any], context: Context[Any], reactor: Any) -> Deferred[Any]:
    """Call a blocking function on a daemon thread of its own; the Deferred fires when it returns.

    Cancelling it sets the context's ``cancelled``, ends what the function waits for by its context, and goes no
    further, for nothing can stop a thread: it still fires when the function ends.
    """

    def tell(_: Deferred[Any]) -> None:
        context.cancelled = True
        inside.interrupt()

    # The canceller must not make it fail: it waits for the function.
    done: Deferred[Any] = Deferred()
    outcome: Deferred[Any] = _Uncancellable(tell)
    done.chainDeferred(outcome)
    inside = ThreadContext(context, reactor)

    def work() -> None:
        result: Any
        try:
            result = function(inside)
            if isinstance(result, Generator):
                result = _drive(result, inside)
        except BaseException:  # noqa: BLE001 (it goes to the run)
            result = Failure()
        reactor.callFromThread(done.callback, result)

    Thread(target=work, name=f"task-{context.task}-{context.run}", daemon=True).start()
    return outcome


class _Uncancellable(Deferred[Any]):
    """A Deferred that hears of its cancelling and fires as if it had not."""

    def __init__(self, hear: Callable[[Deferred[Any]], None]) -> None:
        super().__init__()
        self._hear = hear

    def cancel(self) -> None:
        if not self.called:
            self._hear(self)


def params_type(function: Callable[..., Any]) -> type | None:
    """Return what a function wants its parameters to be: by an annotation ``Context[Params]``; None for a dict.

    Raises:
        TypeError: the annotation is of no type that parameters can be made into.

    """
    try:
        hints = get_type_hints(function)
        first = next(iter(inspect.signature(function).parameters), None)
    except (NameError, TypeError, ValueError):
        return None
    wanted = hints.get(first) if first is not None else None
    if get_origin(wanted) not in {Context, ThreadContext}:
        return None
    (kind,) = get_args(wanted)
    if kind is Any or get_origin(kind) is dict or kind is dict:
        return None
    if not isinstance(kind, type):
        raise TypeError(f"{function.__name__}: {kind} is no type for parameters")
    return kind


def typed(params: Any, kind: type | None) -> Any:
    """Return parameters as the function wants them.

    Raises:
        msgspec.ValidationError: they are not right; its text says which.

    """
    return params if kind is None else msgspec.convert(params, kind, strict=False)


async def _generator(work: Generator[Step, Any, Any], context: Context[Any], cooperator: Cooperator) -> Any:
    answer: Any = None
    try:
        while True:
            step = work.send(answer)
            answer = None
            if isinstance(step, Awaitable):
                answer = await step
            else:
                _tell(step, context)
                await cooperator.cooperate(iter(())).whenDone()
    except StopIteration as ended:
        return ended.value
    finally:
        work.close()


async def _async_generator(work: AsyncGenerator[Step, Any], context: Context[Any]) -> None:
    try:
        async for step in work:
            _tell(step, context)
    finally:
        await work.aclose()


def _drive(work: Generator[Step, Any, Any], context: ThreadContext[Any]) -> Any:
    try:
        while True:
            step = next(work)
            if step is not None:
                context.progress(*_told(step))
            context.check()
    except StopIteration as ended:
        return ended.value
    except Cancelled:
        work.close()
        raise


def _tell(step: Any, context: Context[Any]) -> None:
    if step is not None:
        context.progress(*_told(step))


def _told(step: Any) -> tuple[Any, ...]:
    told = step if isinstance(step, tuple) else (step,)
    if not 1 <= len(told) <= 3 or not isinstance(told[0], int | float):
        raise TypeError(f"yield done, (done, total) or (done, total, message), not {step!r}")
    return told
