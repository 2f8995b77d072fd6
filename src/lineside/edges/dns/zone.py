"""The plant's zones: what is at a name, as things are now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from msgspec import Struct

from lineside.wire.dnsnames import WILDCARD, Name, is_within
from lineside.wire.dnsqueries import NOERROR, NXDOMAIN, REFUSED
from lineside.wire.dnsrecords import (
    AAAA,
    ANY,
    CNAME,
    HINFO,
    IN,
    NS,
    SOA,
    SRV,
    A,
    Data,
    RecordSet,
    service_target,
    soa_data,
)

META = frozenset(range(128, 255)) | {0, 41}
"""Types of questions that name no record: zone transfers, signatures and the like (RFC 6895, section 3.1)."""
REFRESH, RETRY, EXPIRE = 3_600, 600, 604_800
"""Seconds, for other servers of the zone; they copy it by other means than a zone transfer."""
_ANY_TTL = 3_600
_MINIMAL: Data = (b"\x07RFC8482\x00",)
_HOPS = 8
"""CNAMEs that are followed, one after the other."""

AllDown = Literal["answer", "leave"]


class Entry(Struct, frozen=True):
    """One record, and by what it stays."""

    name: Name
    type: int
    ttl: int
    data: Data
    needs: str | None = None
    """The condition without which it leaves the answer; None for always."""


class Found(Struct, frozen=True):
    """What to answer."""

    rcode: int
    answer: tuple[RecordSet, ...] = ()
    authority: tuple[RecordSet, ...] = ()
    additional: tuple[RecordSet, ...] = ()
    authoritative: bool = True


REFUSAL = Found(REFUSED, authoritative=False)


class Origin(Struct, frozen=True):
    """A zone's top, of which the gateway is the authority."""

    name: Name
    primary: Name
    contact: Name
    servers: tuple[Name, ...]
    ttl: int
    negative_ttl: int
    """How long others remember that there is nothing (RFC 2308, section 5)."""


class Plant:
    """All zones of a plant, without what is down.

    Args:
        origins: the zones' tops; none is inside another one of them.
        entries: the records, each inside a zone.
        all_down: what is answered where every record of a name and type is down.
        health_ttl: seconds, the most that a record set may be remembered of which one may go down.
        serial: of the SOA records.

    """

    def __init__(
        self,
        origins: Sequence[Origin],
        entries: Iterable[Entry],
        *,
        all_down: AllDown = "answer",
        health_ttl: int = 5,
        serial: int = 1,
    ) -> None:
        self._origins = {origin.name: origin for origin in origins}
        self._entries = tuple(entries)
        self._all_down = all_down
        self._health_ttl = health_ttl
        self.serial = serial
        self._names: dict[Name, dict[int, RecordSet]] = {}
        self.fallen: frozenset[tuple[Name, int]] = frozenset()
        """Names and types of which everything is down."""
        self.see(frozenset(), serial)

    def see(self, down: AbstractSet[str], serial: int) -> None:
        """Take it that what these conditions say does not hold, and that all others do."""
        self.serial = serial
        grouped: dict[tuple[Name, int], list[Entry]] = {}
        for entry in self._entries:
            grouped.setdefault((entry.name, entry.type), []).append(entry)
        names: dict[Name, dict[int, RecordSet]] = {}
        fallen = set()
        for key, entries in grouped.items():
            self._add_place(names, key[0])
            up = [entry for entry in entries if entry.needs not in down]
            if not up:
                fallen.add(key)
                up = entries if self._all_down == "answer" else []
            if up:
                mortal = any(entry.needs is not None for entry in entries)
                ttl = min(entry.ttl for entry in entries)
                ttl = min(ttl, self._health_ttl) if mortal else ttl
                data = tuple(dict.fromkeys(entry.data for entry in up))
                names[key[0]][key[1]] = RecordSet(key[0], key[1], ttl, data)
        for origin in self._origins.values():
            self._add_place(names, origin.name)
            top = names[origin.name]
            top[SOA] = RecordSet(origin.name, SOA, origin.ttl, (self._soa(origin),))
            top[NS] = RecordSet(origin.name, NS, origin.ttl, tuple((server,) for server in origin.servers))
        self._names, self.fallen = names, frozenset(fallen)

    def find(self, name: Name, kind: int, klass: int) -> Found:
        """Return what to answer to a question."""
        origin = self._origin_of(name)
        if origin is None or klass != IN or kind in META:
            return REFUSAL
        if kind == ANY:
            return self._any(origin, name)
        answer: list[RecordSet] = []
        for _ in range(_HOPS):
            there = self._at(origin, name)
            if there is None:
                return Found(NXDOMAIN, tuple(answer), self._nothing(origin))
            if kind in there:
                found = _at_name(there[kind], name)
                return Found(NOERROR, (*answer, found), (), self._beside(found))
            alias = there.get(CNAME)
            if alias is None:
                return Found(NOERROR, tuple(answer), self._nothing(origin))
            answer.append(_at_name(alias, name))
            ((target,),) = alias.data
            assert not isinstance(target, bytes)
            elsewhere = self._origin_of(target)
            if elsewhere is None:
                break
            origin, name = elsewhere, target
        return Found(NOERROR, tuple(answer))

    def records(self) -> list[RecordSet]:
        """Return everything that is answered now, the names in the order of zones."""
        ordered = sorted(self._names.items(), key=lambda item: item[0][::-1])
        return [records for _, there in ordered for _, records in sorted(there.items(), key=_soa_first)]

    @property
    def conditions(self) -> frozenset[str]:
        """Everything that a record needs."""
        return frozenset(entry.needs for entry in self._entries if entry.needs is not None)

    def _add_place(self, names: dict[Name, dict[int, RecordSet]], name: Name) -> None:
        """Add a name, and those between it and its zone's top, which exist without records (RFC 8020)."""
        origin = self._origin_of(name)
        assert origin is not None
        while name not in names:
            names[name] = {}
            if name == origin.name:
                break
            name = name[1:]

    def _origin_of(self, name: Name) -> Origin | None:
        for index in range(len(name)):
            found = self._origins.get(name[index:])
            if found is not None:
                return found
        return None

    def _at(self, origin: Origin, name: Name) -> dict[int, RecordSet] | None:
        there = self._names.get(name)
        if there is not None:
            return there
        # A wildcard stands for what is missing below its closest name that is there (RFC 4592, section 3.3.1).
        while name != origin.name:
            name = name[1:]
            if name in self._names:
                return self._names.get((WILDCARD, *name))
        return None

    def _any(self, origin: Origin, name: Name) -> Found:
        """Answer ANY with one record that says why it is no more (RFC 8482, section 4.2)."""
        there = self._at(origin, name)
        if there is None:
            return Found(NXDOMAIN, (), self._nothing(origin))
        if not there:
            return Found(NOERROR, (), self._nothing(origin))
        if CNAME in there:
            return Found(NOERROR, (_at_name(there[CNAME], name),))
        return Found(NOERROR, (RecordSet(name, HINFO, min(_ANY_TTL, origin.ttl), (_MINIMAL,)),))

    def _nothing(self, origin: Origin) -> tuple[RecordSet, ...]:
        return (RecordSet(origin.name, SOA, min(origin.ttl, origin.negative_ttl), (self._soa(origin),)),)

    def _soa(self, origin: Origin) -> Data:
        times = (REFRESH, RETRY, EXPIRE, origin.negative_ttl)
        return soa_data(origin.primary, origin.contact, self.serial, times)

    def _beside(self, found: RecordSet) -> tuple[RecordSet, ...]:
        """Return the addresses of the hosts that an answer names."""
        if found.type == SRV:
            hosts = [service_target(data) for data in found.data]
        elif found.type == NS:
            hosts = [part for data in found.data for part in data if not isinstance(part, bytes)]
        else:
            return ()
        there = [self._names.get(host, {}) for host in dict.fromkeys(hosts)]
        return tuple(names[kind] for names in there for kind in (A, AAAA) if kind in names)


def check_zone(origins: Sequence[Name], entries: Sequence[Entry]) -> list[str | None]:
    """Return for each entry what is wrong with it among the others, or None."""
    kinds: dict[Name, set[int]] = {}
    for entry in entries:
        kinds.setdefault(entry.name, set()).add(entry.type)
    aliases = {entry.name: entry.data[0] for entry in entries if entry.type == CNAME}
    counts: dict[Name, int] = {}
    problems: list[str | None] = []
    for entry in entries:
        problem = None
        if entry.type == CNAME:
            counts[entry.name] = counts.get(entry.name, 0) + 1
            if len(kinds[entry.name]) > 1 or entry.name in origins:
                problem = "a CNAME stands alone at its name, which has other records too"
            elif counts[entry.name] > 1:
                problem = "a name has at most one CNAME"
            elif _ends_nowhere(entry.name, aliases):
                problem = f"its CNAMEs lead back to it, or over more than {_HOPS - 1} others"
        if not any(is_within(entry.name, origin) for origin in origins):
            problem = "the name is in none of the zones"
        problems.append(problem)
    return problems


def _ends_nowhere(name: Name, aliases: dict[Name, bytes | Name]) -> bool:
    for _ in range(_HOPS):
        target = aliases.get(name)
        if target is None:
            return False
        assert not isinstance(target, bytes)
        name = target
    return True


def _at_name(records: RecordSet, name: Name) -> RecordSet:
    """Return the records under the name that was asked for, where a wildcard gave them."""
    return records if records.name == name else RecordSet(name, records.type, records.ttl, records.data)


def _soa_first(item: tuple[int, RecordSet]) -> tuple[bool, int]:
    return item[0] != SOA, item[0]
