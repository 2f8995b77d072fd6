"""Asks a site whether it would show what the configuration wants to show of it."""

from __future__ import annotations

from msgspec import Struct

from lineside.assemble.erpviews import view_of
from lineside.assemble.settings import Settings
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.view import Site, Trouble, try_view
from lineside.model.wording import key_path


class Views(Struct, frozen=True):
    """What is to be said of views; each a line that begins with the view's key path."""

    found: list[str]
    warnings: list[str]
    problems: list[str]


async def sound_views(client: FrappeClient, settings: Settings, name: str) -> Views:
    """Ask the target ``name`` for a document of each DocType that is shown. Never raises."""
    told = Views([], [], [])
    site = Site(name, client)
    for doctype, table in settings.erp.items():
        if settings.shown_from(table) != name:
            continue
        where = key_path("erp", doctype)
        tried = await try_view(view_of(doctype, table, site))
        if isinstance(tried, Trouble):
            told.problems.append(f"{where}: {tried.reason}; {tried.remedy}")
        elif tried:
            lacking = ", ".join(tried)
            told.warnings.append(f"{where}: the site does not show {lacking}; may the API user read it?")
        else:
            told.found.append(f"{where}: the site shows it")
    return told
