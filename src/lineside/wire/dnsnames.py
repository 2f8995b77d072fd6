"""Names of DNS: text, labels, and bytes (RFC 1035, sections 2.3 and 4.1.4)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Name = tuple[bytes, ...]
"""Labels in lower case, the root's left out: names are compared without regard to case (RFC 4343)."""

ROOT: Name = ()
WILDCARD = b"*"
LONGEST = 255
"""Bytes of a name, the lengths of its labels and the root's included."""
LONGEST_LABEL = 63
_LABEL = re.compile(r"(?!-)[a-z0-9_-]+(?<!-)", re.ASCII)


class NoName(ValueError):
    """It is no name; the text says why."""


def parse_name(text: str, origin: Name = ROOT) -> Name:
    """Return the name that a text means.

    Args:
        text: ends with a dot where it is whole; ``@`` is the origin itself.
        origin: is added to a text that does not end with a dot.

    Raises:
        NoName: a label is empty, too long, or has other characters than letters, digits, ``-`` and ``_``; ``*``
            may stand alone as the first label.

    """
    if text == "@":
        return origin
    whole = text.endswith(".")
    labels = text.lower().removesuffix(".").split(".")
    for index, label in enumerate(labels):
        if label == "*" and index == 0:
            continue
        if not label:
            raise NoName(f'"{text}" has an empty label between its dots')
        if not _LABEL.fullmatch(label):
            raise NoName(f'"{text}" is no name: "{label}" has other characters than a-z, 0-9, - and _')
        if len(label) > LONGEST_LABEL:
            raise NoName(f'"{text}" has a label of more than {LONGEST_LABEL} characters')
    name = tuple(label.encode() for label in labels) + (() if whole else origin)
    if len(encode_name(name)) > LONGEST:
        raise NoName(f'"{text}" is longer than the {LONGEST} bytes that a name may have')
    return name


def name_text(name: Name) -> str:
    r"""Return a name as people write it, with its last dot; a byte that is no printable ASCII as ``\DDD``."""
    return ".".join("".join(map(_character, label)) for label in name) + "."


def encode_name(name: Name) -> bytes:
    """Return a name's bytes, without compression."""
    return b"".join(bytes((len(label),)) + label for label in name) + b"\0"


def is_within(name: Name, origin: Name) -> bool:
    """Tell whether a name is the origin or below it."""
    return not origin or name[-len(origin) :] == origin


def reverse_name(address: IPv4Address | IPv6Address) -> Name:
    """Return the name under which an address's own name stands (RFC 1035, section 3.5; RFC 3596, section 2.5)."""
    return parse_name(f"{address.reverse_pointer}.")


def reverse_origin(network: IPv4Network | IPv6Network) -> Name:
    """Return the zone that holds the reverse names of a network.

    Raises:
        NoName: the network does not end where a label does: /8, /16, /24 and /32, or a multiple of four.

    """
    step = 8 if network.version == 4 else 4
    if network.prefixlen % step or not network.prefixlen:
        ends = "/8, /16 or /24" if step == 8 else "a multiple of 4, such as /48 or /64"
        raise NoName(f"{network} ends inside a label of its reverse names; give {ends}")
    whole = reverse_name(network.network_address)
    labels = network.max_prefixlen // step
    return whole[labels - network.prefixlen // step :]


def _character(byte: int) -> str:
    character = chr(byte)
    if character in '.\\"();@$':
        return f"\\{character}"
    return character if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"
