"""The one door: a request is checked against its permission and carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from lineside.model.errors import LinesideError
from lineside.operations.requests import Request
from lineside.security.identity import Identity, Permission, check

Q = TypeVar("Q", bound=Request[Any])
R = TypeVar("R")


class NotOffered(LinesideError):
    """The configuration has no part that could answer."""


LOOKING: frozenset[Permission] = frozenset({"read", "consult"})
"""What is permitted by these changes nothing."""
INSIDE = "inside"
"""Where the gateway itself asks."""


class AuditLog(Protocol):
    """Puts on record who did what."""

    async def recorded(
        self, request: Request[R], identity: Identity, where: str, carry_out: Callable[[], Awaitable[R]]
    ) -> R:
        """Carry something out that is on record before it begins, and before its result is told.

        Raises:
            LinesideError: it cannot be put on record; or what ``carry_out`` raises.

        """
        ...


class Operations:
    """Every operation there is, by the type of its request.

    Args:
        audit: where to put on record what changes something; None where nothing is kept.

    """

    def __init__(self, audit: AuditLog | None = None) -> None:
        self._audit = audit
        self._needs: dict[type, Callable[[Any], Permission]] = {}
        self._answers: dict[type, Callable[[Any, Identity], Coroutine[Any, Any, Any]]] = {}
        self._streams: dict[type, Callable[[Any], AsyncIterator[Any]]] = {}

    def answer(self, request: type[Q], carry_out: Callable[[Q], Coroutine[Any, Any, Any]]) -> None:
        """Carry ``request`` out by a coroutine function that returns its result."""
        self._answers[request] = lambda asked, _: carry_out(asked)

    def answer_to(
        self,
        request: type[Q],
        carry_out: Callable[[Q, Identity], Coroutine[Any, Any, Any]],
        *,
        needs: Callable[[Q], Permission] | None = None,
    ) -> None:
        """Carry ``request`` out as `answer` does, by what has to know who asks.

        With ``needs`` one request may need another permission than the next, and none less than their type says.
        """
        self._answers[request] = carry_out
        if needs is not None:
            self._needs[request] = needs

    def stream(self, request: type[Q], carry_out: Callable[[Q], AsyncIterator[Any]]) -> None:
        """Carry ``request`` out by an asynchronous generator that yields results without end."""
        self._streams[request] = carry_out

    def offers(self, request: type[Request[Any]]) -> bool:
        """Whether such requests are carried out here, and have one result."""
        return request in self._answers

    def streams(self, request: Request[Any]) -> bool:
        """Whether ``request`` has many results."""
        return type(request) in self._streams

    async def call(self, request: Request[R], identity: Identity, where: str = INSIDE) -> R:
        """Carry out a request that has one result; what changes something is put on record.

        Args:
            request: what is asked for.
            identity: who asks.
            where: the door by which they came, and from where.

        Raises:
            NotPermitted: ``identity`` may not.
            NotOffered: nothing here carries such requests out.
            LinesideError: it failed; the text is for the one who asked.

        """
        check(identity, request.permission)
        if type(request) not in self._answers:
            raise NotOffered(
                f"nothing here answers {request.__struct_config__.tag}; the configuration has no such part"
            )
        needed = self._needs.get(type(request), lambda asked: asked.permission)(request)
        check(identity, needed)

        async def carry_out() -> R:
            result: R = await self._answers[type(request)](request, identity)
            return result

        if self._audit is None or needed in LOOKING or request.looks:
            return await carry_out()
        return await self._audit.recorded(request, identity, where, carry_out)

    def follow(self, request: Request[R], identity: Identity) -> AsyncIterator[R]:
        """Carry out a request that has many results; close the iterator to end it.

        Raises:
            NotPermitted: ``identity`` may not.

        """
        check(identity, request.permission)
        return self._streams[type(request)](request)
