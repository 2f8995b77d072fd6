"""How the gateway logs in at hosts: by keys of each kind at OpenSSH's, by passwords and questions at two others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.rig.ssh_peers import PASSWORD, USER, AsyncsshHost, ParamikoHost, Wanted
from tests.rig.sshd import Sshd, make_key
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lineside.assemble.hosts import visit_of
from lineside.assemble.hostsettings import HostKeys
from lineside.assemble.values import Secret
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import NotLetIn, NotReached

PASSPHRASE = b"never on a disk"


class LogInCase(TestCase):
    """One host at a time."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets are real)

        self.reactor: Any = reactor

    def settings(self, port: int, public: str, **given: Any) -> HostKeys:
        known = self.directory / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {public}\n")
        told: dict[str, Any] = {
            "connect": f"tcp:127.0.0.1:{port}",
            "user": USER,
            "key": None,
            "passphrase": None,
            "password": None,
            "known_hosts": known,
            "host_key": None,
            "legacy": False,
        }
        return HostKeys.model_construct(**(told | given))

    async def log_in(self, settings: HostKeys) -> None:
        """Log in, and leave.

        Raises:
            NotReached: it failed.

        """
        endpoint = HostnameEndpoint(self.reactor, "127.0.0.1", settings.address.port)
        transport = await enter(endpoint, visit_of(settings), self.reactor, connecting=30.0)
        transport.leave()


class Keys(LogInCase):
    """At OpenSSH's server."""

    KINDS: ClassVar[dict[str, Any]] = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65_537, 2048),
        "nistp256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "nistp384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "nistp521": lambda: ec.generate_private_key(ec.SECP521R1()),
    }

    def host(self, *options: str) -> Sshd:
        host = Sshd(self.reactor, self.directory / "host", ["LogLevel VERBOSE", *options])
        host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(host.stop()))
        return host

    def key(self, host: Sshd, private: Any, form: PrivateFormat, phrase: bytes | None = None) -> dict[str, Any]:
        """Let the host know a key; return the settings by which we have it."""
        sealing = NoEncryption() if phrase is None else BestAvailableEncryption(phrase)
        path = self.directory / "own"
        path.write_bytes(private.private_bytes(Encoding.PEM, form, sealing))
        path.chmod(0o600)
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (host.directory / "authorized").write_bytes(public + b"\n")
        given = {} if phrase is None else {"passphrase": Secret(phrase.decode())}
        return {"user": host.user, "key": path, **given}

    async def test_keys_of_each_kind_and_form_open(self) -> None:
        """OpenSSH's own form, and PEM in both of its forms, with a passphrase and without."""
        host = self.host()
        openssh, pkcs8, old = PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
        for kind, form, phrase in (
            ("ed25519", openssh, None),
            ("ed25519", openssh, PASSPHRASE),
            ("ed25519", pkcs8, PASSPHRASE),
            ("rsa", openssh, PASSPHRASE),
            ("rsa", old, None),
            ("rsa", old, PASSPHRASE),
            ("nistp256", old, PASSPHRASE),
            ("nistp384", openssh, None),
            ("nistp521", pkcs8, None),
        ):
            given = self.key(host, self.KINDS[kind](), form, phrase)
            await self.log_in(self.settings(host.port, host.host_key, **given))
        self.assertEqual(9, host.said().count("Accepted publickey"))

    async def test_a_passphrase_that_is_missing_or_wrong_is_told(self) -> None:
        """And nobody is gone to."""
        host = self.host()
        given = self.key(host, self.KINDS["ed25519"](), PrivateFormat.OpenSSH, PASSPHRASE)
        for phrase, told in ((None, "without a passphrase"), (Secret("other"), "that the passphrase opens")):
            with self.assertRaisesRegex(NotReached, told):
                await self.log_in(self.settings(host.port, host.host_key, **(given | {"passphrase": phrase})))
        self.assertEqual(0, host.visits)

    async def test_an_rsa_key_signs_as_the_host_takes_it(self) -> None:
        """With SHA-512, or else SHA-256; with SHA-1 only for an old host of which that is said."""
        private = self.KINDS["rsa"]()
        for number, (taken, legacy) in enumerate(
            (("rsa-sha2-512", False), ("rsa-sha2-256", False), ("ssh-rsa", True))
        ):
            host = self.host(*(["StrictModes no"] * number), f"PubkeyAcceptedAlgorithms {taken}")
            given = self.key(host, private, PrivateFormat.OpenSSH)
            if legacy:
                with self.assertRaises(NotLetIn):
                    await self.log_in(self.settings(host.port, host.host_key, **given))
            await self.log_in(self.settings(host.port, host.host_key, legacy=legacy, **given))
            self.assertIn("Accepted publickey", host.said())

    async def test_a_host_is_known_by_keys_of_each_kind(self) -> None:
        """It signs with the algorithm that was agreed on, of the kind of key that is known."""
        for kind, make in self.KINDS.items():
            host = self.host()
            private = make()
            path = host.directory / "host"
            path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
            public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
            given = {"user": host.user, "key": host.directory / "client"}
            await self.log_in(self.settings(host.port, public, **given))
            self.assertIn("Accepted publickey", host.said(), kind)
            await host.stop()
            host.start()


class Passwords(LogInCase):
    """At paramiko's server."""

    async def visit(
        self, *ways: str, prompts: Any = (), password: str | None = PASSWORD, key: bool = False
    ) -> Wanted:
        wanted = Wanted(ways, prompts)
        public = make_key(self.directory / "host")
        host = ParamikoHost(self.directory / "host", wanted)
        host.start()
        make_key(self.directory / "own")
        try:
            await self.log_in(
                self.settings(
                    host.port,
                    public,
                    key=self.directory / "own" if key else None,
                    password=None if password is None else Secret(password),
                )
            )
        finally:
            self.wanted = wanted
            await deferToThread(host.stop)
        return wanted

    async def test_a_password_is_enough(self) -> None:
        """It is shown once."""
        self.assertEqual(["password"], (await self.visit("password")).tried)

    async def test_a_wrong_password_is_shown_once_each_way(self) -> None:
        """A host may lock out who tries on and on."""
        with self.assertRaisesRegex(NotLetIn, "does not let scale in"):
            await self.visit("password", password="wrong")
        self.assertEqual(["password"], self.wanted.tried)

    async def test_a_question_for_the_password_is_answered(self) -> None:
        """As PAM asks: one thing in secret, and then perhaps nothing at all, to tell something."""
        for rounds in ([[("Password: ", False)]], [[("Password: ", False)], []]):
            wanted = await self.visit("keyboard-interactive", prompts=rounds)
            self.assertEqual(PASSWORD, wanted.answers[0][0])
            self.assertEqual("keyboard-interactive", wanted.tried[-1])

    async def test_other_questions_get_no_password(self) -> None:
        """One shown as it is typed, a second one, two at a time: who asks may be after something else."""
        for prompts in (
            [[("User: ", True)]],
            [[("Password: ", False), ("Token: ", False)]],
            [[("Password: ", False)], [("Again: ", False)]],
        ):
            if len(prompts) == 1:
                with self.assertRaises(NotLetIn):
                    await self.visit("keyboard-interactive", prompts=prompts)
                answers = self.wanted.answers[0]
            else:
                answers = (await self.visit("keyboard-interactive", prompts=prompts)).answers[1]
            self.assertEqual({""}, set(answers))

    async def test_a_host_may_want_both_a_key_and_a_password(self) -> None:
        """It says that the key was right, and asks on."""
        wanted = await self.visit("publickey", "password", key=True)
        self.assertEqual("password", wanted.tried[-1])
        wanted = await self.visit("publickey", "keyboard-interactive", prompts=[[("Code: ", False)]], key=True)
        self.assertEqual("keyboard-interactive", wanted.tried[-1])

    async def test_a_password_is_shown_where_the_key_is_not_taken(self) -> None:
        """The key comes first."""
        wanted = await self.visit("password", key=True)
        self.assertEqual("password", wanted.tried[-1])
        self.assertNotIn("keyboard-interactive", wanted.tried)


class Asyncssh(LogInCase):
    """At asyncssh's server."""

    async def visit(self, way: str, password: str = PASSWORD) -> None:
        public = make_key(self.directory / "host")
        host = AsyncsshHost(self.directory / "host", way)
        await deferToThread(host.start)
        try:
            await self.log_in(self.settings(host.port, public, password=Secret(password)))
        finally:
            await deferToThread(host.stop)

    async def test_passwords_and_questions_let_us_in(self) -> None:
        """Each host has only one of the ways."""
        await self.visit("password")
        await self.visit("questions")

    async def test_a_password_that_is_wrong_or_has_run_out_is_told(self) -> None:
        """We choose no new one."""
        with self.assertRaisesRegex(NotLetIn, "does not let scale in"):
            await self.visit("questions", "wrong")
        with self.assertRaisesRegex(NotLetIn, "it asks for a new password"):
            await self.visit("expired")
