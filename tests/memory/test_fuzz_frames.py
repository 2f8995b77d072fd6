"""Whatever comes over a WebSocket ends that connection at most, with a code, and never its neighbour's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.frame_case import FramesCase
from tests.rig.hostile import JSONS, bent, fuzzed, objects

METHODS = ("connect", "subscribe", "unsubscribe", "publish", "presence", "history", "rpc", "refresh", "send", "id")
COMMANDS = objects(METHODS) | JSONS
HEADS = st.sampled_from(
    [
        b"\x81\x05hello",
        b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask",
        b"\x81\xff" + b"\xff" * 8 + b"mask",
        b"\xc1\x85maskhello",
        b"\x83\x80mask",
        b"\x89\xfe\x01\x00mask",
        b"\x88\x81maskx",
        b"\x88\x82mask\x00\x00",
        b"\x00\x80mask",
        b"\x82\x85mask\xff\xff\xff\xff\xff",
    ]
)
"""Unmasked; of 2^63 - 1 and 2^64 - 1 bytes; reserved bits and codes; control frames too long or without a code."""


class FuzzedFrames(FramesCase):
    """Live channels, a client that stays, and one that sends anything."""

    @fuzzed
    @given(bent(HEADS) | st.binary(max_size=60))
    def test_no_frame_is_too_strange(self, data: bytes) -> None:
        """No error is logged, and the client beside it is served."""
        self.neighboured(data)

    @fuzzed
    @given(st.lists(COMMANDS, min_size=1, max_size=3))
    def test_no_command_is_too_strange(self, commands: list[bytes]) -> None:
        """In frames as they should be."""
        peer = self.peer()
        self.neighboured(b"".join(bytes(peer.frames.send_data(each.decode("latin-1"))) for each in commands))

    def neighboured(self, data: bytes) -> None:
        good, peer = self.open(), self.open()
        for byte in (data[:1], data[1:3], data[3:]):
            if not peer.lets_go:
                peer.send(byte)
        self.echoes(good)
        for each in (peer, good):
            each.leave()
        self.clock.advance(600)
        self.assertEqual({}, self.part.connections)
        self.assertEqual([], self.flushLoggedErrors())
