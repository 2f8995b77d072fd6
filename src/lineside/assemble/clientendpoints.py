"""What a string says that tells where to dial, without making the endpoint."""

from __future__ import annotations

import re
from importlib.util import find_spec

from msgspec import Struct
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import getPlugins

from lineside.assemble.endpoints import check_number, name_arguments, split_endpoint
from lineside.model.wording import did_you_mean
from lineside.wire.dnsnames import parse_name

_OPTIONS = {
    "tcp": ("host", "port", "timeout", "bindAddress"),
    "tls": ("host", "port", "timeout", "bindAddress", "certificate", "privateKey"),
    "unix": ("path", "timeout", "lockfile"),
    "srv": ("service", "timeout"),
    "serial": ("device", "baudrate", "bytesize", "parity", "stopbits", "rtscts", "xonxoff"),
}
"""The arguments of the kinds that are checked in full; the first is required."""
_PLACED = {"tcp": 2, "tls": 2, "unix": 1, "srv": 1, "serial": 2}
"""How many arguments may stand without their names."""
_SERIAL = {
    "bytesize": ("5", "6", "7", "8"),
    "parity": ("N", "E", "O", "M", "S"),
    "stopbits": ("1", "1.5", "2"),
    "rtscts": ("0", "1"),
    "xonxoff": ("0", "1"),
}
_EXAMPLE = "tcp:10.0.0.5:4001"
_SERIAL_EXAMPLE = "serial:/dev/ttyUSB0:baudrate=9600"
CONNECT_TIMEOUT = 10.0
"""Seconds, where the string has no ``timeout``."""


class Dial(Struct, frozen=True):
    """Where a client endpoint string leads."""

    kind: str
    """The string's prefix: ``tcp``, ``serial``, ..."""
    arguments: dict[str, str]
    """By name, unescaped; none where the kind is not known in full."""

    @property
    def timeout(self) -> float:
        """Seconds that connecting may take."""
        return float(self.arguments.get("timeout", CONNECT_TIMEOUT))


def parse_client(description: str) -> Dial:
    """Parse a client endpoint string, as `twisted.internet.endpoints.clientFromString` does, or ``serial:``.

    Of ``tcp``, ``tls``, ``unix`` and ``serial`` every argument is checked; of other kinds, that Twisted or a
    plug-in knows them.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    (_, kind), *arguments = split_endpoint(description)
    if not arguments:
        raise ValueError(f'"{description}" is no endpoint such as "{_EXAMPLE}"{_advice(kind)}')
    if kind == "ssl":
        raise ValueError('"ssl" does not look whose certificate it is shown; write "tls:HOST:PORT"')
    if kind not in _OPTIONS:
        plugins = {plugin.prefix for plugin in getPlugins(IStreamClientEndpointStringParserWithReactor)}
        known = {*_OPTIONS} | plugins
        if kind not in known:
            raise ValueError(
                f'unknown kind of endpoint "{kind}"{did_you_mean(kind, known) or _advice(description)}'
            )
        return Dial(kind, {})
    if sum(name is None for name, _ in arguments) > _PLACED[kind]:
        raise ValueError(
            f'too many parts: "{kind}" takes {", ".join(_OPTIONS[kind][: _PLACED[kind]])} and further ones by '
            'their names; write a colon inside one as "\\:"'
        )
    named = name_arguments(kind, arguments, _OPTIONS[kind])
    (_check_serial if kind == "serial" else _check_network)(kind, named)
    return Dial(kind, named)


def _advice(text: str) -> str:
    if re.fullmatch(r"[\w.-]+:\d+", text, re.ASCII):
        return f'; did you mean "tcp:{text}"?'
    if text.startswith("/dev/"):
        return f'; did you mean "serial:{text.partition(":")[0]}:baudrate=9600"?'
    return ""


def check_service(name: str) -> None:
    """Check the name of a service (RFC 2782).

    Raises:
        ValueError: it is none.

    """
    if not re.fullmatch(r"_[a-z0-9-]+\._(tcp|udp)(\.[a-z0-9_-]+)+\.?", name, re.IGNORECASE | re.ASCII):
        raise ValueError(f'"{name}" is no service such as _scale._tcp.plant.example')
    parse_name(name)


def _check_network(kind: str, named: dict[str, str]) -> None:
    if kind == "srv":
        check_service(named["service"])
    if kind in {"tcp", "tls"}:
        if not named.get("port"):
            advice = "; a source that is dialled by its devices has listen" if named["host"].isdecimal() else ""
            raise ValueError(f'"{kind}" needs a port, as in "{kind}:10.0.0.5:4001"{advice}')
        check_number("port", named["port"], 65_535, 1)
    if "timeout" in named:
        check_number("timeout", named["timeout"], lowest=1)
    for option in ("certificate", "privateKey"):
        if option in named and not named[option].startswith("/"):
            raise ValueError(f'{option} "{named[option]}" is no whole path of a PEM file')
    if "privateKey" in named and "certificate" not in named:
        raise ValueError("privateKey is that of a certificate, which is missing")


def _check_serial(kind: str, named: dict[str, str]) -> None:
    if not named["device"].startswith("/"):
        raise ValueError(f'"{named["device"]}" is no path of a device, as in "{_SERIAL_EXAMPLE}"')
    if "baudrate" not in named:
        raise ValueError(f'"{kind}" needs a baudrate, as in "{_SERIAL_EXAMPLE}"')
    check_number("baudrate", named["baudrate"], 4_000_000, 50)
    for option, known in _SERIAL.items():
        if option in named and named[option] not in known:
            raise ValueError(f'{option} "{named[option]}" is none of {", ".join(known)}')
    if find_spec("serial") is None:
        raise ValueError("serial ports need the extra serial: pip install 'lineside[serial]'")
