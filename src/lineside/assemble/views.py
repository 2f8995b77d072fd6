"""The views of the ERP that a configuration has."""

from __future__ import annotations

from collections.abc import Mapping

from lineside.assemble.frappesites import FrappePart
from lineside.assemble.settings import Settings
from lineside.edges.frappe.viewendpoints import view_endpoints
from lineside.edges.frappe.views import ErpView, View
from lineside.model.ports import Part
from lineside.operations.web import Endpoint


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

    async def start(self) -> None:
        """Nothing is asked before somebody asks."""

    async def stop(self) -> None:
        """Ask nothing any more."""
        for view in self.by_doctype.values():
            await view.stop()
