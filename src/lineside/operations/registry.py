"""The one door: a request is checked against its permission and carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from lineside.model.errors import LinesideError
from lineside.operations.requests import Request
from lineside.security.identity import Identity, check

Q = TypeVar("Q", bound=Request[Any])
R = TypeVar("R")


class NotOffered(LinesideError):
    """The configuration has no part that could answer."""


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

    def offers(self, request: type[Request[Any]]) -> bool:
        """Whether such requests are carried out here, and have one result."""
        return request in self._answers

    def streams(self, request: Request[Any]) -> bool:
        """Whether ``request`` has many results."""
        return type(request) in self._streams

    async def call(self, request: Request[R], identity: Identity) -> R:
        """Carry out a request that has one result.

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
        result: R = await self._answers[type(request)](request)
        return result

    def follow(self, request: Request[R], identity: Identity) -> AsyncIterator[R]:
        """Carry out a request that has many results; close the iterator to end it.

        Raises:
            NotPermitted: ``identity`` may not.

        """
        check(identity, request.permission)
        return self._streams[type(request)](request)
