"""What the load of `fan_out` says to each server: as much of its protocol as subscribing and publishing take."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import NamedTuple

MARK = b"^"
"""A byte that each message holds exactly once, and nothing else that a server sends: messages are counted by it."""
PAYLOAD = 200
"""Bytes of a message, however much the server adds."""
CHANNEL = "pub:bench"

Step = tuple[bytes, bytes]
"""What is sent, and what the answer holds when it is there."""


class Wire(NamedTuple):
    """How to speak to a server."""

    subscribe: Callable[[str], list[Step]]
    """From a token, the steps by which a client subscribes."""
    enter: Callable[[str], list[Step]]
    """From a token, the steps after which a publisher may begin."""
    publish: Callable[[list[bytes]], bytes]
    """Messages as the bytes that publish them, in order."""
    ping: bytes
    """A frame that is answered with ``pong``."""
    pong: bytes
    refused: bytes
    """What a publisher is told when a message was not taken."""


def message(number: int) -> bytes:
    """Return one message of a shop floor, 200 bytes of JSON."""
    head = (
        b'{"mark":"^","number":%09d,"kind":"count","item":"%05d","qty":%d,"station":"press-07","shift":"A","note":"'
        % (
            10**8 + number,
            number % 200,
            number % 9 + 1,
        )
    )
    return head + b"x" * (PAYLOAD - len(head) - 2) + b'"}'


def frame(payload: bytes) -> bytes:
    """Return a text frame of a client (RFC 6455, section 5.2), masked with zeros as a mask may be."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + bytes(4) + payload
    if size < 65_536:
        return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + payload
    return b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + payload


def upgrade(path: str) -> Step:
    """Return the request that opens a WebSocket."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    return head.encode(), b"\r\n\r\n"


def connect(token: str, channel: str | None = None) -> list[Step]:
    """Return the steps into the gateway, and into a channel."""
    commands = [json.dumps({"id": 1, "connect": {"token": token}})]
    if channel is not None:
        commands.append(json.dumps({"id": 2, "subscribe": {"channel": channel}}))
    return [
        upgrade("/connection/websocket"),
        (frame("\n".join(commands).encode()), b'"id":%d' % len(commands)),
    ]


def commands(messages: list[bytes]) -> bytes:
    """Return the commands that publish, all in one frame, as the SDKs batch them."""
    command = b'{"id":3,"publish":{"channel":"%s","data":%%s}}' % CHANNEL.encode()
    return frame(b"\n".join(command % each for each in messages))


def redis_publish(messages: list[bytes]) -> bytes:
    """Return what Frappe's workers say to Redis."""
    texts = [
        b'{"event":"list_update","message":%s,"namespace":"bench","room":"doctype:Item"}' % each
        for each in messages
    ]
    return b"".join(b"*3\r\n$7\r\nPUBLISH\r\n$6\r\nevents\r\n$%d\r\n%s\r\n" % (len(each), each) for each in texts)


WIRES = {
    "lineside": Wire(
        subscribe=lambda token: connect(token, CHANNEL),
        enter=connect,
        publish=commands,
        ping=b"\x81\x02{}",
        pong=frame(b"{}"),
        refused=b'"error"',
    ),
    "gateway": Wire(
        subscribe=lambda token: connect(token, "events:gate"),
        enter=lambda _: [],
        publish=lambda messages: b"\n".join(messages) + b"\n",
        ping=b"\x81\x02{}",
        pong=frame(b"{}"),
        refused=b"ERR",
    ),
    "socket.io": Wire(
        subscribe=lambda _: [
            upgrade("/socket.io/?EIO=4&transport=websocket"),
            (frame(b"40/bench,"), b"40/bench,"),
        ],
        enter=lambda _: [],
        publish=redis_publish,
        ping=b"\x81\x012",
        pong=frame(b"3"),
        refused=b"-ERR",
    ),
    "nchan": Wire(
        subscribe=lambda _: [upgrade("/subscribe")],
        enter=lambda _: [upgrade("/publish")],
        publish=lambda messages: b"".join(map(frame, messages)),
        ping=b"\x89\x00",
        pong=b"\x8a\x80" + os.urandom(4),
        refused=b"\x88",
    ),
}
