"""Views of the ERP, as the configuration has them, over the clients that the targets have already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineside.assemble.erpsettings import ErpSettings
from lineside.assemble.frappesites import FrappePart
from lineside.assemble.settings import Settings
from lineside.edges.frappe.operators import condition
from lineside.edges.frappe.view import ErpView, Site, View
from lineside.edges.frappe.viewendpoints import endpoints
from lineside.operations.erp import ErpReader
from lineside.operations.web import Endpoint


class ErpViews:
    """What a gateway shows of the ERP.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        targets: by name, the parts that hold the connections.

    """

    def __init__(self, reactor: Any, settings: Settings, targets: Mapping[str, Any]) -> None:
        sites: dict[str, Site] = {}
        views = []
        for doctype, table in settings.erp.items():
            name = settings.shown_from(table)
            part = targets[name]
            assert isinstance(part, FrappePart)
            site = sites.setdefault(name, Site(name, part.client))
            views.append(view_of(doctype, table, site))
        view = ErpView(views, reactor)
        self.reader: ErpReader = view
        """For whoever asks otherwise than over HTTP."""
        self.endpoints: list[Endpoint] = endpoints(view)


def view_of(doctype: str, table: ErpSettings, site: Site) -> View:
    """Return one view, as the configuration has it."""
    return View(
        doctype,
        site,
        table.fields,
        tuple(condition(field, value) for field, value in table.filters.items()),
        table.filter_by,
        table.order_by,
        table.limit,
        table.ttl,
        table.stale_if_error,
        table.timeout,
        table.permission,
        table.description,
    )
