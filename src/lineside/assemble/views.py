"""The views of the ERP that a configuration has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from lineside.assemble.frappesites import FrappePart
from lineside.assemble.settings import Settings
from lineside.edges.frappe.viewendpoints import view_endpoints
from lineside.edges.frappe.views import ErpView, View
from lineside.model.errors import NotFound
from lineside.model.ports import Part
from lineside.operations.web import Endpoint
from lineside.security.identity import Identity


class AskErp(Struct, forbid_unknown_fields=True):
    """The data of the live call ``erp.get``: one document by its name, or those with certain values."""

    doctype: str
    name: str | None = None
    filters: dict[str, str] = {}
    start: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Meta(ge=1)] | None = None


class Views:
    """All views, as a `Part`.

    Args:
        settings: of the whole gateway.
        targets: the sites among them are asked.

    """

    name = "views"

    def __init__(self, settings: Settings, targets: Mapping[str, Part]) -> None:
        self.by_doctype: dict[str, ErpView] = {}
        for name, table in settings.views.items():
            site = targets[table.target or next(iter(settings.sites))]
            assert isinstance(site, FrappePart)
            view = View(
                name,
                table.doctype,
                tuple(dict.fromkeys(("name", *table.fields))),
                table.filters,
                frozenset(table.filter_by),
                table.order_by,
                table.limit,
                table.ttl,
                table.stale_if_error,
                table.devices,
            )
            self.by_doctype[table.doctype] = ErpView(view, site.client)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Over which they are asked."""
        return view_endpoints(self.by_doctype.values())

    async def ask(self, data: Any, identity: Identity) -> Any:
        """Answer the live call ``erp.get``; see `AskErp`.

        Raises:
            LinesideError: there is no such view, the one who asks may not see it, or the ERP gives no answer.

        """
        asked = msgspec.convert(data, AskErp)
        view = self.by_doctype.get(asked.doctype)
        if view is None:
            raise NotFound(f"there is no view of the DocType {asked.doctype!r}")
        view.check(identity)
        if asked.name is not None:
            seen = await view.get(asked.name)
            return {"data": seen.rows[0], "stale": seen.stale}
        seen = await view.find(asked.filters, start=asked.start, limit=asked.limit)
        return {"data": seen.rows, "stale": seen.stale}

    async def start(self) -> None:
        """Nothing is asked before somebody asks."""

    async def stop(self) -> None:
        """Ask nothing any more."""
        for view in self.by_doctype.values():
            await view.stop()
