"""The WebSocket client of demonstrations speaks RFC 6455."""

from __future__ import annotations

import socket
from threading import Thread
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop.websocket import Refused, WebSocket, frame


class ClientFrame(SynchronousTestCase):
    """What a client sends is masked."""

    def test_the_example_of_the_rfc(self) -> None:
        """RFC 6455, 5.7: a masked "Hello"."""
        assert frame(1, b"Hello", bytes.fromhex("37fa213d")).hex() == "818537fa213d7f9f4d5158"

    def test_lengths(self) -> None:
        """Seven bits hold 125, the next size is of 16 bits, then of 64; an empty message is a frame, too."""
        mask = bytes(4)
        assert frame(1, b"", mask) == b"\x81\x80" + mask
        assert frame(1, b"x" * 125, mask)[:2] == b"\x81\xfd"
        assert frame(1, b"x" * 126, mask)[:4] == b"\x81\xfe\x00\x7e"
        assert frame(1, b"x" * 65_536, mask)[:10] == b"\x81\xff" + (65_536).to_bytes(8)


class Served:
    """A server that answers one connection with prepared bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.answer = answer
        self.heard = b""
        self.thread = Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        """Wait for the handshake, answer, and read to the end."""
        connection, _ = self.listening.accept()
        with connection, connection.makefile("rb") as stream:
            lines = iter(stream.readline, b"\r\n")
            key = next(line for line in lines if line.startswith(b"Sec-WebSocket-Key:")).split()[1]
            for _ in lines:
                pass
            connection.sendall(self.answer.replace(b"ACCEPT", accept(key)))
            self.heard = stream.read()

    def end(self) -> None:
        """Wait until it is done."""
        self.thread.join(10)
        self.listening.close()


def accept(key: bytes) -> bytes:
    """Return what a server proves the handshake with (RFC 6455, 4.2.2)."""
    import base64  # noqa: PLC0415 (only here)
    import hashlib  # noqa: PLC0415 (as above)

    both = key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(both, usedforsecurity=False).digest())


OPEN = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n"


class Conversation(SynchronousTestCase):
    """A connection from its handshake to its end."""

    def serve(self, answer: bytes) -> Served:
        """Serve one connection, up to the end of the test."""
        served = Served(answer)
        self.addCleanup(served.end)
        return served

    def test_messages_a_ping_and_a_close(self) -> None:
        """A ping is answered on the way to the next message; a close ends it and says why."""
        long = b"x" * 300
        served = self.serve(OPEN + b"\x81\x02hi\x89\x01p\x81\x7e\x01\x2c" + long + b"\x88\x0a\x0f\xa8too slow")
        client = WebSocket(served.port)
        assert client.hear() == "hi"
        assert client.hear() == long.decode()
        assert client.hear() is None
        assert client.closed == (4008, "too slow")
        client.hang_up()
        served.end()
        assert served.heard[:2] == b"\x8a\x81"

    def test_a_connection_that_breaks_off(self) -> None:
        """Half a frame is no message."""
        served = self.serve(OPEN + b"\x81\x05hi")
        client = WebSocket(served.port)
        client._socket.shutdown(socket.SHUT_WR)
        assert client.hear() is None
        assert client.closed is None
        client.hang_up()

    def test_refusals(self) -> None:
        """Anything but 101 with the proof that belongs to our key is a refusal, told by its first line."""
        for answer in b"HTTP/1.1 403 Forbidden\r\n\r\n", OPEN.replace(b"ACCEPT", b"c29tZXRoaW5nIGVsc2U="):
            served = self.serve(answer)
            refusal = cast("Refused", self.assertRaises(Refused, WebSocket, served.port))
            assert str(refusal).startswith("HTTP/1.1 ")
