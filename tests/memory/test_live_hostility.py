"""Live clients that mean no good: what they send costs the gateway little, and others nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

from msgspec.structs import replace
from tests.rig.frame_case import FramesCase, NoTokens, answer, call
from tests.rig.frame_peer import FramePeer
from twisted.internet.defer import Deferred
from wsproto.frame_protocol import Opcode

from lineside.edges.websocket.codes import SHUTDOWN
from lineside.edges.websocket.part import PATH, LiveSettings
from lineside.edges.websocket.protocol import FRAMES, PARTS
from lineside.edges.websocket.recognition import Recognition
from lineside.edges.websocket.sessions import Limits
from lineside.security.identity import Identity
from lineside.security.jwts import JwtTokens

ROOM = 10_000
QUEUED = 200_000
LARGE = "x" * 60_000
DEEP = b"[" * 20_000


class Waiting(FramesCase):
    """What waits is bounded, whatever a client sends."""

    settings = LiveSettings(limits=Limits(queued=QUEUED, ping=5, pong=2.0), room=ROOM)

    def setUp(self) -> None:
        super().setUp()
        self.later: list[Deferred[None]] = []

    async def echo(self, data: Any, identity: Identity) -> Any:
        later: Deferred[None] = Deferred()
        self.later.append(later)
        await later
        return len(data)

    def test_pings_without_end(self) -> None:
        """A client that wants answers and takes none is slow, as with any other message: 3008."""
        peer = self.open()
        peer.fill()
        for _ in range(10 * ROOM // 125):
            peer.send(peer.frame(Opcode.PING, b"x" * 125))
        self.is_ended(peer, 3008)

    def test_a_ping_is_answered(self) -> None:
        """With what it brought."""
        peer = self.open()
        for payload in (b"", b"x" * 125):
            peer.send(peer.frame(Opcode.PING, payload))
            self.clock.advance(0)
            [pong] = peer.received()
            self.assertEqual((Opcode.PONG, payload), (pong.opcode, pong.payload))

    def test_large_commands_while_one_takes_long(self) -> None:
        """No more is read than may wait; it is read on as they are carried out, and none is lost."""
        peer = self.open()
        sent = 0
        while peer.is_read:
            peer.send(peer.text(call(LARGE)))
            sent += 1
            self.assertLess(sent, 10)
        self.assertGreater(sent * len(LARGE), QUEUED)
        for number in range(sent):
            self.later[number].callback(None)
        self.assertEqual([answer(len(LARGE))] * sent, self.replies(peer))
        self.assertTrue(peer.is_read)

    def test_who_is_not_read_is_not_taken_for_dead(self) -> None:
        """Its answer to a ping stands behind its commands."""
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.part.stop())))
        peer = self.open()
        while peer.is_read:
            peer.send(peer.text(call(LARGE)))
        for _ in range(20):
            self.clock.advance(1)
        self.assertFalse(peer.lets_go)

    def test_who_is_not_read_and_takes_nothing_is(self) -> None:
        """It is cut off as any other."""
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.part.stop())))
        peer = self.open()
        peer.fill()
        while peer.is_read:
            peer.send(peer.text(call(LARGE)))
        for _ in range(20):
            self.clock.advance(1)
        self.assertTrue(peer.lets_go)

    def test_the_end_is_heard_of_who_is_not_read(self) -> None:
        """The connection is read on when it is to be closed."""
        peer = self.open()
        while peer.is_read:
            peer.send(peer.text(call(LARGE)))
        [connection] = self.part.connections
        assert connection.session is not None
        connection.session.end(SHUTDOWN)
        self.assertTrue(peer.is_read)


class ManyFrames(FramesCase):
    """A frame costs far more than its few bytes."""

    def is_dropped(self, peer: FramePeer) -> None:
        """The client was told that it is too fast, and nothing more that it sent is looked at."""
        self.clock.advance(0)
        *_, close = peer.received()
        self.assertEqual((Opcode.CLOSE, 3013), (close.opcode, close.payload[0]))
        self.assertTrue(peer.lets_go)
        peer.leave()
        self.assertEqual(({}, []), (self.part.connections, self.clock.getDelayedCalls()))

    def test_frames_that_say_nothing(self) -> None:
        """Of whatever kind: so many within a second are too many, and each second begins anew."""
        for frame in (Opcode.PING, Opcode.PONG):
            peer = self.open()
            sent = peer.frame(frame)
            for _ in range(3):
                peer.send(sent * (FRAMES - 10))
                self.clock.advance(1)
                peer.received()
            handled: list[object] = []
            [connection] = self.part.connections
            self.patch(connection, "processControlFrame", lambda seen=handled: seen.append(1))
            peer.send(sent * 50_000)
            self.assertEqual(FRAMES, len(handled))
            self.is_dropped(peer)

    def test_a_message_of_nothing_without_end(self) -> None:
        """Its parts are few however slowly they come."""
        peer = self.open()
        peer.send(peer.begin(b"{"))
        for _ in range(PARTS):
            self.assertFalse(peer.lets_go)
            peer.send(peer.go_on(b""))
            self.clock.advance(0.1)
        self.is_dropped(peer)

    def test_many_messages_of_few_parts(self) -> None:
        """Are none."""
        peer = self.open()
        text = json.dumps(call("x")).encode()
        for _ in range(PARTS):
            peer.send(peer.begin(text[:9]) + peer.go_on(text[9:], fin=True))
            self.assertEqual([answer("x")], self.replies(peer))
            self.clock.advance(0.01)


class Nonsense(FramesCase):
    """What cannot be meant is answered as what it is, and fills no log: each line of it would be an attacker's."""

    settings = LiveSettings()

    async def echo(self, data: Any, identity: Identity) -> Any:
        return object() if data == "nonsense" else data

    def stranger(self) -> FramePeer:
        """Return a client that said nothing yet."""
        peer = self.peer()
        self.assertEqual(101, peer.ask(PATH)[0])
        return peer

    def test_arrays_in_arrays(self) -> None:
        """Deeper than anybody reads: 3501."""
        for sent in (b'{"id":1,"connect":{"data":' + DEEP, DEEP):
            peer = self.stranger()
            peer.send(peer.frame(Opcode.TEXT, sent))
            self.is_ended(peer, 3501)

    def test_a_call_with_arrays_in_arrays(self) -> None:
        """Deeper than what carries it out can read: 107, and the connection stands."""
        peer = self.open()
        depth, code = 1000, None
        while code != 0:
            depth -= 1
            data = b"[" * depth + b"]" * depth
            peer.send(peer.frame(Opcode.TEXT, b'{"id":2,"rpc":{"method":"echo","data":%s}}' % data))
            self.clock.advance(0)
            [frame] = peer.received()
            if frame.opcode is Opcode.CLOSE:
                self.assertEqual(3501, frame.payload[0])
                peer = self.open()
                continue
            code = json.loads(str(frame.payload)).get("error", {"code": 0})["code"]
            self.assertIn(code, {0, 107}, depth)
        self.echoes(peer)

    def test_a_token_of_arrays_in_arrays(self) -> None:
        """Is no token: 3500."""
        recognition = Recognition(NoTokens(), JwtTokens("k" * 32, self.clock.seconds))
        self.part._services = replace(self.part._services, recognition=recognition)
        peer = self.stranger()
        token = base64.urlsafe_b64encode(DEEP).decode() + ".e30.x"
        peer.send(peer.text({"id": 1, "connect": {"token": token}}))
        self.is_ended(peer, 3500)

    def test_an_origin_that_is_none(self) -> None:
        """403 as of any other that is not known."""
        for origin in ("http://[x", "http://[::1", "null", "http://localhost:8080@elsewhere", "//localhost:8080x"):
            self.assertEqual(403, self.peer().ask(PATH, f"Origin: {origin}")[0], origin)

    def test_what_cannot_be_told_is_an_error(self) -> None:
        """A result that is no JSON: the client is told, and need not wait for ever."""
        peer = self.open()
        peer.send(peer.text(call("nonsense")))
        [reply] = self.replies(peer)
        self.assertEqual(100, reply["error"]["code"])
        self.assertEqual(1, len(self.flushLoggedErrors()))
        self.echoes(peer)

    def test_strange_handshakes_leave_nothing(self) -> None:
        """They are refused, and count no longer as connections."""
        for header in ("Sec-WebSocket-Version: 99", "Sec-WebSocket-Key: a", "Sec-WebSocket-Protocol: a,a"):
            peer = self.peer()
            self.assertEqual(400, peer.ask(PATH, header)[0], header)
            peer.leave()
            self.assertEqual(({}, []), (self.part.connections, self.clock.getDelayedCalls()))


class Crowds(FramesCase):
    """More connections than there may be."""

    settings = LiveSettings(max_connections=2)

    def test_who_says_nothing_makes_room(self) -> None:
        """The one that came first: strangers shut out nobody, and nobody who is known is shut out for one."""
        silent = [self.peer() for _ in range(2)]
        for peer in silent:
            self.assertEqual(101, peer.ask(PATH)[0])
        first = self.open()
        self.assertEqual([True, False], [peer.cut for peer in silent])
        second = self.open()
        self.assertTrue(silent[1].cut)
        self.assertEqual(503, self.peer().ask(PATH)[0])
        first.leave()
        self.assertEqual(101, self.peer().ask(PATH)[0])
        self.echoes(second)
        for peer in silent:
            peer.leave()
        self.assertEqual(2, len(self.part.connections))


class Stopping(FramesCase):
    """A gateway that stops."""

    async def echo(self, data: Any, identity: Identity) -> Any:
        # As a commit: it goes on, and is told, whoever gives up.
        await Deferred(lambda commit: commit.callback(None))
        return data

    def test_no_further_command_is_begun(self) -> None:
        """What was begun is carried out and answered; clients that ask without a pause do not keep it up."""
        peer = self.open()
        peer.send(peer.text(call("first"), call("second")))
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))
        self.successResultOf(Deferred.fromCoroutine(self.part.stop()))
        self.clock.advance(0)
        reply, close = peer.received()
        self.assertEqual(answer("first"), json.loads(str(reply.payload)))
        self.assertEqual((Opcode.CLOSE, 3001), (close.opcode, close.payload[0]))
