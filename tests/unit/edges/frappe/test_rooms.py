"""Frappe's realtime rooms as live channels."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.rooms import document_of, live


def published(room: str | None, namespace: str | None = "erp.test", **more: Any) -> bytes:
    """Return what Frappe 15 publishes: sorted keys, indented."""
    told = {"event": "list_update", "message": {"name": "SO-1"}, "room": room, "namespace": namespace, **more}
    return json.dumps({name: each for name, each in told.items() if each is not None}, indent=1).encode()


class Rooms(SynchronousTestCase):
    """What becomes of a publication."""

    def channel(self, data: bytes, site: str | None = "erp.test") -> str | None:
        told = live(data, site)
        return None if told is None else told[0]

    def test_rooms_of_documents(self) -> None:
        """A DocType's and a single document's have a channel; the event goes through as it is, in one line."""
        told = b'{"event":"list_update","message":{"name":"SO-1"}}'
        self.assertEqual(("frappe:doctype:Sales Order", told), live(published("doctype:Sales Order"), "erp.test"))
        self.assertEqual("frappe:doc:Item/A/B:1", self.channel(published("doc:Item/A/B:1")))

    def test_other_rooms(self) -> None:
        """Those of users, tasks and everybody have none."""
        for room in ("user:ann@erp.test", "task_progress:1", "all", "website", "open_doc:Item/A", "", None, "doc:"):
            self.assertIsNone(self.channel(published(room)), room)

    def test_other_sites(self) -> None:
        """Only the one site's count where it is named; a bench with one site need not name it."""
        self.assertIsNone(self.channel(published("doctype:Item", "other.test")))
        self.assertIsNone(self.channel(published("doctype:Item", None)))
        self.assertEqual("frappe:doctype:Item", self.channel(published("doctype:Item", "other.test"), None))

    def test_version_14(self) -> None:
        """It has the site's name in the room."""
        self.assertEqual("frappe:doctype:Item", self.channel(published("erp.test:doctype:Item", None)))

    def test_what_is_none_of_it(self) -> None:
        """Whatever else is in the same Redis is let pass."""
        for data in (b"", b"{", b"[]", b'{"event":1}', b"\xff", b'{"event":"\xff"}', b"[" * 10_000):
            self.assertIsNone(live(data, None))

    def test_which_document_a_channel_tells_of(self) -> None:
        """A name may have any character, the DocType has no slash."""
        self.assertEqual(("Sales Order", None), document_of("frappe:doctype:Sales Order"))
        self.assertEqual(("Item", "A/B:1"), document_of("frappe:doc:Item/A/B:1"))
        for channel in (
            "frappe:doctype:",
            "frappe:doc:",
            "frappe:doc:Item",
            "frappe:doc:Item/",
            "frappe:doc:/A",
            "a",
        ):
            self.assertIsNone(document_of(channel), channel)
