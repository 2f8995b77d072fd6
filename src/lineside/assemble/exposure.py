"""Who can reach a listener, and whether that is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from lineside.assemble.endpoints import parse_listener
from lineside.assemble.limitsettings import UNBOUND
from lineside.model.errors import LinesideError
from lineside.model.wording import key_path


class Tokens(Protocol):
    """The API tokens there are."""

    @property
    def any(self) -> bool:
        """Whether there is one."""
        ...


def is_public(listen: str) -> bool:
    """Tell whether other machines can reach what listens there, as far as the endpoint string shows it.

    Of a kind of endpoint that does not tell its address, such as ``systemd``, it is taken for granted.
    """
    parsed = parse_listener(listen)
    if parsed.kind == "unix":
        return False
    given = dict(parsed.arguments).get("interface", "")
    if given == "localhost":
        return False
    try:
        return not ip_address(given).is_loopback
    except ValueError:
        return True


def is_unix(listen: str | None) -> bool:
    """Tell whether who connects has no address of a network."""
    return listen is not None and parse_listener(listen).kind == "unix"


def check_door(name: str, source: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with who may come to a source of lines; the table is as in the file."""
    listen = source.get("listen")
    for key in ("allow", "public"):
        if source.get(key, False) is not False and listen is None:
            yield f"{key_path('sources', name, key)}: the source dials, nobody comes to it; remove it"
    if source.get("rate", UNBOUND) != UNBOUND and str(source.get("connect", "")).startswith("serial:"):
        yield f"{key_path('sources', name, 'rate')}: a serial port cannot be told to wait, and would lose lines"
    if not isinstance(listen, str):
        return
    try:
        public, unix = is_public(listen), is_unix(listen)
    except ValueError:
        return
    if "allow" in source and unix:
        yield f"{key_path('sources', name, 'allow')}: who comes over a Unix socket has no address; use its mode"
    known = "ca" in source or "allow" in source or source.get("public", False) is not False
    if public and not known:
        yield (
            f"{key_path('sources', name, 'listen')}: other machines can reach {listen}, and whoever does can make "
            'events; set allow = ["10.20.0.0/16"] to the networks of your devices, or tls and ca to demand '
            "certificates, or public = true if that is meant"
        )


class AskedDoor:
    """The `Part` that keeps a gateway from serving other machines over HTTP before anybody can say who they are.

    Args:
        listen: where HTTP is served.
        meant: the configuration says that it may.
        tokens: read already when it starts.

    """

    name = "http's door"

    def __init__(self, listen: str, tokens: Tokens, *, meant: bool) -> None:
        self._listen = listen
        self._tokens = tokens
        self._meant = meant

    async def start(self) -> None:
        """Check.

        Raises:
            LinesideError: other machines could reach it, there is no token yet, and nobody said that this is meant.

        """
        if not self._meant and not self._tokens.any and is_public(self._listen):
            raise LinesideError(
                f"http: {self._listen} can be reached from other machines, and there is no token by which anybody "
                "could say who they are; listen on interface=127.0.0.1 until `lineside token create` has made one, "
                "or set public = true in [http]"
            )

    async def stop(self) -> None:
        """Nothing is open."""
