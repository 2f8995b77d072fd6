"""The live call ``erp.get``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket.erpcalls import erp_get
from lineside.operations.erp import Look
from lineside.security.identity import Identity

ANN = Identity("ann", "viewer")


class PlayedReader:
    """Shows what it was asked."""

    async def get(self, identity: Identity, doctype: str, name: str) -> Look:
        return Look(json.dumps([identity.name, doctype, name]).encode(), age=1.26, ttl=-2.0)

    async def list(
        self,
        identity: Identity,
        doctype: str,
        filters: Mapping[str, str] = {},
        *,
        start: int = 0,
        limit: int | None = None,
    ) -> Look:
        return Look(json.dumps([identity.name, doctype, filters, start, limit]).encode(), age=0.0, ttl=3.0)


class Asking(SynchronousTestCase):
    """What a client may ask, and what it is told."""

    def call(self, **data: Any) -> Any:
        asked = Deferred.fromCoroutine(_called(data))
        return json.loads(msgspec.json.encode(self.successResultOf(asked)))

    def test_one_document(self) -> None:
        """By its name; whoever asks is passed on, and an answer that is old says so."""
        self.assertEqual(
            {"answer": ["ann", "Item", "A"], "age": 1.3, "stale": True}, self.call(doctype="Item", name="A")
        )

    def test_several_documents(self) -> None:
        """By values and in pages."""
        told = self.call(doctype="Item", filters={"item_group": "Nails"}, start=2, limit=5)
        self.assertEqual((["ann", "Item", {"item_group": "Nails"}, 2, 5], False), (told["answer"], told["stale"]))
        self.assertEqual(["ann", "Item", {}, 0, None], self.call(doctype="Item")["answer"])

    def test_what_is_no_question(self) -> None:
        """Is refused before anybody is asked."""
        for data in ({}, {"doctype": 1}, {"doctype": "Item", "start": -1}, {"doctype": "Item", "nmae": "A"}):
            asked = Deferred.fromCoroutine(_called(data))
            self.failureResultOf(asked, msgspec.ValidationError)


async def _called(data: Any) -> Any:
    return await erp_get(PlayedReader())(data, ANN)
