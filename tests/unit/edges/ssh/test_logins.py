"""Who may log in, how others are slowed down, and the keys that clients know the server by."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.hostkeys import host_keys
from lineside.edges.ssh.logins import LONGEST_DELAY, REMEMBERED, Failures, Logins, User, hashed
from lineside.model.errors import LinesideError
from lineside.security.identity import Identity

NOBODY = Identity("x", "nobody")


class Users(SynchronousTestCase):
    """`Logins`."""

    def password(self, logins: Logins, name: str, word: bytes, host: str) -> User | None:
        return self.successResultOf(Deferred.fromCoroutine(logins.by_password(name, word, host)))

    def test_keys_and_networks(self) -> None:
        """Only one's own key, and only from one's own networks, in IPv4 however it is written."""
        acme = User("acme", NOBODY, frozenset([b"key"]), networks=(ip_network("10.1.0.0/16"),))
        logins = Logins({"acme": acme}, lambda work: succeed(work()))
        self.assertIs(logins.by_key("acme", b"key", "10.1.2.3"), acme)
        self.assertIs(logins.by_key("acme", b"key", "::ffff:10.1.2.3"), acme)
        for name, key, host in (
            ("acme", b"key", "10.2.0.1"),
            ("acme", b"other", "10.1.2.3"),
            ("ACME", b"key", "10.1.2.3"),
            ("acme", b"key", "unix"),
        ):
            self.assertIsNone(logins.by_key(name, key, host))

    def test_passwords(self) -> None:
        """Of who has one; whoever it is, one is looked at, so that the time tells nothing."""
        looked: list[object] = []

        def aside(work: Callable[[], bool]) -> Deferred[bool]:
            looked.append(work)
            return succeed(work())

        acme = User("acme", NOBODY, password=hashed(b"correct horse"))
        ops = User("ops", NOBODY, frozenset([b"key"]))
        logins = Logins({"acme": acme, "ops": ops}, aside)
        self.assertEqual(logins.methods, [b"publickey", b"password"])
        self.assertIs(self.password(logins, "acme", b"correct horse", "10.0.0.1"), acme)
        for name, word in (("acme", b"wrong"), ("ops", b""), ("nobody", b"x"), ("acme", b"x" * 5_000)):
            self.assertIsNone(self.password(logins, name, word, "10.0.0.1"))
        self.assertEqual(len(looked), 5)
        self.assertEqual(Logins({"ops": ops}, aside).methods, [b"publickey"])

    def test_failures_take_longer_and_longer(self) -> None:
        """Each address for itself, up to a bound, until it logs in or is forgotten; few are remembered."""
        clock = Clock()
        failures = Failures(clock)
        delays = [failures.delay("1.2.3.4") for _ in range(20)]
        self.assertEqual(delays[:8], [0, 0, 0, 0, 0, 0, 0.5, 1.0])
        self.assertEqual(delays[-1], LONGEST_DELAY)
        self.assertEqual(failures.delay("1.2.3.5"), 0)
        clock.advance(1_000)
        self.assertEqual(failures.delay("1.2.3.4"), 0)
        for number in range(REMEMBERED + 10):
            failures.delay(str(number))
        self.assertLessEqual(len(failures._counts), REMEMBERED)


class HostKeys(SynchronousTestCase):
    """The keys' files."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_made_once_and_kept(self) -> None:
        """With mode 0600; the second start has the same ones."""
        made = host_keys(self.folder)
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.folder.iterdir()}, {0o600})
        self.assertEqual(host_keys(self.folder).fingerprints, made.fingerprints)
        self.assertEqual([kind for kind, _ in made.fingerprints], ["ssh-ed25519", "ssh-rsa"])

    def test_what_is_no_key_is_refused_and_kept(self) -> None:
        """So is one that others can read."""
        host_keys(self.folder)
        key = self.folder / "ssh_host_ed25519_key"
        key.chmod(0o640)
        self.assertIn("chmod 600", str(self.assertRaises(LinesideError, host_keys, self.folder)))
        key.chmod(0o600)
        key.write_text("no key")
        self.assertIn("holds no private key", str(self.assertRaises(LinesideError, host_keys, self.folder)))
        self.assertEqual(key.read_text(), "no key")
        other = self.folder / "elsewhere"
        self.assertIn(
            "is no host key",
            str(self.assertRaises(LinesideError, host_keys, other, make=False)).replace("there is", "is"),
        )
