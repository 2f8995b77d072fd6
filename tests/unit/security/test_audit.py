"""Entries of the record of who did what: chained, bounded, and without secrets."""

from __future__ import annotations

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.operations.requests import AnyRequest
from lineside.security.audit import BEGINNING, LONGEST, Act, enter, plain, seal
from lineside.security.tokens import mint

ACT = Act("anna", "admin", "http 10.0.0.7", "tokens.create", "asked", {"name": "board", "role": "viewer"})
HUSHED = {"payload", "params"}
"""Fields that hold what devices and the ERP are sent."""


class Entries(SynchronousTestCase):
    """What one entry holds."""

    def test_an_entry_is_bound_to_all_that_it_says(self) -> None:
        """Any other word, moment, number or predecessor makes another hash."""
        entry = enter(ACT, 7, 1_000, BEGINNING)
        self.assertTrue(entry.whole)
        others = [
            msgspec.structs.replace(entry, number=8),
            msgspec.structs.replace(entry, at_ns=1_001),
            msgspec.structs.replace(entry, before=bytes([1] * 32)),
            msgspec.structs.replace(entry, facts='{"name":"board","role":"admin"}'),
            *(
                msgspec.structs.replace(entry, act=msgspec.structs.replace(entry.act, **{field: "done"}))
                for field in ("who", "role", "where", "what", "state")
            ),
        ]
        self.assertEqual([other.whole for other in others], [False] * len(others))

    @given(st.text(), st.text())
    def test_no_text_runs_into_the_next(self, who: str, role: str) -> None:
        """What ends one field and begins another is no matter of a separator that somebody may type."""
        moved = seal(BEGINNING, 1, 1, Act(who + role, "", "", "", "noted"), "{}")
        if role:
            self.assertNotEqual(moved, seal(BEGINNING, 1, 1, Act(who, role, "", "", "noted"), "{}"))

    def test_a_secret_that_somebody_typed_in_is_cut_out(self) -> None:
        """Of an API token its id is left, by which it is known."""
        text, token = mint("board", "viewer", None, now=0, expires=None, random=lambda size: b"\xab" * size)
        entry = enter(
            msgspec.structs.replace(ACT, facts={"token": f"Bearer {text}", "ids": [text]}), 1, 0, BEGINNING
        )
        self.assertNotIn(text.rpartition("_")[2], entry.facts)
        self.assertEqual(entry.facts.count(f"lst_{token.id}_"), 2)

    def test_an_entry_is_bounded(self) -> None:
        """However long a text or a list is that somebody sends."""
        self.assertEqual(len(plain("x" * 100_000)), LONGEST + 1)
        self.assertEqual(plain(list(range(10_000)))[-1], f"and {10_000 - LONGEST} more")
        self.assertEqual(plain(3.5), 3.5)


class WhatIsTold(SynchronousTestCase):
    """Which fields of a request are put on record."""

    def test_every_change_tells_what_it_is_about(self) -> None:
        """By fields that it has, and none of those that hold a payload."""
        for kind in get_args(AnyRequest):
            fields = {field.name for field in msgspec.structs.fields(kind)}
            self.assertLessEqual({*kind.told}, fields - HUSHED, kind)
            looks = kind.looks or kind.permission == "read"
            self.assertEqual(bool(kind.told), not looks, kind)
