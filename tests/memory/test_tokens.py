"""API tokens in the journal: created, known, listed, revoked."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError, NotFound
from lineside.operations.registry import Operations
from lineside.operations.requests import CreateToken, ListTokens, Request, RevokeToken
from lineside.operations.tokens import SECOND, TOKENS, TokenOperations
from lineside.security.identity import LOCAL_USER, Identity
from lineside.store.database import Database
from lineside.testing.workers import HeldWorker, call_at_once


class TokenCase(SynchronousTestCase):
    """A journal's file with the tokens in it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.open()

    def open(self) -> None:
        """Open the file, as a start does."""
        self.database = Database(self.path, (TOKENS,), call_at_once, worker=HeldWorker)
        self.done(self.database.open())
        self.tokens = TokenOperations(self.database, ["gate", "scale"], lambda: int(self.clock.seconds() * SECOND))
        self.done(self.tokens.start())
        self.operations = Operations()
        self.tokens.register(self.operations)

    def tearDown(self) -> None:
        self.done(self.database.close())

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def call(self, request: Request[Any]) -> Any:
        return self.done(self.operations.call(request, LOCAL_USER))

    def refusal(self, request: Request[Any]) -> LinesideError:
        asked = Deferred.fromCoroutine(self.operations.call(request, LOCAL_USER))
        refused: LinesideError = self.failureResultOf(asked, LinesideError).value
        return refused


class Tokens(TokenCase):
    """What people rely on."""

    def test_a_token_opens_what_it_was_made_for(self) -> None:
        """Its holder is known by the token's name, with its role and sources."""
        created = self.call(CreateToken(name="gate terminal", role="device", sources=["gate"]))
        self.assertEqual(
            self.tokens.identify(created.text), Identity("gate terminal", "device", frozenset({"gate"}))
        )
        self.assertIsNone(self.tokens.identify(created.text[:-1] + "x"))

    def test_it_is_known_after_a_restart(self) -> None:
        """What is kept is in the journal's file."""
        created = self.call(CreateToken(name="board", role="viewer"))
        self.tearDown()
        self.open()
        self.assertEqual(self.tokens.identify(created.text), Identity("board", "viewer"))

    def test_a_revoked_token_is_worth_nothing_at_once(self) -> None:
        """Whether it is named by its name or its id; and not again after a restart."""
        for field in ("name", "id"):
            created = self.call(CreateToken(name="board", role="viewer"))
            still: list[Identity | None] = []
            self.tokens.on_revoked.append(
                partial(lambda text, seen: seen.append(self.tokens.identify(text)), created.text, still)
            )
            self.call(RevokeToken(token=getattr(created.token, field)))
            self.assertIsNone(self.tokens.identify(created.text))
            # Who has something open is told when it is worth nothing, not before.
            self.assertEqual(still, [None])
            self.tearDown()
            self.open()
            self.assertIsNone(self.tokens.identify(created.text))
        self.assertFalse(self.tokens.any)

    def test_it_expires(self) -> None:
        """An expired token opens nothing, is listed as such, and still counts: nothing falls open by time."""
        created = self.call(CreateToken(name="visitor", role="viewer", seconds=60))
        self.clock.advance(59)
        self.assertIsNotNone(self.tokens.identify(created.text))
        self.clock.advance(1)
        self.assertIsNone(self.tokens.identify(created.text))
        self.assertEqual([one.expired for one in self.call(ListTokens()).tokens], [True])
        self.assertTrue(self.tokens.any)

    def test_a_list_tells_no_secret(self) -> None:
        """Names, roles and times, by name."""
        texts = [self.call(CreateToken(name=name, role="viewer")).text for name in ("b", "a")]
        listed = self.call(ListTokens())
        self.assertEqual([one.name for one in listed.tokens], ["a", "b"])
        for text in texts:
            self.assertNotIn(text.rpartition("_")[2], repr(listed))

    def test_what_cannot_be_is_refused(self) -> None:
        """A name twice, an unknown source, sources for a role that is not bound to them, nothing to revoke."""
        self.call(CreateToken(name="board", role="viewer"))
        self.assertEqual(
            str(self.refusal(CreateToken(name="board", role="admin"))),
            'there is a token "board" already; revoke it first',
        )
        self.assertEqual(
            str(self.refusal(CreateToken(name="x", role="device", sources=["gat"]))),
            'there is no source "gat"; there are: gate, scale',
        )
        self.assertEqual(
            str(self.refusal(CreateToken(name="x", role="viewer", sources=["gate"]))),
            "only a token of the role device is bound to sources",
        )
        self.assertIsInstance(self.refusal(RevokeToken(token="nobody")), NotFound)
