"""What the ERP holds, for whoever must not have its keys: the seam between those who ask and who answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.security.identity import Identity, Permission


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


class ErpRefused(LinesideError):
    """The ERP did not do what was asked, in its own words."""


class ErpUnsure(LinesideError):
    """The ERP was asked to do something, and whether it did is not known; it is not asked again."""


class ErpCaller(Protocol):
    """Has the ERP do what the configuration allows by a name."""

    def permission(self, name: str) -> Permission:
        """Return what a caller must be allowed; ``consult``, the least, where nothing has this name."""
        ...

    async def call(self, identity: Identity, name: str, params: Mapping[str, Any]) -> Any:
        """Have it done, once, and return what the ERP answers.

        Raises:
            NotFound: nothing is allowed by this name.
            NotPermitted: not to this one.
            WrongQuestion: a parameter is not known, or they are too large.
            ErpRefused: the ERP did not do it.
            ErpAway: the ERP was not reached; it is not done.
            ErpUnsure: it may be done or not.
            ErpUnwilling: a person must act; the log says how.

        """
        ...


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
