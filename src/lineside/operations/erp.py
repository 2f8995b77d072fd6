"""What the ERP holds, for whoever must not have its keys: the seam between those who ask and who answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.security.identity import Identity


class Look(Struct, frozen=True):
    """What the ERP said, just now or some time ago. Times are in seconds."""

    body: bytes
    """JSON: of a document the object of its fields, of a list ``doctype``, ``rows`` and ``more``."""
    age: float
    """Since the ERP was asked for it."""
    ttl: float
    """For so long it counts as fresh; below 0 it is stale: the ERP does not answer at present."""
    asked: bool = False
    """The ERP was asked just now, whether it answered or not."""
    shared: bool = False
    """Another one had asked the same already, and this one only waited."""

    @property
    def stale(self) -> bool:
        """It may have changed meanwhile, and the ERP does not tell."""
        return self.ttl < 0


class WrongQuestion(LinesideError):
    """The one who asks gave a filter, a number or a text that the view does not take."""


class ErpAway(LinesideError):
    """The ERP does not answer, and nothing is kept that could be shown instead."""

    def __init__(self, text: str, after: float) -> None:
        super().__init__(text)
        self.after = after
        """Seconds after which to ask again."""


class ErpUnwilling(LinesideError):
    """The ERP turns the gateway away, or cannot answer this question: a person must act; the log says how."""


class ErpReader(Protocol):
    """Answers questions about documents, as far as the configuration lets them out.

    Every method raises `NotFound` for a DocType that is not shown and a document that is not there, `NotPermitted`,
    `WrongQuestion`, `ErpAway` and `ErpUnwilling`. Whoever gives up cancels; the ERP is still asked for the others
    that wait for the same.
    """

    async def get(self, identity: Identity, doctype: str, name: str) -> Look:
        """Return one document."""
        ...

    async def list(
        self,
        identity: Identity,
        doctype: str,
        filters: Mapping[str, str] = {},
        *,
        start: int = 0,
        limit: int | None = None,
    ) -> Look:
        """Return documents.

        Args:
            identity: who asks.
            doctype: of which kind.
            filters: by field, the value that it must have.
            start: so many are left out.
            limit: so many at most; None for as many as the view allows.

        """
        ...
