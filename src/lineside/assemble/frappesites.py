"""A Frappe site as a target: its connections, its budget, and the client that all who ask it share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.web.iweb import IAgent

from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.delivery.budget import Budget
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.target import FrappeTarget


class FrappePart:
    """The `Part` that holds the connections to one Frappe site."""

    def __init__(self, reactor: Any, name: str, settings: FrappeTargetSettings) -> None:
        self.name = f"target {name}"
        self.budget = Budget()
        self.client = frappe_client(reactor, settings, budget=self.budget)
        self.target = FrappeTarget(self.client, settings.id_field, settings.time_zone)

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def stop(self) -> None:
        """Close what is kept open."""
        await self.client.close()


def frappe_client(
    reactor: Any,
    settings: FrappeTargetSettings,
    around: Callable[[IAgent], IAgent] = lambda agent: agent,
    budget: Budget | None = None,
) -> FrappeClient:
    """Return one target's client.

    Args:
        reactor: connects.
        settings: the target's.
        around: makes of the client's agent the one through which it sends.
        budget: how closely requests may follow each other.

    """
    via = None
    if settings.service is not None:
        # Only who looks for a service needs what asks for it.
        from lineside.assemble.services import service_endpoint  # noqa: PLC0415

        via = service_endpoint(reactor, settings.service, settings.name_servers)
    return FrappeClient(
        reactor,
        settings.address,
        settings.api_key.reveal(),
        settings.api_secret.reveal(),
        authorities=settings.ca,
        site=settings.site,
        timeout=settings.timeout,
        pool_size=settings.concurrency,
        around=around,
        budget=budget,
        via=via,
    )
