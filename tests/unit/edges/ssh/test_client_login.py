"""The client's log-in against hosts that ask for more than they should."""

from __future__ import annotations

import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.client.algorithms import LEGACY, MODERN, Algorithms
from lineside.edges.ssh.client.hosts import KnownHost
from lineside.edges.ssh.client.login import MOST_PROMPTS, Channels, Login
from lineside.edges.ssh.client.transport import Visit

FAILURE, BANNER, INFO_REQUEST = 51, 53, 60
RSA = Key(generate_private_key(65_537, 2048))


class Heard:
    """The transport: takes note of what is sent, and of how it ended."""

    sessionID = b"session"  # noqa: N815 (conch's name)

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.refused: str | None = None

    def sendPacket(self, number: int, payload: bytes) -> None:
        self.sent.append((number, payload))

    def refused_login(self, told: str) -> None:
        self.refused = told


def question(*prompts: tuple[str, bool]) -> bytes:
    """Return a host's question (RFC 4256, section 3.2)."""
    asked = b"".join(NS(text.encode()) + bytes((echo,)) for text, echo in prompts)
    return NS(b"") + NS(b"") + NS(b"") + struct.pack(">L", len(prompts)) + asked


class LoggingIn(SynchronousTestCase):
    """One log-in."""

    def begin(self, key: Key | None = None, password: str | None = "s3cret", kinds: Algorithms = MODERN) -> Login:
        self.heard = Heard()
        visit = Visit(KnownHost("scale:22"), "scale", kinds, key, password)
        login = Login("scale", visit, Channels())
        login.transport = self.heard
        login.serviceStarted()
        return login

    def ways(self) -> list[bytes]:
        return [getNS(payload, 3)[2] for number, payload in self.heard.sent if number == 50]

    def fail(self, login: Login, taken: bytes) -> Any:  # type: ignore[override]
        return login.packetReceived(FAILURE, NS(taken) + b"\0")

    def test_a_way_that_the_host_does_not_take_is_left_out(self) -> None:
        """Each other one is tried once, and then it is said what the host takes."""
        login = self.begin()
        self.fail(login, b"publickey,keyboard-interactive")
        self.fail(login, b"publickey,keyboard-interactive")
        self.assertEqual([b"password", b"keyboard-interactive"], self.ways())
        self.assertEqual("it takes publickey,keyboard-interactive", self.heard.refused.replace(", ", ","))  # type: ignore[union-attr]

    def test_an_rsa_key_is_shown_once_for_each_signature_that_is_allowed(self) -> None:
        """Never with SHA-1, unless the host is said to be old."""
        for kinds, expected in (
            (MODERN, [b"rsa-sha2-512", b"rsa-sha2-256"]),
            (LEGACY, [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"]),
        ):
            login = self.begin(RSA, None, kinds)
            for _ in range(4):
                self.fail(login, b"publickey")
            shown = [getNS(payload, 3)[3][1:] for _, payload in self.heard.sent]
            self.assertEqual(expected, [getNS(each)[0] for each in shown])
            for (_, payload), kind in zip(self.heard.sent, expected, strict=True):
                head, _, signed = payload.rpartition(NS(getNS(getNS(payload, 3)[3][1:], 3)[2]))
                signature = getNS(getNS(payload, 3)[3][1:], 3)[2]
                self.assertEqual((b"", kind), (signed, getNS(signature)[0]))
                self.assertTrue(RSA.public().verify(signature, NS(b"session") + b"\x32" + head))

    def test_a_host_that_asks_very_many_things_is_left(self) -> None:
        """It gets no answer at all."""
        login = self.begin()
        self.fail(login, b"keyboard-interactive")
        before = len(self.heard.sent)
        login.packetReceived(INFO_REQUEST, question(*[("Password: ", False)] * (MOST_PROMPTS + 1)))
        self.assertEqual(f"it asks {MOST_PROMPTS + 1} things", self.heard.refused)
        self.assertEqual(before, len(self.heard.sent))

    def test_the_password_is_the_answer_to_one_question_only(self) -> None:
        """Whoever asks again, also within the same log-in, gets nothing."""
        login = self.begin()
        self.fail(login, b"keyboard-interactive")
        for _ in range(3):
            login.packetReceived(INFO_REQUEST, question(("Password: ", False)))
        answers = [payload for number, payload in self.heard.sent if number == 61]
        one = struct.pack(">L", 1)
        self.assertEqual([one + NS(b"s3cret"), one + NS(b""), one + NS(b"")], answers)

    def test_what_was_not_asked_for_is_not_answered(self) -> None:
        """A question in answer to a password is the wish for a new one; what the host tells people passes."""
        login = self.begin()
        login.packetReceived(BANNER, NS(b"Welcome") + NS(b""))
        self.assertIsNone(self.heard.refused)
        login.packetReceived(INFO_REQUEST, question(("New password: ", False)))
        self.assertEqual("it asks for a new password", self.heard.refused)
        self.assertEqual(1, len(self.heard.sent))
