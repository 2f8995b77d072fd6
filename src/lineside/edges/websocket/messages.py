"""The JSON of live channels: commands in, replies and pushes out. Pure.

A WebSocket text frame holds one or more objects, parted by a line feed. Fields that are not set are left out: the
SDK for Python takes a ``null`` for a value.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineside.edges.websocket.codes import BAD_COMMAND, Ended, ErrorCode

NOTHING = Raw(b"")


class SubscribeRequest(Struct):
    """Ask for what is published in a channel from now on, or from a position on."""

    channel: str
    token: str | None = None
    recover: bool = False
    offset: int = 0
    epoch: str | None = None
    type: int = 0
    flag: int = 0

    @property
    def rather_fails(self) -> bool:
        """It wants an error where the position is lost, instead of the present one."""
        return bool(self.flag & 2)


class WasAt(Struct):
    """Where a client was in a channel to which its token subscribes it."""

    recover: bool | None = None
    offset: int | None = None
    epoch: str | None = None


class ConnectRequest(Struct):
    """Say who one is; the first command."""

    token: str | None = None
    data: Raw = NOTHING
    name: str | None = None
    version: str | None = None
    subs: dict[str, WasAt] = {}


class ChannelRequest(Struct):
    """Ask something of a channel."""

    channel: str


class PublishRequest(Struct):
    """Publish in a channel."""

    channel: str
    data: Raw


class Position(Struct):
    """A place in a channel's stream."""

    offset: int = 0
    epoch: str | None = None


class HistoryRequest(Struct):
    """Ask for what was published."""

    channel: str
    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class RpcRequest(Struct):
    """Have an operation carried out."""

    method: str
    data: Raw = NOTHING


class RefreshRequest(Struct):
    """Prolong the connection."""

    token: str


class SubRefreshRequest(Struct):
    """Prolong a subscription."""

    channel: str
    token: str


class Command(Struct):
    """One command; just one of its methods is set. All unset and no ``id``: a pong."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: ChannelRequest | None = None
    publish: PublishRequest | None = None
    presence: ChannelRequest | None = None
    presence_stats: ChannelRequest | None = None
    history: HistoryRequest | None = None
    rpc: RpcRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None
    send: Any = None


METHODS = tuple(name for name in Command.__struct_fields__ if name != "id")
PING = b"{}"

_decode = msgspec.json.Decoder(Command).decode
_encode = msgspec.json.Encoder().encode


def commands(frame: bytes) -> list[Command]:
    """Return the commands of one frame.

    Raises:
        Ended: it is not of the protocol.

    """
    lines = frame.split(b"\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    try:
        return [_decode(line) for line in lines]
    except (msgspec.DecodeError, ValueError, RecursionError) as wrong:
        raise Ended(BAD_COMMAND) from wrong


def method_of(command: Command) -> tuple[str, Any]:
    """Return the method that a command calls, and its request.

    Raises:
        Ended: it calls none, or several.

    """
    called = [(name, request) for name in METHODS if (request := getattr(command, name)) is not None]
    if len(called) != 1:
        raise Ended(BAD_COMMAND)
    return called[0]


def reply(identifier: int, method: str, result: dict[str, Any]) -> bytes:
    """Return the reply to a command; entries that are None are left out of ``result``."""
    return _encode({"id": identifier, method: {name: each for name, each in result.items() if each is not None}})


def error_reply(identifier: int, error: ErrorCode) -> bytes:
    """Return the reply to a command that was not carried out."""
    told = {"code": error.code, "message": error.message}
    return _encode({"id": identifier, "error": told | {"temporary": True} if error.temporary else told})


def push(channel: str, kind: str, content: dict[str, Any]) -> bytes:
    """Return what is sent without being asked for: ``pub``, ``join``, ``leave`` or ``unsubscribe``."""
    return _encode({"push": {"channel": channel, kind: content}})


def one_line(data: bytes) -> bytes:
    """Return JSON without line feeds; valid JSON has them between its tokens only."""
    return msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else data


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a WebSocket ping that brought ``payload``, of 125 bytes at most (section 5.5)."""
    return b"\x8a" + len(payload).to_bytes(1, "big") + payload


def text_frame(payload: bytes) -> bytes:
    """Return a whole WebSocket text frame from a server (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
