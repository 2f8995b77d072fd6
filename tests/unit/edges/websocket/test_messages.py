"""The JSON of live channels, and the frames that carry it."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket.codes import INTERNAL, PERMISSION_DENIED, Ended
from lineside.edges.websocket.messages import (
    commands,
    error_reply,
    method_of,
    one_line,
    push,
    reply,
    text_frame,
)


class Commands(SynchronousTestCase):
    """What a client says."""

    def test_several_in_a_frame(self) -> None:
        """A frame holds objects parted by line feeds; one at its end parts nothing."""
        frame = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"events:gate"}}\n'
        first, second = commands(frame)
        self.assertEqual((1, "connect"), (first.id, method_of(first)[0]))
        name, request = method_of(second)
        self.assertEqual(("subscribe", "events:gate", 0), (name, request.channel, request.offset))

    def test_what_the_sdks_add_is_let_pass(self) -> None:
        """Fields that are of no use here are no errors, and neither are nulls."""
        frame = b'{"id":1,"connect":{"token":null,"name":"js","headers":{"a":"b"},"flag":3},"later":{}}'
        self.assertIsNone(method_of(commands(frame)[0])[1].token)

    def test_a_pong(self) -> None:
        """An empty object is one."""
        (pong,) = commands(b"{}")
        self.assertEqual(0, pong.id)

    def test_what_is_no_command(self) -> None:
        """Blank lines, other JSON, broken JSON and bytes that are no text end the connection."""
        for frame in (b"", b"\n", b"{}\n\n{}", b"[]", b'{"id":', b"7", b'{"id":"1","connect":{}}', b"\xff\xfe"):
            with self.assertRaises(Ended) as ended:
                commands(frame)
            self.assertEqual(3501, ended.exception.disconnect.code, frame)

    def test_just_one_method(self) -> None:
        """None at all, one that is not known and two at a time end the connection."""
        for frame in (b'{"id":1}', b'{"id":1,"dance":{}}', b'{"id":1,"connect":{},"rpc":{"method":"a"}}'):
            self.assertRaises(Ended, method_of, commands(frame)[0])

    @given(st.binary())
    def test_any_bytes(self, frame: bytes) -> None:
        """Whatever comes, it is commands or the connection's end, and no other failure."""
        with contextlib.suppress(Ended):
            commands(frame)


class Replies(SynchronousTestCase):
    """What a client is told."""

    def test_nothing_is_null(self) -> None:
        """What is not set is left out: the SDK for Python takes a null for a value."""
        self.assertEqual(b'{"id":3,"rpc":{}}', reply(3, "rpc", {"data": None}))

    def test_errors(self) -> None:
        """They have a code, a text, and a word that it may be tried again."""
        told = {"id": 4, "error": {"code": 100, "message": "internal server error", "temporary": True}}
        self.assertEqual(told, json.loads(error_reply(4, INTERNAL)))
        self.assertNotIn("temporary", json.loads(error_reply(4, PERMISSION_DENIED))["error"])

    def test_pushes_have_no_id(self) -> None:
        """By that clients tell them from replies."""
        self.assertEqual(b'{"push":{"channel":"a","leave":{"info":{}}}}', push("a", "leave", {"info": {}}))

    def test_json_of_many_lines_becomes_one(self) -> None:
        """A line feed parts objects, so that no object may have one; those within texts are escaped anyway."""
        self.assertEqual(b'{"a":"b\\nc"}', one_line(b'{\r\n "a": "b\\nc"\n}'))
        plain = b'{ "a": 1 }'
        self.assertIs(plain, one_line(plain))


class Frames(SynchronousTestCase):
    """RFC 6455, section 5.2."""

    def test_lengths(self) -> None:
        """Each size has the shortest length field; server's frames are not masked."""
        for size, head in (
            (0, b"\x81\x00"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (65_535, b"\x81\x7e\xff\xff"),
            (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ):
            frame = text_frame(b"x" * size)
            self.assertEqual((head, size), (frame[: len(head)], len(frame) - len(head)))
