"""API tokens: create, list, revoke; and whose a token is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from sqlite3 import Connection, IntegrityError

from lineside.model.errors import LinesideError, NotFound
from lineside.operations.registry import Operations
from lineside.operations.requests import CreateToken, ListTokens, RevokeToken
from lineside.operations.results import CreatedToken, TokenList, TokenSummary
from lineside.operations.texts import moment
from lineside.security.identity import Identity
from lineside.security.tokens import Token, matches, mint, read
from lineside.store.database import Database
from lineside.store.migrations import Component

TOKENS = Component(
    "tokens",
    (
        (
            """CREATE TABLE token (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, sources TEXT,
                hash BLOB NOT NULL, created INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID""",
        ),
    ),
)
"""The tokens' table; ``sources`` are joined by spaces."""


SECOND = 1_000_000_000
"""In nanoseconds."""


class TokenOperations:
    """The API tokens of a gateway, and the `Part` that reads them.

    Args:
        database: the journal's.
        sources: ids of the sources that the configuration has.
        now_ns: the wall clock.
        random: returns so many bytes that nobody can guess.

    """

    name = "tokens"

    def __init__(
        self,
        database: Database,
        sources: Iterable[str],
        now_ns: Callable[[], int],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._sources = frozenset(sources)
        self._now_ns = now_ns
        self._random = random
        self._tokens: dict[str, Token] = {}
        self.on_revoked: list[Callable[[], None]] = []
        """Called when a token is worth nothing any more."""

    async def start(self) -> None:
        """Read the tokens; the journal must be open."""
        self._tokens = {token.id: token for token in await self._database.read(_all)}

    async def stop(self) -> None:
        """Nothing is open."""

    @property
    def any(self) -> bool:
        """Whether there is a token, even one that has expired."""
        return bool(self._tokens)

    def identify(self, text: str) -> Identity | None:
        """Return whose token it is; None if it is none, or no longer one. It takes no part of a millisecond."""
        parts = read(text)
        token = None if parts is None else self._tokens.get(parts[0])
        if parts is None or token is None or not matches(token, parts[1]) or not token.lives(self._now_ns()):
            return None
        return token.identity()

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(CreateToken, self.create)
        operations.answer(ListTokens, self.list_tokens)
        operations.answer(RevokeToken, self.revoke)

    async def create(self, request: CreateToken) -> CreatedToken:
        """Make a token and return its text, which is told this once.

        Raises:
            LinesideError: there is one of that name, or a source is not known.

        """
        unknown = sorted(set(request.sources or ()) - self._sources)
        if unknown:
            raise LinesideError(f'there is no source "{unknown[0]}"; there are: {", ".join(sorted(self._sources))}')
        if request.sources is not None and request.role != "device":
            raise LinesideError("only a token of the role device is bound to sources")
        now = self._now_ns()
        text, token = mint(
            request.name,
            request.role,
            None if request.sources is None else frozenset(request.sources),
            now=now,
            expires=None if request.seconds is None else now + request.seconds * SECOND,
            random=self._random,
        )
        try:
            await self._database.write(lambda connection: _insert(connection, token))
        except IntegrityError:
            raise LinesideError(f'there is a token "{request.name}" already; revoke it first') from None
        self._tokens[token.id] = token
        return CreatedToken(text, self._summary(token))

    async def list_tokens(self, request: ListTokens) -> TokenList:
        """Return what is kept of every token, by name."""
        tokens = await self._database.read(_all)
        return TokenList([self._summary(token) for token in sorted(tokens, key=lambda token: token.name)])

    async def revoke(self, request: RevokeToken) -> TokenSummary:
        """Make a token worthless at once.

        Raises:
            NotFound: there is none of that name or id.

        """
        for token in await self._database.read(_all):
            if request.token in {token.id, token.name}:
                await self._database.write(partial(_delete, identifier=token.id))
                self._tokens.pop(token.id, None)
                for told in self.on_revoked:
                    told()
                return self._summary(token)
        raise NotFound(f'there is no token "{request.token}"')

    def _summary(self, token: Token) -> TokenSummary:
        return TokenSummary(
            token.id,
            token.name,
            token.role,
            None if token.sources is None else sorted(token.sources),
            moment(token.created),
            None if token.expires is None else moment(token.expires),
            not token.lives(self._now_ns()),
        )


def _insert(connection: Connection, token: Token) -> None:
    sources = None if token.sources is None else " ".join(sorted(token.sources))
    connection.execute(
        "INSERT INTO token (id, name, role, sources, hash, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (token.id, token.name, token.role, sources, token.hash, token.created, token.expires),
    )


def _delete(connection: Connection, identifier: str) -> None:
    connection.execute("DELETE FROM token WHERE id = ?", (identifier,))


def _all(connection: Connection) -> list[Token]:
    rows = connection.execute("SELECT id, name, role, sources, hash, created, expires FROM token")
    return [
        Token(row[0], row[1], row[2], None if row[3] is None else frozenset(row[3].split()), row[4], row[5], row[6])
        for row in rows
    ]
