"""What a record of DNS holds: from the text of zone files to bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from struct import pack
from typing import Final

from msgspec import Struct

from lineside.wire.dnsnames import ROOT, Name, NoName, encode_name, name_text, parse_name

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
HINFO: Final = 13
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
ANY: Final = 255
IN: Final = 1

TYPES = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR, "SRV": SRV, "TXT": TXT}
"""Those that a configuration may hold."""
TYPE_NAMES = {number: name for name, number in TYPES.items()} | {NS: "NS", SOA: "SOA", HINFO: "HINFO"}

Data = tuple["bytes | Name", ...]
"""Bytes as they are, and names that may be compressed in an answer. Of types younger than RFC 1035, none may
(RFC 3597, section 4)."""


class RecordSet(Struct, frozen=True):
    """All records of one name and one type, which have one ttl (RFC 2181, section 5)."""

    name: Name
    type: int
    ttl: int
    data: tuple[Data, ...]


def parse_data(kind: str, text: str, origin: Name) -> Data:
    """Return what a text of a zone file means for a record of a type.

    Args:
        kind: one of `TYPES`.
        text: such as ``10.0.0.5`` or ``0 10 7001 scale``.
        origin: is added to names without a last dot.

    Raises:
        ValueError: it means nothing; says why.

    """
    return _PARSERS[kind](text, origin)


def soa_data(primary: Name, contact: Name, serial: int, times: tuple[int, int, int, int]) -> Data:
    """Return the data of a zone's SOA; the times are refresh, retry, expire and minimum, in seconds."""
    return primary, contact, pack(">5I", serial, *times)


def text_data(text: str) -> Data:
    """Return the data of a TXT record: UTF-8, in strings of at most 255 bytes."""
    content = text.encode()
    parts = [content[at : at + 255] for at in range(0, len(content), 255)] or [b""]
    return (b"".join(bytes((len(part),)) + part for part in parts),)


def data_text(kind: int, data: Data) -> str:
    """Return a record's data as a zone file has it."""
    whole = b"".join(part if isinstance(part, bytes) else encode_name(part) for part in data)
    match kind:
        case 1:
            return str(IPv4Address(whole))
        case 28:
            return str(IPv6Address(whole))
        case 16 | 13:
            strings, at = [], 0
            while at < len(whole):
                end = at + 1 + whole[at]
                strings.append(_quoted(whole[at + 1 : end]))
                at = end
            return " ".join(strings)
        case 33:
            numbers = (int.from_bytes(whole[at : at + 2], "big") for at in (0, 2, 4))
            return " ".join([*map(str, numbers), name_text(_name_in(whole[6:]))])
        case 6:
            numbers = (int.from_bytes(whole[at : at + 4], "big") for at in range(len(whole) - 20, len(whole), 4))
            names = (name_text(part) for part in data if not isinstance(part, bytes))
            return " ".join([*names, *map(str, numbers)])
    return " ".join(name_text(part) for part in data if not isinstance(part, bytes))


def _quoted(content: bytes) -> str:
    shown = "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte <= 0x7E else f"\\{byte:03d}"
        for byte in content
    )
    return f'"{shown}"'


def _name_in(wire: bytes) -> Name:
    labels, at = [], 0
    while wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return tuple(labels)


def service_target(data: Data) -> Name:
    """Return where an SRV record leads."""
    (whole,) = data
    assert isinstance(whole, bytes)
    return _name_in(whole[6:])


def address_of(data: Data) -> IPv4Address | IPv6Address:
    """Return the address in an A or AAAA record."""
    (packed,) = data
    assert isinstance(packed, bytes)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _ipv4(text: str, _: Name) -> Data:
    try:
        return (IPv4Address(text).packed,)
    except AddressValueError:
        advice = "; that is an IPv6 address, of type AAAA" if ":" in text else ""
        raise ValueError(f'"{text}" is no IPv4 address{advice}') from None


def _ipv6(text: str, _: Name) -> Data:
    try:
        return (IPv6Address(text).packed,)
    except AddressValueError:
        advice = "; that is an IPv4 address, of type A" if re.fullmatch(r"[\d.]+", text) else ""
        raise ValueError(f'"{text}" is no IPv6 address{advice}') from None


def _host(text: str, origin: Name) -> Data:
    return (parse_name(text, origin),)


def _service(text: str, origin: Name) -> Data:
    parts = text.split()
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 65_536 for part in parts[:3]):
        raise ValueError(f'"{text}" is not priority, weight, port and host, such as "0 10 7001 scale"')
    priority, weight, port = map(int, parts[:3])
    # A dot alone says that there is decidedly no such service (RFC 2782).
    target = ROOT if parts[3] == "." else parse_name(parts[3], origin)
    if parts[3] != "." and not port:
        raise ValueError(f'"{text}" has the port 0, on which nothing listens')
    if b"*" in target:
        raise NoName(f'"{parts[3]}" is no host')
    return (pack(">3H", priority, weight, port) + encode_name(target),)


def _text(text: str, _: Name) -> Data:
    data = text_data(text)
    if sum(map(len, data)) > 4_096:
        raise ValueError("a text has at most 4,000 bytes")
    return data


_PARSERS: dict[str, Callable[[str, Name], Data]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "CNAME": _host,
    "PTR": _host,
    "SRV": _service,
    "TXT": _text,
}
