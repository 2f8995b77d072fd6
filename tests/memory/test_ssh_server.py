"""The SSH server against clients that err, attack or say nothing, in memory."""

from __future__ import annotations

import struct
from socket import socket
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rig.ssh_memory import ADDRESS, BANNER, OPS, Client, Pipe, Visit, kexinit, packet
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from lineside.edges.ssh.channels import MAX_CHANNELS
from lineside.edges.ssh.door import Limits
from lineside.edges.ssh.packets import LONGEST
from lineside.edges.ssh.sealed import STRICT_CLIENT, STRICT_SERVER
from lineside.edges.ssh.transport import READ, REKEY_SECONDS
from lineside.operations.results import SshCounts


class Strict(Client):
    """A client that asks for strict key exchange, and says something before or within it."""

    def __init__(self, before: bytes = b"", within: bytes = b"") -> None:
        super().__init__()
        self._before, self._within = before, within

    def sendKexInit(self) -> None:
        if self._before:
            self.sendPacket(self._before[0], self._before[1:])
        self.supportedKeyExchanges = [b"curve25519-sha256", STRICT_CLIENT]
        super().sendKexInit()
        if self._within:
            self.sendPacket(self._within[0], self._within[1:])


class Beginnings(SynchronousTestCase):
    """Before anybody is known."""

    def test_only_modern_algorithms_are_offered(self) -> None:
        """No CBC, SHA-1, MD5, NIST curve or finite field; and strict key exchange."""
        offered = Visit().server.ourKexInitPayload
        for word in (b"cbc", b"sha1", b"md5", b"nistp", b"dss", b"ssh-rsa", b"group", b"zlib", b"3des"):
            self.assertNotIn(word, offered)
        self.assertIn(STRICT_SERVER, offered)

    def test_a_client_logs_in(self) -> None:
        """By its key; that is on record, and so is its end."""
        visit = Visit()
        visit.log_in()
        self.assertTrue(visit.server.known)
        self.assertEqual(visit.door.counts, SshCounts(connections=1, users=1, logged_in=1))
        visit.server.connectionLost()
        self.assertEqual([act.what for act in visit.acts], ["ssh.login", "ssh.logout"])
        self.assertEqual(visit.clock.getDelayedCalls(), [])

    def test_an_unknown_user_and_a_wrong_key_get_one_answer(self) -> None:
        """Byte for byte; and the connection ends after six."""
        answers = []
        for name, key in ((b"ops", Key(Ed25519PrivateKey.generate())), (b"nobody", OPS)):
            visit = Visit()
            visit.log_in(name, key)
            for _ in range(5):
                visit.log_in_again(name, key)
            answers.append(visit.heard.came)
            self.assertTrue(visit.pipe.disconnecting)
            self.assertEqual(visit.failed, ["ssh, 192.0.2.7"] * 6)
            self.assertFalse(visit.server.known)
            visit.server.connectionLost()
        self.assertEqual(answers[0], answers[1])

    def test_who_says_nothing_is_cut(self) -> None:
        """After the time to log in, whatever was said before."""
        for said in (b"", BANNER, BANNER + packet(kexinit())):
            visit = Visit()
            pipe, server = visit.connect()
            server.dataReceived(said)
            visit.clock.advance(29)
            self.assertFalse(pipe.disconnecting)
            visit.clock.advance(2)
            self.assertTrue(pipe.disconnecting)
            visit.clock.advance(6)
            self.assertTrue(pipe.aborted, "who does not take the word is cut all the same")
            server.connectionLost()

    def test_too_many_are_turned_away(self) -> None:
        """In all, and from one address; who leaves makes room."""
        visit = Visit(limits=Limits(connections=3, unknown=3, unknown_per_host=2))
        visit.connect()
        self.assertIsNone(visit.door.buildProtocol(ADDRESS))
        self.assertEqual(visit.door.counts, SshCounts(connections=2, turned_away=1))
        visit.server.connectionLost()
        self.assertIsNotNone(visit.door.buildProtocol(ADDRESS))

    def test_nothing_is_served_before_there_are_keys(self) -> None:
        """Nor are keys taken up that were not exchanged, nor twice."""
        first = BANNER + packet(kexinit())
        for said in (
            BANNER + packet(b"\x05" + NS(b"ssh-userauth")),
            BANNER + packet(b"\x32" + NS(b"ops")),
            BANNER + packet(b"\x15"),
            first + packet(b"\x15"),
            first + packet(kexinit()),
            BANNER + packet(b"\x1e" + NS(bytes(32))),
            first + packet(b"\x1e" + NS(bytes(32))),
            first + packet(b"\x1e" + NS(b"short")),
            first + packet(b"\x1e"),
            first + packet(b"\x20" + NS(bytes(256))),
            first + packet(b"\x22" + struct.pack(">3L", 2048, 4096, 8192)),
        ):
            visit = Visit()
            pipe, server = visit.connect()
            server.dataReceived(said)
            self.assertTrue(pipe.disconnecting, said)
            server.connectionLost()

    @given(st.lists(st.binary(max_size=120), max_size=6), st.booleans(), st.booleans())
    @settings(max_examples=400, deadline=None)
    def test_malformed_beginnings(self, pieces: list[bytes], banner: bool, framed: bool) -> None:
        """End the connection or wait for more, and hold no more than a packet; nothing is raised."""
        visit = self.visit
        _, server = visit.connect()
        if banner:
            server.dataReceived(BANNER)
        for piece in pieces:
            server.dataReceived(packet(piece or b"\0") if framed else piece)
        self.assertLessEqual(len(server._received), LONGEST + 128)
        self.assertFalse(server.known)
        server.connectionLost()
        self.assertEqual(len(visit.door.connections), 1)

    def setUp(self) -> None:
        self.visit = Visit()


class StrictExchange(SynchronousTestCase):
    """CVE-2023-48795."""

    def test_sequence_numbers_begin_anew(self) -> None:
        """So that packets that were taken off or slipped in before the keys are noticed."""
        visit = Visit(Strict())
        visit.pump()
        self.assertTrue(visit.server._strict)
        # Conch's client counts on, as both ends of an attack would: nothing that it seals is opened.
        self.assertTrue(visit.pipe.disconnecting)
        self.assertEqual(visit.server.incomingPacketSequence, 0)

    def test_other_messages_end_it(self) -> None:
        """IGNORE, DEBUG and UNIMPLEMENTED, before KEXINIT or after it."""
        for message in (b"\x02" + NS(b"x"), b"\x04\0" + NS(b"x") + NS(b""), b"\x03" + bytes(4)):
            for client in (Strict(before=message), Strict(within=message)):
                visit = Visit(client)
                visit.pump()
                self.assertTrue(visit.pipe.disconnecting, message)

    def test_who_is_not_strict_may_say_them(self) -> None:
        """RFC 4253 allows it."""
        visit = Visit()
        pipe, server = visit.connect()
        server.dataReceived(BANNER + packet(b"\x02" + NS(b"x")) + packet(kexinit()))
        self.assertFalse(pipe.disconnecting)


class Known(SynchronousTestCase):
    """Once somebody has logged in."""

    def setUp(self) -> None:
        self.visit = Visit()
        self.visit.log_in()
        self.service = self.visit.heard

    def say(self, number: int, payload: bytes) -> list[tuple[int, bytes]]:
        """Return the answers to a message."""
        del self.service.came[:]
        self.visit.client.sendPacket(number, payload)
        self.visit.pump()
        return self.service.came

    def test_nothing_is_forwarded(self) -> None:
        """Neither ports nor sockets, X11 or an agent, nor what has no name."""
        tail = struct.pack(">3L", 7, 1 << 20, 32_768)
        for kind in (
            b"direct-tcpip",
            b"direct-streamlocal@openssh.com",
            b"x11",
            b"auth-agent@openssh.com",
            b"\xff",
        ):
            ((number, told),) = self.say(90, NS(kind) + tail)
            self.assertEqual((number, told[:8]), (92, struct.pack(">2L", 7, 1)), kind)
        self.assertEqual(self.say(80, NS(b"tcpip-forward") + b"\1" + NS(b"") + bytes(4)), [(82, b"")])
        refused = [act.facts["asked"] for act in self.visit.acts if act.state == "failed"]
        self.assertEqual(len(refused), 5)

    def test_a_session_takes_no_environment_and_no_program_that_is_not_there(self) -> None:
        """Each is refused; the session stays."""
        self.say(90, NS(b"session") + struct.pack(">3L", 7, 1 << 20, 32_768))
        for kind, data in (
            (b"env", NS(b"LANG") + NS(b"C")),
            (b"auth-agent-req@openssh.com", b""),
            (b"x11-req", b""),
            (b"shell", b""),
            (b"exec", NS(b"sh")),
            (b"subsystem", NS(b"sftp")),
            (b"pty-req", b"short"),
            (b"\xff\xfe", b""),
        ):
            self.assertEqual(self.say(98, bytes(4) + NS(kind) + b"\1" + data), [(100, struct.pack(">L", 7))], kind)

    def test_sessions_are_bounded(self) -> None:
        """The eleventh is refused."""
        for number in range(MAX_CHANNELS + 1):
            ((last, _),) = self.say(90, NS(b"session") + struct.pack(">3L", number, 1 << 20, 32_768))
        self.assertEqual(last, 92)

    def test_more_data_than_a_session_takes_closes_it(self) -> None:
        """A packet that is too long, or one more than the window has room for while a session is held back."""
        open_session = NS(b"session") + struct.pack(">3L", 7, 1 << 20, 32_768)
        self.say(90, open_session)
        self.say(90, open_session)
        self.assertEqual(self.say(94, struct.pack(">L", 0) + NS(bytes(32_769))), [(97, struct.pack(">L", 7))])
        service: Any = self.visit.server.service
        service.channels[1].localWindowSize = 0
        answers = [[*self.say(94, struct.pack(">L", 1) + NS(bytes(32_768)))] for _ in range(3)]
        self.assertEqual(answers, [[], [], [(97, struct.pack(">L", 7))]])
        self.assertFalse(self.visit.pipe.disconnecting)

    def test_more_is_read_at_a_time_from_who_has_logged_in(self) -> None:
        """Files come in large pieces; a stranger has no such buffer. It is Twisted's transports that heed it."""
        _, stranger = self.visit.connect()
        self.assertEqual(getattr(stranger.transport, "bufferSize", None), None)
        wanted = self.visit.server.transport.bufferSize
        asked = []

        class Socket(socket):
            def recv(self, size: int, flags: int = 0) -> bytes:
                asked.append(size)
                return b""

        with Socket() as idle:
            connection = Connection(idle, Protocol(), MemoryReactorClock())
            connection.bufferSize = wanted
            connection.doRead()
        self.assertEqual(asked, [READ])

    def test_nothing_waits_for_an_acknowledgement_of_tcp(self) -> None:
        """A window that is widened late stalls an upload."""

        class TcpPipe(Pipe):
            no_delay = False

            def setTcpNoDelay(self, enabled: bool) -> None:
                self.no_delay = enabled

        pipe = TcpPipe()
        directlyProvides(pipe, ITCPTransport)
        server = self.visit.door.buildProtocol(ADDRESS)
        assert server is not None
        server.makeConnection(pipe)
        self.assertTrue(pipe.no_delay)
        server.connectionLost()

    def test_data_for_nobody_or_of_another_length_than_they_say_end_it(self) -> None:
        """The other side and this one would not agree on how much the window still has."""
        for said in (
            struct.pack(">L", 1) + NS(b"four"),
            struct.pack(">L", 0) + NS(b"four")[:-1],
            struct.pack(">L", 0) + NS(b"four") + b"\0",
            b"\0\0",
        ):
            self.visit = Visit()
            self.visit.log_in()
            self.say(90, NS(b"session") + struct.pack(">3L", 7, 1 << 20, 32_768))
            self.visit.client.sendPacket(94, said)
            self.visit.pump()
            self.assertTrue(self.visit.pipe.disconnecting, said)

    def test_answers_to_what_was_not_asked_end_it(self) -> None:
        """An open channel is not forgotten by them, and its connection does not count for ever."""
        for answer in (91, 92):
            self.visit = Visit()
            self.visit.log_in()
            self.say(90, NS(b"session") + struct.pack(">3L", 7, 1 << 20, 32_768))
            self.visit.client.sendPacket(answer, struct.pack(">4L", 0, 1, 0, 0) + NS(b""))
            self.visit.pump()
            self.assertTrue(self.visit.pipe.disconnecting)
            self.visit.server.connectionLost()
            self.assertEqual(self.visit.door.counts.connections, 0)

    def test_a_client_that_is_gone_is_noticed(self) -> None:
        """It answers no question any more."""
        for _ in range(3):
            self.visit.clock.advance(30)
            self.visit.pump()
            self.assertEqual(self.service.came.pop()[0], 80)
        self.visit.clock.advance(30)
        self.assertTrue(self.visit.pipe.aborted)

    def test_keys_are_renewed(self) -> None:
        """After an hour, while what is sent meanwhile waits; the session's id stays."""
        session, sealer = self.visit.server.sessionID, self.visit.server._sealer
        for _ in range(int(REKEY_SECONDS // 20) + 1):
            self.visit.clock.advance(20)
            self.visit.client.sendPacket(80, NS(b"are you there") + b"\0")
            self.visit.pump()
        self.assertIsNot(self.visit.server._sealer, sealer)
        self.assertEqual(self.visit.server.sessionID, session)
        self.assertEqual(self.say(80, NS(b"tcpip-forward") + b"\1"), [(82, b"")])

    def test_new_keys_that_do_not_come_end_it(self) -> None:
        """A client may not let everything wait for ever."""
        self.visit.server.sendKexInit()
        self.visit.clock.advance(61)
        self.assertTrue(self.visit.pipe.disconnecting)

    def test_who_does_not_read_is_not_read_either(self) -> None:
        """Until it reads again."""
        self.visit.server.pauseProducing()
        self.assertEqual(self.visit.pipe.producerState, "paused")
        self.visit.server.resumeProducing()
        self.assertEqual(self.visit.pipe.producerState, "producing")

    @given(st.integers(50, 255), st.binary(max_size=60))
    @settings(max_examples=200, deadline=None)
    def test_malformed_messages(self, number: int, payload: bytes) -> None:
        """Are refused or end the connection; nothing is raised."""
        visit = Visit()
        visit.log_in()
        visit.client.sendPacket(number, payload)
        visit.pump()
        visit.server.connectionLost()
        self.assertEqual(visit.door.connections, set())
        self.assertEqual(visit.clock.getDelayedCalls(), [])
