"""The plant's DNS zones, as they are answered at a moment."""

from __future__ import annotations

from typing import Protocol

from lineside.operations.registry import NotOffered, Operations
from lineside.operations.requests import ShowZone
from lineside.operations.zoneresults import ZoneView


class Zones(Protocol):
    """What serves zones."""

    def view(self) -> ZoneView:
        """Return them as they are now."""
        ...


class NameOperations:
    """What may be asked of the plant's names.

    Args:
        zones: what serves them; None where nothing does.

    """

    def __init__(self, zones: Zones | None) -> None:
        self._zones = zones

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ShowZone, self.show)

    async def show(self, request: ShowZone) -> ZoneView:
        """Return the zones.

        Raises:
            NotOffered: there are none.

        """
        if self._zones is None:
            raise NotOffered("there is no zone: no gateway runs, or its configuration has no zone in [dns]")
        return self._zones.view()
