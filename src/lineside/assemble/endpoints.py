"""What a Twisted endpoint string says, without making the endpoint."""

from __future__ import annotations

import re

from msgspec import Struct
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

from lineside.model.wording import did_you_mean

_OPTIONS = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "interface", "backlog"),
    "unix": ("address", "mode", "backlog", "lockfile"),
}
"""The arguments of the kinds that are checked in full; the first is required, and names may be left out."""
_EXAMPLE = "tcp:7001:interface=127.0.0.1"
_EVERYWHERE = {"tcp": ("", "0.0.0.0"), "tcp6": ("", "::")}  # noqa: S104 (recognised, not bound)


class Listen(Struct, frozen=True):
    """Where a server endpoint string listens."""

    kind: str
    """The string's prefix: ``tcp``, ``unix``, ..."""
    arguments: tuple[tuple[str, str], ...]
    """Names (empty where the kind is not known in full) and values, unescaped."""

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


def parse_server(description: str) -> Listen:
    """Parse a server endpoint string, as `twisted.internet.endpoints.serverFromString` does.

    Of ``tcp``, ``tcp6`` and ``unix`` every argument is checked; of other kinds, that Twisted or a plug-in
    knows them.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    (_, kind), *arguments = _split(description)
    if not arguments:
        advice = f'; did you mean "tcp:{kind}"?' if kind.isdecimal() else ""
        raise ValueError(f'"{description}" is no endpoint such as "{_EXAMPLE}"{advice}')
    if kind not in _OPTIONS:
        known = {*_OPTIONS, "ssl"} | {plugin.prefix for plugin in getPlugins(IStreamServerEndpointStringParser)}
        if kind not in known:
            raise ValueError(f'unknown kind of endpoint "{kind}"{did_you_mean(kind, known)}')
        return Listen(kind, tuple((name or "", value) for name, value in arguments))
    named = _name(kind, arguments)
    for argument in ("port", "backlog"):
        if argument in named:
            _check_number(argument, named[argument])
    if "mode" in named and not re.fullmatch("[0-7]{3,4}", named["mode"]):
        raise ValueError(f'mode "{named["mode"]}" is no file mode such as 660')
    return Listen(kind, tuple(sorted(named.items())))


def _name(kind: str, arguments: list[tuple[str | None, str]]) -> dict[str, str]:
    options = _OPTIONS[kind]
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


def _check_number(argument: str, value: str) -> None:
    if not re.fullmatch("[0-9]+", value, re.ASCII):
        raise ValueError(f'{argument} "{value}" is no number')
    if argument == "port" and int(value) > 65_535:
        raise ValueError(f"port {value} is not between 0 and 65535")


def _split(description: str) -> list[tuple[str | None, str]]:
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
