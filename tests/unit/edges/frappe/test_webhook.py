"""What a webhook says, and whether it is Frappe that says it."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.webhook import WebhookFormat, rightly_signed, signature
from lineside.standin.webhooks import signature as frappes

SECRET = "geheim"
BODY = b'{"name": "SO-1", "modified": "2026-03-04 09:12:07.000123", "docstatus": 0, "state": "Open"}'
KEY = "Sales Order/SO-1@2026-03-04 09:12:07.000123/0"


class Signatures(SynchronousTestCase):
    """Base64 of HMAC-SHA256 over the bytes."""

    def test_it_is_the_one_that_openssl_makes(self) -> None:
        """As of printf '{}' | openssl dgst -sha256 -hmac geheim -binary | base64."""
        self.assertEqual("HYhYXK4+RJoIx4Lup3ie/xW503dqp/AlMYHfHv6LGR0=", signature(SECRET, b"{}"))

    def test_what_the_standin_signs_is_right(self) -> None:
        """Whatever the body is made of."""
        for body in (BODY, b"", b"\xff\x00"):
            self.assertTrue(rightly_signed(SECRET, body, frappes(SECRET, body)))

    def test_another_body_secret_or_form_is_wrong(self) -> None:
        """Also the same JSON written otherwise, the digest in hex, part of it, and none at all."""
        right = signature(SECRET, BODY)
        again = json.dumps(json.loads(BODY), indent=1, sort_keys=True).encode()
        self.assertFalse(rightly_signed(SECRET, again, right))
        self.assertFalse(rightly_signed("Geheim", BODY, right))
        for given in (None, "", right[:-4], right.lower(), f"{right}, {right}", "ä" * 44, right.replace("=", "")):
            self.assertFalse(rightly_signed(SECRET, BODY, given), given)


class Bodies(SynchronousTestCase):
    """A body is an event with the key of its version, or kept with the reason why it is none."""

    def setUp(self) -> None:
        self.format = WebhookFormat("Sales Order", "owner.id")

    def test_the_bytes_are_the_event(self) -> None:
        """Nothing is written anew; the key is the version's."""
        event, version = self.format.read(BODY)
        self.assertEqual((BODY, KEY, None, None), (event.body, event.key, event.device, event.error))
        assert version is not None
        self.assertEqual(("SO-1", 0), (version.name, version.docstatus))

    def test_who_caused_it_may_be_the_device(self) -> None:
        """Where the source names a field."""
        event = self.format.decode(BODY.replace(b'"Open"', b'"Open", "owner": {"id": "line-3"}'))
        self.assertEqual("line-3", event.device)

    def test_what_makes_no_sense_is_kept_with_the_reason(self) -> None:
        """None of them has a key: nothing tells whether it is a repeat."""
        for body, reason in (
            (b"", "json: "),
            (b"[1]", "json: expected an object"),
            (b'{"name": NaN}', "json: "),
            (b"\xff", "utf8: "),
            (b"{}", "webhook: it lacks name, modified, docstatus"),
            (BODY.replace(b": 0", b": null"), "webhook: it lacks docstatus"),
            (BODY.replace(b": 0", b": true"), "webhook: its docstatus is none of"),
            (BODY.replace(b": 0", b": 3"), "webhook: its docstatus is none of"),
            (BODY.replace(b'"SO-1"', b"[1]"), "webhook: its name is neither"),
            (BODY.replace(b"2026-03-04 09", b"yesterday 09"), "webhook: its modified is no moment"),
            (BODY.replace(b".000123", b".000123Z"), "webhook: its modified is no moment"),
            (BODY.replace(b'"state"', b'"doctype"'), "webhook: it is about the DocType Open"),
        ):
            event, version = self.format.read(body)
            assert event.error is not None, body
            self.assertTrue(event.error.startswith(reason), event.error)
            self.assertEqual((b"", body, None, None), (event.body, event.raw, event.key, version))
