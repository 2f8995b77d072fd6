"""Questions to the site that change nothing there: one whose answer was lost is asked again at once.

A lost answer says nothing of the record, and little of the site: a connection that was closed as we wrote, a worker
that was restarted. Taken for an outage it would stop every delivery to the site.
"""

from __future__ import annotations

from typing import Literal

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.outcomes import ROLLED_BACK, Ambiguous, Verdict, classify
from lineside.edges.frappe.reply import Unreachable
from lineside.model.outcome import TargetDown

REPEATS = 2
"""So often a question is asked again at most."""
REPEATS_WITHIN = 15.0
"""Seconds from the first asking in which it is asked again: a silent site is not waited for three times."""


async def read(
    client: FrappeClient,
    method: str,
    path: str,
    envelope: Literal["data", "message"] = "data",
    *,
    body: bytes | None = None,
    within: float | None = None,
) -> Verdict:
    """Ask what may be asked any number of times; `classify` says what the answer means.

    It is asked again only where no answer of Frappe came, or one that blames a passing lock; after a lost
    connection on a new one. What names its trouble (a refusal, a 503, no connection at all) is an answer.
    """
    begun = client.clock.seconds()
    repeats = REPEATS
    while True:
        answer = await client.ask(method, path, body=body, within=within)
        verdict = classify(answer, envelope, question=True)
        if not _lost(verdict) or not repeats or client.clock.seconds() - begun > REPEATS_WITHIN:
            return verdict
        repeats -= 1
        if isinstance(answer, Unreachable):
            client.drop_idle()


def _lost(verdict: Verdict) -> bool:
    match verdict:
        case Ambiguous(code=code):
            return code is None or code in ROLLED_BACK
        case TargetDown(certain=certain):
            return not certain
        case _:
            return False
