"""Webhooks: which requests a committed change asks for, word by word as Frappe 15 writes them.

The body is JSON whatever the structure, and has no Content-Type unless one is configured (contract, section 5).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from msgspec import Struct
from twisted.logger import Logger

from lineside.standin.records import Happening, Records

log = Logger()

SANDBOX = SandboxedEnvironment(autoescape=False)
"""What it renders is JSON and addresses, no HTML."""

NEVER = "on_update_after_submit"
"""Frappe 15 offers this event and never fires it."""


class Hook(Struct, frozen=True):
    """One request to send, and for what."""

    webhook: str
    doctype: str
    name: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout: float


def asked_for(records: Records, happenings: Iterable[Happening]) -> list[Hook]:
    """Return the requests for what happened in a transaction: the last one for each webhook and document.

    A webhook whose condition or template fails is left out, with a warning in the log.
    """
    found: dict[tuple[str, str, str], Hook] = {}
    webhooks: dict[str, list[dict[str, Any]]] = {}
    for happening in happenings:
        if happening.doctype not in webhooks:
            webhooks[happening.doctype] = _enabled(records, happening.doctype)
        for webhook in webhooks[happening.doctype]:
            event = webhook["webhook_docevent"]
            if event not in happening.events or event == NEVER:
                continue
            try:
                hook = _hook(webhook, happening.document)
            except (TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as wrong:
                log.warn("standin.webhook.skipped", webhook=webhook["name"], reason=type(wrong).__name__)
                continue
            if hook is not None:
                found[hook.webhook, hook.doctype, hook.name] = hook
    return list(found.values())


def signature(secret: str, body: bytes) -> str:
    """Return the value of ``X-Frappe-Webhook-Signature``."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def _enabled(records: Records, doctype: str) -> list[dict[str, Any]]:
    asked = {"filters": {"webhook_doctype": doctype, "enabled": 1}, "order_by": "name", "limit_page_length": 0}
    return [records.get("Webhook", row["name"]) for row in records.list("Webhook", asked)]


def _hook(webhook: dict[str, Any], document: dict[str, Any]) -> Hook | None:
    context = {"doc": document}
    condition = webhook["condition"]
    if condition and not SANDBOX.compile_expression(condition)(**context):
        return None
    url = webhook["request_url"]
    if webhook["is_dynamic_url"]:
        url = SANDBOX.from_string(url).render(context)
    body = json.dumps(_data(webhook, document), default=str).encode()
    headers = [(row["key"] or "", row["value"] or "") for row in webhook["webhook_headers"] if row["key"]]
    if webhook["enable_security"]:
        headers.append(("X-Frappe-Webhook-Signature", signature(webhook["webhook_secret"] or "", body)))
    return Hook(
        webhook["name"],
        document["doctype"],
        document["name"],
        webhook["request_method"],
        url.strip(),
        tuple(headers),
        body,
        float(webhook["timeout"] or 5),
    )


def _data(webhook: dict[str, Any], document: dict[str, Any]) -> Any:
    if webhook["webhook_data"]:
        return {row["key"]: document.get(row["fieldname"]) for row in webhook["webhook_data"]}
    if webhook["webhook_json"]:
        return json.loads(SANDBOX.from_string(webhook["webhook_json"]).render(doc=document))
    return {}
