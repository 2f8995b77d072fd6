"""What a Frappe webhook says, and whether it is Frappe that says it. Pure."""

from __future__ import annotations

import hmac
from base64 import b64encode

import msgspec
from msgspec.structs import replace

from lineside.edges.frappe.versions import Version, version_of
from lineside.model.event import Event
from lineside.wire.jsonl import JsonLines, undecodable

SIGNATURE = "x-frappe-webhook-signature"
"""The header, in lower case."""


def signature(secret: str, body: bytes) -> str:
    """Return what Frappe sends as `SIGNATURE`: Base64 of HMAC-SHA256 over the raw body (contract, section 5)."""
    return b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def rightly_signed(secret: str, body: bytes, given: str | None) -> bool:
    """Return whether ``given`` signs these very bytes. How long it takes tells nothing of the right signature."""
    # How JSON is written differs from version to version: what was parsed and written again proves nothing.
    return hmac.compare_digest(signature(secret, body).encode(), (given or "").strip().encode())


class WebhookFormat:
    """The `lineside.wire.decoding.Decoder` of webhooks of one DocType.

    Args:
        doctype: whose documents they are about.
        device: the field that names the device, as a path.

    """

    def __init__(self, doctype: str, device: str | None = None) -> None:
        self._doctype = doctype
        self._lines = JsonLines(None, device)

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return a body's event; what is no JSON object, or does not name its version, is kept as undecodable."""
        return self.read(frame, sender)[0]

    def read(self, frame: bytes, sender: str | None = None) -> tuple[Event, Version | None]:
        """Return a body's event, and its version where there is one."""
        event = self._lines.decode(frame, sender)
        if event.error is not None:
            return event, None
        try:
            version = version_of(msgspec.json.decode(frame), self._doctype)
        except ValueError as wrong:
            return undecodable(frame, "webhook", str(wrong), sender), None
        return replace(event, key=version.key(self._doctype)), version
