"""Where people see what a route made in the ERP."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.settings import Settings


def document_links(settings: Settings) -> Callable[[str, str], str | None]:
    """Return what tells a document's page in Frappe's desk, by its route's id and its own name."""
    desks: dict[str, str] = {}
    for name, route in settings.routes.items():
        target = settings.targets[settings.target_of(route)]
        if isinstance(target, FrappeTargetSettings) and route.doctype is not None:
            slug = quote(route.doctype.lower().replace(" ", "-"), safe="")
            desks[route.id or name] = f"{target.address.rstrip('/')}/app/{slug}/"

    def link(route: str, name: str) -> str | None:
        desk = desks.get(route)
        return None if desk is None else desk + quote(name, safe="")

    return link
