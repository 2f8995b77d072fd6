"""Calls of clients: the typed operations by their names, and what other parts of the gateway offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from lineside.edges.websocket.codes import BAD_REQUEST, METHOD_NOT_FOUND, ErrorCode, Refused
from lineside.operations import requests
from lineside.operations.registry import Operations
from lineside.operations.requests import Request
from lineside.security.identity import Identity

BESIDE = frozenset({"devices.command", "erp.call"})
"""Calls that may take as long as a device or the ERP takes: a client's other commands do not wait for them."""

Offered = Callable[[Any, Identity], Awaitable[Any]]
"""Gets the call's data, decoded, and who calls; returns what becomes JSON. It checks by itself who may.

A `msgspec.ValidationError` that it raises is the caller's fault.
"""


class Rpc:
    """Carries out calls.

    Args:
        operations: may be called by their names, such as ``deadletters.retry``.
        offered: further methods by name.

    """

    def __init__(self, operations: Operations, offered: Mapping[str, Offered] | None = None) -> None:
        self._operations = operations
        self._offered = dict(offered or {})
        self._requests = {
            str(kind.__struct_config__.tag): kind
            for kind in vars(requests).values()
            if isinstance(kind, type) and issubclass(kind, Request) and kind is not Request
        }

    async def call(self, method: str, data: bytes, identity: Identity, where: str) -> Any:
        """Carry out a call; ``where`` is the door and the address from which it comes.

        Raises:
            Refused: there is no such method, or the data are not as it wants them.
            LinesideError: it failed; the text is for the one who asked.

        """
        offered, kind = self._offered.get(method), self._requests.get(method)
        if offered is None and (kind is None or not self._operations.offers(kind)):
            raise Refused(METHOD_NOT_FOUND)
        try:
            given = (msgspec.json.decode(data) if data else None) or {}
            if offered is not None:
                return await offered(given, identity)
            assert kind is not None
            request = msgspec.convert(given, kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise Refused(ErrorCode(BAD_REQUEST.code, f"bad request: {wrong}")) from wrong
        return msgspec.to_builtins(await self._operations.call(request, identity, where))
