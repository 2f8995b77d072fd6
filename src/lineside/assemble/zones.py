"""From ``[dns]`` to zones and their records."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from lineside.assemble.dnssettings import DnsSettings
from lineside.edges.dns.zone import Entry, Origin, check_zone
from lineside.model.wording import key_path
from lineside.wire.dnsnames import NoName, is_within, name_text, parse_name, reverse_name, reverse_origin
from lineside.wire.dnsrecords import AAAA, PTR, TYPES, A, address_of, parse_data

NEGATIVE_TTL = 60
"""Seconds, at most, that others remember that there is nothing: what comes back is to be found."""


def origins_of(settings: DnsSettings) -> list[Origin]:
    """Return the tops of the zone and of its reverse zones."""
    servers = tuple(parse_name(server, settings.origin) for server in settings.nameservers)
    contact = parse_name(settings.contact, settings.origin)
    negative = min(settings.ttl, NEGATIVE_TTL)
    names = [settings.origin, *(reverse_origin(network) for network in settings.reverse)]
    return [Origin(name, servers[0], contact, servers, settings.ttl, negative) for name in names]


def entries_of(settings: DnsSettings) -> list[Entry]:
    """Return all records: the configuration's, and those that follow from them."""
    written = [entry for _, entry in _written(settings)]
    return [*written, *_own_address(settings, written), *_pointers(settings, written)]


def zone_problems(settings: DnsSettings) -> Iterator[str]:
    """Yield what is wrong with records beside each other, with key paths."""
    if settings.zone is None:
        return
    try:
        written = list(_written(settings))
    except (NoName, ValueError):
        # Told for each record already.
        return
    tops = [origin.name for origin in origins_of(settings)]
    told = set()
    for (index, _), problem in zip(written, check_zone(tops, [entry for _, entry in written]), strict=True):
        if problem is not None and index not in told:
            told.add(index)
            yield f"{key_path('dns', 'records', index, 'name')}: {problem}"


def zone_warnings(settings: DnsSettings) -> Iterator[str]:
    """Yield what works but had better be otherwise."""
    if settings.zone is None:
        return
    entries = entries_of(settings)
    addresses = {entry.name for entry in entries if entry.type in {A, AAAA}}
    for server in settings.nameservers:
        name = parse_name(server, settings.origin)
        if is_within(name, settings.origin) and name not in addresses:
            yield (f"dns.nameservers: {name_text(name)} has no address record; nobody who is sent to it finds it")
    if settings.place[0] in {"", "0.0.0.0", "::"}:  # noqa: S104 (it is told, not bound)
        yield (
            f"dns.listen: on a machine with several addresses, answers to {settings.listen} may leave from another "
            "one than was asked, and are dropped by who asked; give an interface"
        )


def _written(settings: DnsSettings) -> Iterator[tuple[int, Entry]]:
    for index, record in enumerate(settings.records):
        name = parse_name(record.name, settings.origin)
        ttl = settings.ttl if record.ttl is None else record.ttl
        needs = None if record.when is None else record.when.text
        for value in record.value:
            data = parse_data(record.type, value, settings.origin)
            yield index, Entry(name, TYPES[record.type], ttl, data, needs)


def _own_address(settings: DnsSettings, written: list[Entry]) -> Iterator[Entry]:
    name = parse_name(settings.nameservers[0], settings.origin)
    interface, _ = settings.place
    if not interface or ip_address(interface).is_unspecified or not is_within(name, settings.origin):
        return
    if not any(entry.name == name for entry in written):
        address = ip_address(interface)
        yield Entry(name, A if address.version == 4 else AAAA, settings.ttl, (address.packed,))


def _pointers(settings: DnsSettings, written: list[Entry]) -> Iterator[Entry]:
    taken = {entry.name for entry in written}
    for entry in written:
        if entry.type not in {A, AAAA} or b"*" in entry.name:
            continue
        address = address_of(entry.data)
        name = reverse_name(address)
        if name not in taken and any(address in network for network in settings.reverse):
            taken.add(name)
            yield Entry(name, PTR, entry.ttl, (entry.name,))
