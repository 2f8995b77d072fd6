"""Calls of the ERP that the configuration allows, as an operation."""

from __future__ import annotations

from lineside.model.errors import NotFound
from lineside.operations.erp import ErpCaller
from lineside.operations.registry import Operations
from lineside.operations.requests import CallErp
from lineside.operations.results import CalledErp
from lineside.security.identity import Identity, Permission


class ErpCallOperations:
    """What may be asked of the ERP beside documents.

    Args:
        caller: has it done; None where nothing is allowed.

    """

    def __init__(self, caller: ErpCaller | None) -> None:
        self._caller = caller

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer_to(CallErp, self.call, needs=self.needs)

    def needs(self, request: CallErp) -> Permission:
        """Return what the configuration says of this call."""
        return "consult" if self._caller is None else self._caller.permission(request.name)

    async def call(self, request: CallErp, identity: Identity) -> CalledErp:
        """Have the ERP do something, once; see `ErpCaller.call`."""
        if self._caller is None:
            raise NotFound("no call of the ERP is allowed; [calls.NAME] of the configuration names them")
        return CalledErp(request.name, await self._caller.call(identity, request.name, request.params))
