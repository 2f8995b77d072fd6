"""A WebSocket client for scripts: the handshake, masking and framing of RFC 6455 on a blocking socket.

It does what a demonstration needs and no more: text messages of one frame, no extensions, no TLS.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from typing import BinaryIO

from lineside.workshop.programs import PATIENCE, Missed

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Refused(Exception):
    """The server did not take the connection; ``str()`` is the first line of its answer."""


class WebSocket:
    """A connection to a WebSocket server on this machine; its methods block.

    Args:
        port: the server's.
        origin: the page that a browser would say the connection comes from.
        receive_buffer: bytes that the kernel keeps for a client that does not read; as the system has it if None.

    Raises:
        Refused: the handshake was answered with anything but 101.

    """

    def __init__(self, port: int, *, origin: str | None = None, receive_buffer: int | None = None) -> None:
        self.closed: tuple[int, str] | None = None
        """The code and reason of the server's close frame; None while there was none."""
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._stream: BinaryIO = self._socket.makefile("rb")
        try:
            self._shake_hands(port, origin)
        except BaseException:
            self.hang_up()
            raise

    def _shake_hands(self, port: int, origin: str | None) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [
            b"GET / HTTP/1.1",
            b"Host: 127.0.0.1:%d" % port,
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + key,
        ]
        if origin is not None:
            lines.append(b"Origin: " + origin.encode("ascii"))
        self._socket.sendall(b"\r\n".join([*lines, b"", b""]))
        status = self._stream.readline().decode("latin-1").strip()
        headers = {}
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT, usedforsecurity=False).digest())
        if " 101 " not in f"{status} " or headers.get(b"sec-websocket-accept") != accept:
            raise Refused(status)

    def send(self, text: str) -> None:
        """Send a text message.

        Raises:
            OSError: the connection is gone.

        """
        self._send(_TEXT, text.encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        self._socket.sendall(frame(opcode, payload, os.urandom(4)))

    def hear(self) -> str | None:
        """Wait for a message; returns None where the connection has ended, see `closed`.

        Raises:
            Missed: nothing came.

        """
        try:
            while (received := self._frame()) is not None:
                opcode, payload = received
                if opcode == _TEXT:
                    return payload.decode()
                if opcode == _PING:
                    self._send(_PONG, payload)
                elif opcode == _CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    self.closed = (code, payload[2:].decode())
                    return None
        except TimeoutError as late:
            raise Missed(f"no WebSocket message came within {PATIENCE:.0f} s") from late
        except ConnectionError:
            pass
        return None

    def _frame(self) -> tuple[int, bytes] | None:
        """Read a frame (RFC 6455, 5.2); None where the stream has ended."""
        head = self._stream.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._stream.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._stream.read(8))
        payload = self._stream.read(length)
        return (head[0] & 0x0F, payload) if len(payload) == length else None

    def hang_up(self) -> None:
        """Close the socket, without a closing handshake."""
        self._stream.close()
        self._socket.close()


def frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """Return a client's frame: final, and masked with four bytes (RFC 6455, 5.2 and 5.3)."""
    if len(payload) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(payload))
    key = mask * (len(payload) // 4 + 1)
    masked = (int.from_bytes(payload) ^ int.from_bytes(key[: len(payload)])).to_bytes(len(payload))
    return head + mask + masked
