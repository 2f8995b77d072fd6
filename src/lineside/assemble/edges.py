"""The edges: each is imported when the configuration first names it, and not before.

An edge brings libraries of its own, Frappe's a whole HTTP client, and importing is most of a start. This is the one
place that knows which edge stands for what in the configuration; whoever composes asks here.
"""

# ruff: noqa: PLC0415 (see above)

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from lineside.assemble.importing import importing
from lineside.assemble.settings import FrappeTargetSettings, LinesSourceSettings
from lineside.delivery.budget import Budget
from lineside.edges.lines.intake import Intake
from lineside.model.ports import Part, Target

if TYPE_CHECKING:
    from twisted.web.iweb import IAgent

    from lineside.assemble.httpsettings import HttpSettings
    from lineside.edges.frappe.client import FrappeClient
    from lineside.edges.http.part import HttpPart
    from lineside.operations.registry import Operations
    from lineside.operations.tokens import TokenOperations


class Source(Part, Protocol):
    """What all sources of lines have in common, whoever connects to whom."""

    id: str
    intake: Intake

    @property
    def address(self) -> str:
        """Where it listens or dials."""
        ...

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line."""
        ...


class TargetPart(Part, Protocol):
    """What carries documents to one system."""

    @property
    def target(self) -> Target:
        """What takes them."""
        ...

    @property
    def budget(self) -> Budget:
        """What the system allows."""
        ...


def target_part(reactor: Any, name: str, settings: FrappeTargetSettings) -> TargetPart:
    """Return the part that holds a target's connections."""
    with importing():
        from lineside.assemble.frappesites import FrappePart

    return FrappePart(reactor, name, settings)


def frappe_client(
    reactor: Any, settings: FrappeTargetSettings, around: Callable[[IAgent], IAgent] = lambda agent: agent
) -> FrappeClient:
    """Return a client for what asks a site beside the gateway; it sends through ``around``'s agent."""
    with importing():
        from lineside.assemble.frappesites import frappe_client as made

    return made(reactor, settings, around)


def http_part(
    reactor: Any,
    settings: HttpSettings,
    operations: Operations,
    tokens: TokenOperations,
    *,
    hindered: Callable[[], list[str]],
) -> HttpPart:
    """Return the part that serves HTTP requests."""
    with importing():
        from lineside.assemble.web import http_part as made

    return made(reactor, settings, operations, tokens, hindered=hindered)


def source_part(reactor: Any, settings: LinesSourceSettings, intake: Intake, random: Random) -> Source:
    """Return the part that listens or dials, as the settings say."""
    if settings.dial is not None:
        from lineside.assemble.dialling import dialled_source

        return dialled_source(reactor, settings, intake, random)
    if settings.datagrams:
        from lineside.assemble.datagramports import datagram_source

        return datagram_source(reactor, settings, intake)
    from lineside.assemble.listening import lines_source

    return lines_source(reactor, settings, intake)
