"""Clients of the HTTP edge without sockets: their requests, the transport they hold, and what they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from lineside.security.identity import Identity


class NoTokens:
    """Nobody has a token, or one has."""

    def __init__(self, **holders: Identity) -> None:
        self._holders = holders

    @property
    def any(self) -> bool:
        return bool(self._holders)

    def identify(self, text: str) -> Identity | None:
        return self._holders.get(text)


class ClientTransport(StringTransport):
    """The gateway's end of a connection; its client may close one side or leave, and take nothing."""

    aborted = False
    disconnecting: bool
    on_write: Callable[[], None] | None = None

    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40000))

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.on_write is not None:
            self.on_write()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def resumeProducing(self) -> None:
        # As real transports: while the connection ends nothing more is read, and that is no error.
        if not self.disconnecting:
            super().resumeProducing()

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    @property
    def reading(self) -> bool:
        """Whether the gateway takes what the client sends."""
        state: str = self.producerState
        return state == "producing"

    def fill(self) -> None:
        """Let the client take nothing more, so that what is written waits."""
        assert self.producer is not None
        self.producer.pauseProducing()

    def drain(self) -> None:
        """Let the client take what waits."""
        assert self.producer is not None
        self.producer.resumeProducing()


def read_answers(data: bytes, *, heads_only: bool = False) -> list[tuple[int, dict[str, str], bytes]]:
    """Take answers apart; what is left over fails the test."""
    answers = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, head
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        status = int(first.split()[1])
        body = b""
        if "Content-Length" in headers and not heads_only:
            length = int(headers["Content-Length"])
            body, data = data[:length], data[length:]
        elif headers.get("Transfer-Encoding") == "chunked" and not heads_only:
            while True:
                size, _, data = data.partition(b"\r\n")
                piece, data = data[: int(size, 16)], data[int(size, 16) + 2 :]
                if not piece:
                    break
                body += piece
        answers.append((status, headers, body))
    return answers


def get(path: str, *headers: str, host: str = "localhost:8080", method: str = "GET") -> bytes:
    """Write a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Write a request with a JSON body."""
    length = f"Content-Length: {len(body)}"
    return get(path, "Content-Type: application/json", length, *headers, method="POST") + body
