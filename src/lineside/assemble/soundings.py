"""Asks targets what a gateway would find out by delivering: who answers, who may in, what is prepared."""

from __future__ import annotations

from msgspec import Struct

from lineside.assemble.routesoundings import sound_routes
from lineside.assemble.settings import Settings
from lineside.assemble.viewsoundings import sound_views
from lineside.edges.frappe.attachments import may_attach
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.idfield import IdField
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.outcome import Blocked, TargetDown


class Sounding(Struct, frozen=True):
    """What one target said; each a line that begins with the target's key path."""

    found: list[str]
    """What is as it should be."""
    warnings: list[str]
    """What works but had better be otherwise."""
    problems: list[str]
    """What keeps deliveries out, and what to do about it."""


async def sound(client: FrappeClient, settings: Settings, name: str) -> Sounding:
    """Ask the target ``name`` through ``client``, which stays open. Nothing is changed there. Never raises.

    A target that does not answer, or turns us away, is asked nothing more.
    """
    table = settings.sites[name]
    path = f"targets.{name}"
    sounding = Sounding([], [], [])
    ready = await FrappeTarget(client, table.id_field, table.time_zone).probe()
    match ready:
        case TargetDown() | Blocked():
            sounding.problems.append(f"{path}: {why_not(ready)}")
            return sounding
    sounding.found.append(f"{path}: answers and takes the key; its times are in {ready.time_zone}")
    if table.time_zone not in {None, ready.time_zone}:
        sounding.warnings.append(
            f"{path}.time_zone: the site says {ready.time_zone}, which is used; test and try use this one"
        )
    field = IdField(client, table.id_field)
    for doctype in settings.prepared_doctypes(name):
        unsafe = await field.check(doctype)
        if unsafe is None:
            sounding.found.append(f"{path}: {doctype}: {table.id_field} is there and unique")
        else:
            line = _line(unsafe, "try again")
            sounding.problems.append(f"{path}: {line}" if doctype in line else f"{path}: {doctype}: {line}")
    told = await sound_routes(client, settings, name)
    sounding.problems.extend(told.problems)
    sounding.warnings.extend(told.warnings)
    views = await sound_views(client, settings, name)
    sounding.found.extend(views.found)
    sounding.warnings.extend(views.warnings)
    sounding.problems.extend(views.problems)
    if settings.attaches(name):
        barred = await may_attach(client)
        if barred is None:
            sounding.found.append(f"{path}: the API user may create File, for attachments")
        else:
            sounding.problems.append(f"{path}: {_line(barred, 'try again')}")
    return sounding


def why_not(failed: TargetDown | Blocked) -> str:
    """Return why a target does not answer or turns us away, and what to do about it."""
    return _line(failed, "is the site running, and is url its address?")


def _line(failed: TargetDown | Blocked, advice: str) -> str:
    match failed:
        case TargetDown(reason=reason, lasting=True):
            return reason
        case TargetDown(reason=reason):
            return f"{reason}; {advice}"
        case Blocked(reason=reason, remedy=remedy):
            return f"{reason}; {remedy}"
