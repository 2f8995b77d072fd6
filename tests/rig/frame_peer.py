"""A WebSocket client in memory whose frames wsproto makes and reads; it shares no code with autobahn."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from wsproto.extensions import Extension
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import generate_accept_token

NONE_RESERVED = RsvBits(False, False, False)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class FlaggedFrames(Extension):
    """Sets the reserved bits that a test wants, and accepts them in nothing that comes."""

    name = "x-reserved"
    bits = NONE_RESERVED

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return True

    def frame_outbound(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        return RsvBits(*(mine or theirs for mine, theirs in zip(self.bits, rsv, strict=True))), data


class PeerTransport(StringTransport):
    """The gateway's end of a connection."""

    aborted = False
    protocol: Any = None
    """Who has the connection; an upgrade changes it."""
    disconnecting: bool

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def unregisterProducer(self) -> None:
        # As real transports: there may be none.
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits here."""


class FramePeer:
    """One client's end of a connection to a site.

    Args:
        channel: the site's protocol for the connection.
        extensions: wsproto's, used for what is sent and what comes.

    """

    def __init__(self, channel: Any, extensions: Iterable[Extension] = ()) -> None:
        self._flags = FlaggedFrames()
        self.frames = FrameProtocol(client=True, extensions=[*extensions, self._flags])
        self._transport = PeerTransport()
        self._transport.protocol = channel
        channel.makeConnection(self._transport)
        self._taken = 0
        self._gone = False

    def ask(self, path: str, *headers: str) -> tuple[int, dict[str, str]]:
        """Ask for an upgrade; returns the answer's status and headers."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost:8080",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())
        head, _, _ = self._new().partition(b"\r\n\r\n")
        self._taken = self._transport.value().index(b"\r\n\r\n") + 4
        first, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = int(first.split()[1])
        if status == 101:
            assert fields["sec-websocket-accept"].encode() == generate_accept_token(KEY.encode())
        return status, fields

    def send(self, data: bytes | bytearray) -> None:
        """Send bytes as they are."""
        self._transport.protocol.dataReceived(bytes(data))

    def text(self, *commands: object) -> bytearray:
        """Return commands as one text frame."""
        return self.frames.send_data("\n".join(json.dumps(each) for each in commands))

    def frame(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True, bits: RsvBits = NONE_RESERVED) -> bytes:
        """Return one frame, whether it may be sent there or not."""
        self._flags.bits = bits
        try:
            return bytes(self.frames._serialize_frame(opcode, data, fin))
        finally:
            self._flags.bits = NONE_RESERVED

    def begin(self, data: bytes) -> bytes:
        """Return the first frame of a text message that goes on."""
        return self.frame(Opcode.TEXT, data, fin=False)

    def go_on(self, data: bytes, *, fin: bool = False, bits: RsvBits = NONE_RESERVED) -> bytes:
        """Return a further frame of a message."""
        return self.frame(Opcode.CONTINUATION, data, fin=fin, bits=bits)

    def received(self) -> list[Frame]:
        """Return the frames that came since it was asked for last."""
        self.frames.receive_bytes(self._new())
        return list(self.frames.received_frames())

    def replies(self) -> list[Any]:
        """Return what came since it was asked for last; only whole text messages may have come."""
        frames = self.received()
        assert all(frame.opcode is Opcode.TEXT and frame.message_finished for frame in frames), frames
        return [json.loads(line) for frame in frames for line in str(frame.payload).split("\n")]

    def closed_with(self) -> tuple[int, str]:
        """Return code and reason of the close frame, the only one that came."""
        [frame] = self.received()
        assert frame.opcode is Opcode.CLOSE, frame
        assert isinstance(frame.payload, tuple)
        code, reason = frame.payload
        return int(code), reason

    def fill(self) -> None:
        """Take nothing more, so that what is written waits."""
        assert self._transport.producer is not None
        self._transport.producer.pauseProducing()

    def drain(self) -> None:
        """Take what waits."""
        assert self._transport.producer is not None
        self._transport.producer.resumeProducing()

    @property
    def lets_go(self) -> bool:
        """Whether the gateway has closed its end of the connection."""
        return self._transport.disconnecting

    @property
    def is_read(self) -> bool:
        """Whether the gateway takes what is sent."""
        return self._transport.producerState == "producing"

    @property
    def cut(self) -> bool:
        """Whether the gateway has cut the connection."""
        return self._transport.aborted

    def leave(self) -> None:
        """Be gone."""
        if not self._gone:
            self._gone = True
            self._transport.protocol.connectionLost(Failure(ConnectionDone()))

    def _new(self) -> bytes:
        value: bytes = self._transport.value()
        new, self._taken = value[self._taken :], len(value)
        return new
