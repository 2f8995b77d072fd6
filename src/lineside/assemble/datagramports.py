"""From the settings of a source of datagrams to the part that takes them."""

from __future__ import annotations

from typing import Any

import msgspec

from lineside.assemble.endpoints import parse_listener
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.edges.lines.datagrams import DatagramSource
from lineside.edges.lines.intake import Intake


def datagram_source(reactor: Any, settings: LinesSourceSettings, intake: Intake) -> DatagramSource:
    """Return the part that takes datagrams."""
    assert settings.listen is not None
    named = dict(parse_listener(settings.listen).arguments)
    rate = intake.limits.rate
    intake.limits = msgspec.structs.replace(intake.limits, idle_timeout=0.0, rate=None)
    return DatagramSource(reactor, int(named["port"]), named.get("interface", ""), settings.listen, intake, rate)
