"""Whether the gateway lives, and whether it is ready for work: for supervisors and load balancers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lineside.operations.web import JSON, Answer, Endpoint, Reply

ALIVE = Answer(200, b'{"status":"ok"}', JSON, (("Cache-Control", "no-store"),))


def health_endpoints(hindered: Callable[[], list[str]]) -> list[Endpoint]:
    """Return ``/healthz`` and ``/readyz``.

    Args:
        hindered: what keeps the gateway from taking events, a line each; empty while it is ready. An ERP that is
            away is none of it: events are taken meanwhile.

    """

    def ready(_: object) -> Answer:
        problems = hindered()
        body = msgspec.json.encode({"status": "hindered" if problems else "ready", "problems": problems})
        return Answer(503 if problems else 200, body, JSON, (("Cache-Control", "no-store"),))

    schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    replies = {200: Reply("It is so.", {JSON: schema})}
    return [
        Endpoint(
            "GET",
            "/healthz",
            "healthz",
            "Whether the process answers",
            None,
            lambda _: ALIVE,
            replies=replies,
            tag="health",
        ),
        Endpoint(
            "GET",
            "/readyz",
            "readyz",
            "Whether events are taken",
            None,
            ready,
            replies={**replies, 503: Reply("Not at present.", {JSON: schema})},
            tag="health",
        ),
    ]
