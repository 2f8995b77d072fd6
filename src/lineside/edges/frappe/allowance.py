"""What the answers of Frappe's limiter say of the window that runs (contract, sections 4 and 10). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lineside.delivery.budget import Allowance
from lineside.edges.frappe.reply import Reply

MICROSECONDS = 1e6


def allowance(reply: Reply) -> Allowance | None:
    """Return what an answer says of the site's rate limit; None where it has none, or says what makes no sense."""
    limit = _number(reply.headers, "x-ratelimit-limit")
    remaining = _number(reply.headers, "x-ratelimit-remaining")
    reset = _number(reply.headers, "x-ratelimit-reset")
    if not limit or remaining is None or reset is None:
        return None
    used = _number(reply.headers, "x-ratelimit-used")
    return Allowance(
        limit / MICROSECONDS,
        min(remaining, limit) / MICROSECONDS,
        reset,
        None if used is None else used / MICROSECONDS,
    )


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(headers[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
