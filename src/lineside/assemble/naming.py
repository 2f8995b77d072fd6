"""From ``[dns]`` to the part that serves the plant's names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.logger import Logger

from lineside.assemble.clientendpoints import parse_client
from lineside.assemble.dnssettings import DnsSettings
from lineside.assemble.zones import entries_of, origins_of
from lineside.edges.dns.checks import PATIENCE, AddressCheck
from lineside.edges.dns.health import Health
from lineside.edges.dns.responder import Responder
from lineside.edges.dns.view import DnsView
from lineside.edges.dns.visitors import Visitors
from lineside.edges.dns.zone import Plant

log = Logger()

State = Callable[[str], str | None]


def dns_view(reactor: Any, settings: DnsSettings, source: State, target: State) -> DnsView:
    """Return the part that serves the zone.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: with a zone.
        source: tells why a source is down; None while it is not.
        target: the same of a target.

    """
    interface, port = settings.place
    plant = Plant(
        origins_of(settings),
        entries_of(settings),
        all_down=settings.all_down,
        health_ttl=settings.health_ttl,
        serial=int(time.time()),
    )
    responder = Responder(plant, lambda: log.failure("dns.failed"))
    checks: dict[str, AddressCheck] = {}
    states: dict[str, Callable[[], str | None]] = {}
    for when in (record.when for record in settings.records if record.when is not None):
        if when.check is not None:
            check = checks.setdefault(when.check, _check(reactor, when.check))
            states[when.text] = _problem_of(check)
        elif when.source is not None:
            states[when.text] = _asked(source, when.source)
        elif when.target is not None:
            states[when.text] = _asked(target, when.target)
    health = Health(plant, responder, states, checks.values(), reactor, time.time)
    visitors = Visitors(settings.networks, settings.rate_limit)
    return DnsView(reactor, port, interface, settings.listen, plant, responder, health, visitors)


def _asked(state: State, name: str) -> Callable[[], str | None]:
    return lambda: state(name)


def _problem_of(check: AddressCheck) -> Callable[[], str | None]:
    return lambda: check.problem


def _check(reactor: Any, where: str) -> AddressCheck:
    given = parse_client(where).arguments
    return AddressCheck(HostnameEndpoint(reactor, given["host"], int(given["port"]), PATIENCE), where, reactor)
