"""Views and calls of the ERP, as the configuration has them, over the clients that the targets have already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineside.assemble.erpsettings import ErpCallSettings, ErpSettings
from lineside.assemble.frappesites import FrappePart
from lineside.assemble.settings import Settings
from lineside.edges.frappe.allowedcalls import AllowedCall, AllowedCalls
from lineside.edges.frappe.callendpoints import call_endpoints
from lineside.edges.frappe.operators import condition
from lineside.edges.frappe.view import ErpView, Site, View
from lineside.edges.frappe.viewendpoints import endpoints
from lineside.operations.erp import ErpCaller, ErpReader
from lineside.operations.erpcalls import ErpCallOperations
from lineside.operations.registry import Operations
from lineside.operations.web import Endpoint


class ErpViews:
    """What a gateway shows of the ERP, and has it do.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        targets: by name, the parts that hold the connections.
        operations: by way of which calls are carried out.

    """

    def __init__(
        self, reactor: Any, settings: Settings, targets: Mapping[str, Any], operations: Operations
    ) -> None:
        sites: dict[str, Site] = {}
        views = []

        def site_of(table: ErpSettings | ErpCallSettings) -> Site:
            name = settings.shown_from(table)
            part = targets[name]
            assert isinstance(part, FrappePart)
            return sites.setdefault(name, Site(name, part.client))

        for doctype, table in settings.erp.items():
            views.append(view_of(doctype, table, site_of(table)))
        calls = [call_of(name, table, site_of(table)) for name, table in settings.calls.items()]
        caller: ErpCaller | None = AllowedCalls(calls, reactor) if calls else None
        view = ErpView(views, reactor)
        self.reader: ErpReader = view
        """For whoever asks otherwise than over HTTP."""
        self.calls = ErpCallOperations(caller)
        """For whoever wants something done."""
        self.endpoints: list[Endpoint] = [*endpoints(view), *call_endpoints(calls, operations.call)]


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


def call_of(name: str, table: ErpCallSettings, site: Site) -> AllowedCall:
    """Return one call, as the configuration has it."""
    return AllowedCall(
        name,
        site,
        table.method,
        table.params,
        table.fixed,
        table.permission,
        table.timeout,
        table.max_answer,
        table.description,
    )
