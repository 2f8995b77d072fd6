"""``[limits]``: what one address, or one caller, may have of what all share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from lineside.assemble.networks import Networks
from lineside.assemble.table import Table
from lineside.assemble.values import Shape
from lineside.security.limits import Rate
from lineside.security.turnstile import Bounds

_RATE = re.compile(r"(?P<count>[1-9]\d{0,4}) ?/ ?(?P<unit>s|min|h)", re.ASCII)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0}
UNBOUND = "unbound"


def _rate(value: object) -> Rate | str:
    if value == UNBOUND:
        return UNBOUND
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a rate such as "500/s", "30/min" or "1000/h", or "{UNBOUND}"')
    return Rate(int(match["count"]), _SECONDS[match["unit"]])


AllowedRate = Annotated[Rate | str, BeforeValidator(_rate), Shape(f'rate such as `"500/s"`, or `"{UNBOUND}"`')]


class LimitSettings(Table):
    """``[limits]``: of all listeners."""

    trusted: Networks = Field(
        default=("127.0.0.0/8", "::1/128"),
        description=(
            "Networks whose addresses are held to none of the limits by address, such as those of a proxy or of a "
            "plant behind one address. Given, the list replaces the default, this machine itself."
        ),
    )
    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description=(
            "Connections of one address at a time at each listener. An IPv6 network of 64 bits counts as one "
            "address. Default: all but an eighth of the listener's `max_connections`, so that others get in too."
        ),
    )
    requests: AllowedRate = Field(
        default=UNBOUND,
        description=(
            "HTTP requests of one address that do not say who sends them: webhooks, pages, probes. So many may "
            "also come at once. Further ones are answered 429."
        ),
    )
    identity_requests: AllowedRate = Field(
        default=UNBOUND,
        description="HTTP requests of one identity, such as a token's; so many may also come at once.",
    )

    @property
    def bounds(self) -> Bounds:
        """What listeners are held to."""
        return Bounds(
            self.trusted,
            self.connections,
            self.requests if isinstance(self.requests, Rate) else None,
            self.identity_requests if isinstance(self.identity_requests, Rate) else None,
        )
