"""The one door: a request is checked against its permission and carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from lineside.model.errors import LinesideError
from lineside.operations.requests import Permission, Request

Q = TypeVar("Q", bound=Request[Any])
R = TypeVar("R")

RANKS: dict[Permission, int] = {"viewer": 0, "operator": 1, "admin": 2}


class NotPermitted(LinesideError):
    """The one who asks may not do this."""


class Operations:
    """Every operation there is, by the type of its request."""

    def __init__(self) -> None:
        self._answers: dict[type, Callable[[Any], Coroutine[Any, Any, Any]]] = {}
        self._streams: dict[type, Callable[[Any], AsyncIterator[Any]]] = {}

    def answer(self, request: type[Q], carry_out: Callable[[Q], Coroutine[Any, Any, Any]]) -> None:
        """Carry ``request`` out by a coroutine function that returns its result."""
        self._answers[request] = carry_out

    def stream(self, request: type[Q], carry_out: Callable[[Q], AsyncIterator[Any]]) -> None:
        """Carry ``request`` out by an asynchronous generator that yields results without end."""
        self._streams[request] = carry_out

    def streams(self, request: Request[Any]) -> bool:
        """Whether ``request`` has many results."""
        return type(request) in self._streams

    async def call(self, request: Request[R], permission: Permission) -> R:
        """Carry out a request that has one result.

        Raises:
            NotPermitted: ``permission`` is not enough.
            LinesideError: it failed; the text is for the one who asked.

        """
        _check(request, permission)
        result: R = await self._answers[type(request)](request)
        return result

    def follow(self, request: Request[R], permission: Permission) -> AsyncIterator[R]:
        """Carry out a request that has many results; close the iterator to end it.

        Raises:
            NotPermitted: ``permission`` is not enough.

        """
        _check(request, permission)
        return self._streams[type(request)](request)


def _check(request: Request[Any], permission: Permission) -> None:
    if RANKS[permission] < RANKS[request.permission]:
        raise NotPermitted(f"this needs the permission {request.permission}; you have {permission}")
