"""SQL as the configuration has it: its named parameters, and whether it only reads. Pure.

Only as much of SQL is understood as is needed to know what is text and what is code: quotes and comments of the
three databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Kind = Literal["mariadb", "postgresql", "sqlite"]

_QUOTED = {
    "mariadb": (
        r"'(?:[^'\\]|\\.|'')*'",
        r'"(?:[^"\\]|\\.|"")*"',
        r"`[^`]*`",
        r"\#[^\n]*",
        r"--(?=\s|$)[^\n]*",
        r"/\*.*?\*/",
    ),
    "postgresql": (
        r"(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'",
        r"'(?:[^']|'')*'",
        r'"(?:[^"]|"")*"',
        r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$",
        r"--[^\n]*",
        r"/\*.*?\*/",
    ),
    "sqlite": (r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"', r"`[^`]*`", r"\[[^\]]*\]", r"--[^\n]*", r"/\*.*?\*/"),
}
_TOKENS = {
    kind: re.compile(
        rf"(?P<text>{'|'.join(quoted)})|(?P<cast>::)|(?<![\w\])]):(?P<name>[A-Za-z_]\w*)|(?P<open>['\"`]|/\*)",
        re.DOTALL,
    )
    for kind, quoted in _QUOTED.items()
}
_WORD = re.compile(r"[A-Za-z_]+")
_READS = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
_WRITES = frozenset({"INTO", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"})


class Name(Struct, frozen=True):
    """A parameter's place in a statement."""

    name: str


class Statement(Struct, frozen=True):
    """A statement, taken apart."""

    parts: tuple[str | Name, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, each once, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Name)))

    def pyformat(self) -> str:
        """Return it as PyMySQL and psycopg take it: ``%(name)s``, and ``%%`` for a percent sign."""
        return "".join(
            f"%({part.name})s" if isinstance(part, Name) else part.replace("%", "%%") for part in self.parts
        )

    def named(self) -> str:
        """Return it as sqlite3 takes it: ``:name``."""
        return "".join(f":{part.name}" if isinstance(part, Name) else part for part in self.parts)


def parse(sql: str, kind: Kind) -> Statement:
    """Take a statement apart at its parameters, ``:name`` outside of quotes and comments.

    Raises:
        ValueError: a quote or comment is not closed.

    """
    parts: list[str | Name] = []
    end = 0
    for token in _TOKENS[kind].finditer(sql):
        if token["open"]:
            raise ValueError(f"{token['open']} is not closed")
        if token["name"]:
            parts += [sql[end : token.start()], Name(token["name"])]
            end = token.end()
    return Statement((*parts, sql[end:]))


def why_no_query(sql: str, kind: Kind) -> str | None:
    """Return why a statement, whose quotes are closed, is none that only reads; None where it may pass for one.

    It is the first of two locks, and says early what is wrong. The second one is the database's own: see each
    dialect's ``begin``.
    """
    if kind == "mariadb" and re.search(r"/\*M?!", sql):
        return "MariaDB carries out what stands in a comment that begins with /*!; write it plainly"
    code = " ".join(_code(sql, kind)).strip().removesuffix(";")
    if ";" in code:
        return "it holds more than one statement; give each a query of its own"
    words = [word.upper() for word in _WORD.findall(code)]
    if not words or words[0] not in _READS:
        return f"a query begins with SELECT or WITH{f', not {words[0]}' if words else ''}"
    written = next((word for word in words if word in _WRITES), None)
    if written is not None:
        return f"a query only reads; it holds {written}"
    return None


def _code(sql: str, kind: Kind) -> Iterator[str]:
    end = 0
    for token in _TOKENS[kind].finditer(sql):
        if token["text"]:
            yield sql[end : token.start()]
            end = token.end()
    yield sql[end:]
