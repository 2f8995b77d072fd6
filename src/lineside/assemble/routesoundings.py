"""Holds the fields that routes name to what a site says of them, before there is any document."""

from __future__ import annotations

from msgspec import Struct

from lineside.assemble.routesettings import RouteSettings
from lineside.assemble.settings import Settings
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.doctypes import DocType
from lineside.edges.frappe.levels import Levels, raised
from lineside.edges.frappe.meta import Metas
from lineside.edges.frappe.preflight import tables, unsure, unsure_line
from lineside.model.outcome import Blocked, TargetDown


class Told(Struct, frozen=True):
    """What is to be said of routes; each a line that begins with the route's key path."""

    problems: list[str]
    warnings: list[str]


async def sound_routes(client: FrappeClient, settings: Settings, name: str) -> Told:
    """Ask the target ``name`` about the fields of its routes. Nothing is changed there. Never raises.

    Which values they will have is not known yet: a field that is named counts as filled.
    """
    metas = Metas(client)
    levels = Levels(client, metas)
    told = Told([], [])
    for key, route in settings.routes.items():
        if settings.target_of(route) != name or route.doctype is None or not route.document:
            continue
        new = route.action == "insert"
        match await levels.bar(route.doctype, route.document, new=new):
            case Blocked(reason=reason, remedy=remedy):
                told.problems.append(f"routes.{key}: {reason}; {remedy}")
            case TargetDown(reason=reason):
                told.problems.append(f"routes.{key}: {reason}; try again")
                return told
        described = metas.known(route.doctype)
        if described is None:
            continue
        told.warnings.extend(
            f"routes.{key}: {route.doctype}.{field.path} is permission level {field.level}, and the site does not "
            "say whether the API user may write there; compare the first document with what was sent"
            for field in raised(route.document, described, {}, new=new)
            if levels.may_write(described, field.level) is None
        )
        if route.carries_id:
            told.warnings.extend(f"routes.{key}: {line}" for line in await _unsure(metas, route, described))
    return told


async def _unsure(metas: Metas, route: RouteSettings, described: DocType) -> list[str]:
    document = {**(route.match or {}), **route.document}
    children = {}
    for child in tables(document, described):
        told = await metas.of(child)
        if isinstance(told, DocType):
            children[child] = told
    return [unsure_line(described.name, field) for field in unsure(document, described, children)]
