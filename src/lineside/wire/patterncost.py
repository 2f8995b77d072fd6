"""What a regular expression may cost. Pure.

Python's expressions have no time limit, and a gateway has one thread for all its devices. So an expression is
looked at before it is used. One that may take time that doubles with each character is not taken at all. For the
others it is found how many of their repetitions may share characters: with so many the time grows as that power of
the frame's length, and the length that is matched is bounded accordingly.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from math import comb

# CPython's own parser of expressions; tests hold its tree to what is read here.
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

STEPS: Final = 2_000_000
"""About so many steps of the matcher one frame may take: some hundredths of a second."""
LEAST: Final = 32
"""A pattern that is safe for no more characters than this is of no use."""
_BEYOND = frozenset(map(ord, "Ā\u0663\u2003€"))
"""A letter, a digit, a space and a sign that stand for all beyond the first 256 characters."""
_EXACT = frozenset(range(256)) | frozenset(map(ord, "\u017f\u212a\u212b\u0178\u03bc\u039c\u1e9e\u0131\u0130"))
"""Characters that stand for themselves alone: the first 256, and those that are the same as one of them, but for
their case."""
_CHARS = sorted(_EXACT | _BEYOND)
_ALL = frozenset(_CHARS)


def longest_match(text: str) -> int:
    """Return how many characters an expression is to be matched against, at most.

    Raises:
        ValueError: it may take too long even with few.

    """
    run = _Run(re.compile(text).flags)
    run.follow(parser.parse(text))
    # In so many ways can characters be shared out among the repetitions, which may all be tried in vain.
    longest = bisect_right(range(STEPS), STEPS, key=lambda length: comb(length + run.power, run.power)) - 1
    if longest < LEAST:
        raise ValueError(
            f"{run.power} of its repetitions and choices may share characters, which may take for ever; "
            "let each end where the next begins, such as [^,]* for .*"
        )
    return longest


class _Run:
    """Follows an expression, and counts the repetitions that may share characters.

    A repetition ends where something that must be there can be no part of it. Alone it has one way to match then;
    of several that share characters each but one multiplies the ways of all that follows.
    """

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._open: list[frozenset[int]] = []
        self._ended = 0

    @property
    def power(self) -> int:
        """With which power of a frame's length the time grows, at most."""
        return self._ended + max(self._shared(), 1)

    def follow(self, tree: Any, *, must: bool = True) -> None:
        """Go through a sequence; ``must`` tells whether it has to be there."""
        for kind, value in tree:
            match kind:
                case op.AT:
                    pass
                case op.GROUPREF:
                    self._repeat(_ALL)
                case op.MAX_REPEAT | op.MIN_REPEAT:
                    self._repetition(*value, must=must)
                case op.SUBPATTERN:
                    self._group(*value, must=must)
                case op.BRANCH:
                    self._choice(value[1])
                case op.POSSESSIVE_REPEAT | op.ATOMIC_GROUP:
                    self._closed(value[2] if kind is op.POSSESSIVE_REPEAT else value, kind)
                case op.ASSERT | op.ASSERT_NOT:
                    self._aside(value[1])
                case op.GROUPREF_EXISTS:
                    for part in filter(None, value[1:]):
                        self._aside(part)
                        self._repeat(self._chars(part))
                case _ if must:
                    self._need(self._chars([(kind, value)]))

    def _group(self, _: object, added: int, removed: int, inside: Any, *, must: bool) -> None:
        if added or removed:
            raise ValueError("a group has flags of its own; put them at the beginning, such as (?i)")
        self.follow(inside, must=must)

    def _closed(self, inside: Any, kind: Any) -> None:
        # It gives nothing back; but what it holds may still try in vain.
        if kind is op.POSSESSIVE_REPEAT and any(True for _ in _choices(inside)):
            raise ValueError(_NESTED)
        within = _Run(self._flags)
        within.follow(inside)
        self._ended += within.power - 1

    def _aside(self, inside: Any) -> None:
        if any(True for _ in _choices(inside)):
            raise ValueError("it repeats something inside a look-ahead, look-behind or condition")

    def _repetition(self, least: int, most: Any, body: Any, *, must: bool) -> None:
        if least == most == 1:
            self.follow(body, must=must)
            return
        if any(True for _ in _choices(body)):
            if most != 1:
                raise ValueError(_NESTED)
            self._repeat(self._chars(body))
            self.follow(body, must=False)
            return
        chars = self._chars(body)
        if least and must:
            self._need(chars)
        if least != most:
            self._repeat(chars)

    def _choice(self, branches: list[Any]) -> None:
        if not self._told_apart(branches):
            together = frozenset().union(*(self._chars(branch) for branch in branches))
            self._repeat(together)
            self._repeat(together)
        for branch in branches:
            self.follow(branch, must=False)

    def _need(self, chars: frozenset[int]) -> None:
        if all(chars.isdisjoint(repeated) for repeated in self._open):
            self._ended += max(self._shared() - 1, 0)
            self._open.clear()

    def _repeat(self, chars: frozenset[int]) -> None:
        self._open.append(chars)

    def _shared(self) -> int:
        return max((sum(char in repeated for repeated in self._open) for char in _CHARS), default=0)

    def _told_apart(self, branches: list[Any]) -> bool:
        """Whether the first character tells which branch it is."""
        firsts = [self._chars(list(branch)[:1]) if len(branch) else frozenset() for branch in branches]
        single = all(len(branch) and branch[0][0] in {op.LITERAL, op.IN} for branch in branches)
        return single and sum(map(len, firsts)) == len(frozenset().union(*firsts))

    def _chars(self, tree: Any) -> frozenset[int]:
        found: frozenset[int] = frozenset()
        for kind, value in tree:
            if kind in {op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.CATEGORY, op.RANGE}:
                found |= self._members(kind, value)
            elif kind in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
                found |= self._chars(value[2])
            elif kind is op.SUBPATTERN:
                found |= self._chars(value[-1])
            elif kind is op.ATOMIC_GROUP:
                found |= self._chars(value)
            elif kind is op.BRANCH:
                found = found.union(*(self._chars(branch) for branch in value[1]))
            elif kind not in {op.AT, op.ASSERT, op.ASSERT_NOT}:
                return _ALL
        return found

    def _members(self, kind: Any, value: Any, *, sure: bool = False) -> frozenset[int]:
        """Return the characters that one item may match, or those that it matches for ``sure``."""
        beyond = frozenset() if sure else _BEYOND
        match kind:
            case op.IN if value[0][0] is op.NEGATE:
                return _ALL.difference(*(self._members(*item, sure=True) for item in value[1:]))
            case op.IN:
                return frozenset().union(*(self._members(*item) for item in value))
            case op.LITERAL | op.RANGE:
                low, high = value if kind is op.RANGE else (value, value)
                item = re.compile(f"[{re.escape(chr(low))}-{re.escape(chr(high))}]", self._flags & _CASE)
                found = frozenset(char for char in _EXACT if item.match(chr(char)))
                return found | (beyond if high > 255 else frozenset())
            case op.CATEGORY:
                category = re.compile(_CATEGORIES[str(value)], self._flags & re.ASCII)
                return frozenset(char for char in _CHARS if category.match(chr(char)))
            case op.NOT_LITERAL:
                return _ALL - {value}
        return _ALL


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_CASE = re.IGNORECASE | re.ASCII
_NESTED = (
    "it repeats what holds a repetition or a choice itself, which may take for ever; "
    "write it without, or possessive, such as (?:[0-9]++,)*"
)


def _choices(tree: Any) -> Iterator[Any]:
    """Yield what in a tree can match in more ways than one."""
    for kind, value in tree:
        if kind in {op.MAX_REPEAT, op.MIN_REPEAT}:
            least, most, body = value
            if least != most:
                yield kind
            yield from _choices(body)
        elif kind in {op.BRANCH, op.GROUPREF_EXISTS}:
            yield kind
        elif kind is op.SUBPATTERN:
            yield from _choices(value[-1])
        elif kind in {op.ASSERT, op.ASSERT_NOT}:
            yield from _choices(value[1])
