"""The live call ``erp.get``: what the configuration shows of the ERP, for clients that hold none of its keys."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from lineside.edges.websocket.rpc import Offered
from lineside.operations.erp import ErpReader
from lineside.security.identity import Identity


class AskErp(Struct, forbid_unknown_fields=True):
    """The call's data: one document by its name, or those whose fields have certain values."""

    doctype: str
    name: str | None = None
    filters: dict[str, str] = {}
    start: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


def erp_get(reader: ErpReader) -> Offered:
    """Return what carries the call out; it answers ``answer``, as over HTTP, ``age`` in seconds, and ``stale``."""

    async def get(data: Any, identity: Identity) -> Any:
        asked = msgspec.convert(data, AskErp)
        if asked.name is not None:
            look = await reader.get(identity, asked.doctype, asked.name)
        else:
            look = await reader.list(identity, asked.doctype, asked.filters, start=asked.start, limit=asked.limit)
        return {"answer": Raw(look.body), "age": round(look.age, 1), "stale": look.stale}

    return get
