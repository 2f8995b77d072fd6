"""What a Twisted endpoint string says, without making the endpoint."""

from __future__ import annotations

import re
from ipaddress import ip_address

from msgspec import Struct
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

from lineside.model.wording import did_you_mean

_OPTIONS = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "interface", "backlog"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "udp": ("port", "interface"),
}
"""The arguments of the kinds that are checked in full; the first is required, and names may be left out."""
_EXAMPLE = "tcp:7001:interface=127.0.0.1"
_EVERYWHERE = {"tcp": ("", "0.0.0.0"), "tcp6": ("", "::"), "udp": ("", "0.0.0.0", "::")}  # noqa: S104 (not bound)


class Listen(Struct, frozen=True):
    """Where a server endpoint string listens."""

    kind: str
    """The string's prefix: ``tcp``, ``unix``, ..."""
    arguments: tuple[tuple[str, str], ...]
    """Names (empty where the kind is not known in full) and values, unescaped."""

    @property
    def datagrams(self) -> bool:
        """Whether it takes datagrams, not connections."""
        return self.kind == "udp"

    def conflicts(self, other: Listen) -> bool:
        """Tell whether the two cannot both be listened on, as far as the strings show it."""
        mine, others = dict(self.arguments), dict(other.arguments)
        if self.kind not in _OPTIONS or self.kind != other.kind:
            return self == other and self.kind != "systemd"
        if self.kind == "unix":
            return mine["address"] == others["address"]
        if int(mine["port"]) != int(others["port"]) or int(mine["port"]) == 0:
            return False
        interfaces = mine.get("interface", ""), others.get("interface", "")
        return interfaces[0] == interfaces[1] or any(one in _EVERYWHERE[self.kind] for one in interfaces)


def parse_listener(description: str) -> Listen:
    """Parse where lines come in: as `parse_server` does, or ``udp:PORT:interface=ADDRESS`` for datagrams.

    ``udp:ADDRESS:PORT`` is taken, too.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    (_, kind), *arguments = split_endpoint(description)
    if kind != "udp" or not arguments:
        return parse_server(description)
    match arguments:
        case [(None, address), (None, port)] if not address.isdecimal():
            arguments = [(None, port), (None, address)]
    named = name_arguments(kind, arguments, _OPTIONS[kind])
    check_number("port", named["port"], 65_535)
    if named.get("interface"):
        try:
            ip_address(named["interface"])
        except ValueError:
            raise ValueError(f'interface "{named["interface"]}" is no IP address') from None
    return Listen(kind, tuple(sorted(named.items())))


def parse_server(description: str) -> Listen:
    """Parse a server endpoint string, as `twisted.internet.endpoints.serverFromString` does.

    Of ``tcp``, ``tcp6`` and ``unix`` every argument is checked; of other kinds, that Twisted or a plug-in
    knows them.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    (_, kind), *arguments = split_endpoint(description)
    if not arguments:
        advice = f'; did you mean "tcp:{kind}"?' if kind.isdecimal() else ""
        raise ValueError(f'"{description}" is no endpoint such as "{_EXAMPLE}"{advice}')
    if kind not in _OPTIONS or kind == "udp":
        if kind in {"ssl", "tls"}:
            raise ValueError(f'"{kind}" is not watched over; listen on "tcp:PORT" and set tls to a [tls.NAME]')
        known = {*_OPTIONS} - {"udp"} | {plugin.prefix for plugin in getPlugins(IStreamServerEndpointStringParser)}
        if kind not in known:
            raise ValueError(f'unknown kind of endpoint "{kind}"{did_you_mean(kind, known)}')
        return Listen(kind, tuple((name or "", value) for name, value in arguments))
    named = name_arguments(kind, arguments, _OPTIONS[kind])
    if "port" in named:
        check_number("port", named["port"], 65_535)
    if "backlog" in named:
        check_number("backlog", named["backlog"])
    if "mode" in named and not re.fullmatch("[0-7]{3,4}", named["mode"]):
        raise ValueError(f'mode "{named["mode"]}" is no file mode such as 660')
    return Listen(kind, tuple(sorted(named.items())))


def name_arguments(kind: str, arguments: list[tuple[str | None, str]], options: tuple[str, ...]) -> dict[str, str]:
    """Return arguments by their names: those without one have the names of ``options``, in their order.

    Raises:
        ValueError: there are too many, one is not known or given twice, or the first option is missing.

    """
    positional = [value for name, value in arguments if name is None]
    if len(positional) > len(options):
        raise ValueError(f'too many parts: "{kind}" takes {", ".join(options)}; write a colon inside one as "\\:"')
    named = dict(zip(options, positional, strict=False))
    for name, value in arguments:
        if name is None:
            continue
        if name not in options:
            raise ValueError(f'"{kind}" has no option "{name}"{did_you_mean(name, options)}')
        if name in named:
            raise ValueError(f"{name} is given twice")
        named[name] = value
    if not named.get(options[0]):
        raise ValueError(f'"{kind}" needs a {options[0]}')
    return named


def check_number(argument: str, value: str, highest: int | None = None, lowest: int = 0) -> None:
    """Check an argument that is a whole number.

    Raises:
        ValueError: it is none, or out of range.

    """
    if not re.fullmatch("[0-9]+", value, re.ASCII):
        raise ValueError(f'{argument} "{value}" is no number')
    if int(value) < lowest or (highest is not None and int(value) > highest):
        limits = f"below {lowest}" if highest is None else f"not between {lowest} and {highest}"
        raise ValueError(f"{argument} {value} is {limits}")


def split_endpoint(description: str) -> list[tuple[str | None, str]]:
    """Return the parts of an endpoint string, unescaped: names, None where there is none, and values."""
    # A backslash takes the next character as it is; the first "=" of a part ends its name.
    parts: list[tuple[str | None, str]] = []
    name: str | None = None
    value = ""
    characters = iter(description)
    for character in characters:
        if character == "\\":
            value += next(characters, "")
        elif character == ":":
            parts.append((name, value))
            name, value = None, ""
        elif character == "=" and name is None:
            name, value = value, ""
        else:
            value += character
    return [*parts, (name, value)]
