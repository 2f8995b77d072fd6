"""What comes back from questions about the plant's DNS zones. Pure values."""

from __future__ import annotations

from msgspec import Struct


class ZoneRecord(Struct, frozen=True):
    """One record."""

    name: str
    ttl: int
    type: str
    data: str
    """As a zone file has it."""


class CountedAnswers(Struct, frozen=True):
    """Counts since the gateway's start."""

    answers: dict[str, int]
    """By their code: ``NOERROR``, ``NXDOMAIN``, ..."""
    from_cache: int
    """Of them, those that were remembered."""
    limited: int
    """Questions over ``rate_limit``."""
    ignored: int
    """Packets that were no questions at all."""
    unsent: int
    """Answers that the operating system did not take."""
    turned_away: int
    """TCP connections for which there was no room."""
    connections: int
    """TCP connections at present."""


class ZoneView(Struct, frozen=True):
    """All zones."""

    address: str
    serial: int
    records: list[ZoneRecord]
    down: dict[str, str]
    """Why, by condition, for everything that is down and because of which records are left out."""
    all_down: list[str]
    """Names and types of which nothing is up."""
    counts: CountedAnswers
