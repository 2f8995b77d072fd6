"""Which certificates a server may show, and which lists of revoked ones count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.rig.certificates import Authority, Identity, day
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError
from lineside.security.devicenames import NoEntry, address, admission, device_name
from lineside.security.keypairs import read_key_pair
from lineside.security.renewal import KeyFiles, read_shown
from lineside.security.revocations import read_revoked

NOW = datetime.now(UTC)


class Shown(SynchronousTestCase):
    """What is found wrong before anybody connects, in one line that names the file."""

    def setUp(self) -> None:
        self.ca = Authority(Path.cwd())

    def assertUnfit(self, reason: str, identity: Identity, key: Path | None = None) -> None:
        with self.assertRaises(LinesideError) as caught:
            read_shown(KeyFiles(identity.certificate, key or identity.key), NOW)
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        self.assertIn(reason, text)
        self.assertIn(str(Path.cwd()), text)

    def chain(self, leaf: Identity, *above: Authority) -> Identity:
        leaf.certificate.write_bytes(leaf.certificate.read_bytes() + b"".join(each.pem for each in above))
        return leaf

    def test_one_that_is_right(self) -> None:
        """With its chain, or without the root, or with the key in the same file."""
        between = Authority(Path.cwd(), "Between", above=self.ca)
        for above in ([], [between], [between, self.ca]):
            identity = self.chain(between.sign("gateway.plant"), *above)
            shown = read_shown(KeyFiles(identity.certificate, identity.key), NOW)
            self.assertEqual(len(above), len(shown.chain))
        whole = self.ca.sign("gateway.plant")
        whole.key.write_bytes(whole.key.read_bytes() + whole.certificate.read_bytes())
        read_shown(KeyFiles(whole.key, whole.key), NOW)

    def test_its_time(self) -> None:
        """It has expired, is not valid yet, or one of its chain has."""
        self.assertUnfit(f"of old expired on {day(-1)}", self.ca.sign("g", name="old", begins=-3, ends=-1))
        self.assertUnfit("of new is not valid before", self.ca.sign("g", name="new", begins=1, ends=2))
        over = Authority(Path.cwd(), "Over", ends=-1, above=self.ca)
        self.assertUnfit(f"of Over expired on {day(-1)}", self.chain(over.sign("g"), over))

    def test_its_chain(self) -> None:
        """Each is signed by the next; where it is not, the two are named."""
        between = Authority(Path.cwd(), "Between", above=self.ca)
        wrong = self.chain(between.sign("g", name="gateway"), self.ca, between)
        self.assertUnfit("of gateway is not signed by the one after it, of Plant CA", wrong)
        other = Authority(Path.cwd(), "Between", above=self.ca)
        self.assertUnfit("not signed by the one after it", self.chain(between.sign("g"), other))

    def test_its_key(self) -> None:
        """It is another one's, is missing, has a password or is none, or lies open."""
        one, other = self.ca.sign("g"), self.ca.sign("g")
        self.assertUnfit("is not that of the certificate in", one, other.key)
        self.assertUnfit("cannot read", one, Path.cwd() / "none.key")
        self.assertUnfit("holds no private key in PEM without a password", one, self.garbled(one.key))
        other.key.chmod(0o644)
        self.assertUnfit("can be read by everybody on this machine; chmod 640", other)
        other.key.chmod(0o640)
        read_shown(KeyFiles(other.certificate, other.key), NOW)

    def garbled(self, path: Path) -> Path:
        copy = path.with_suffix(".bad")
        copy.touch(mode=0o600)
        copy.write_bytes(path.read_bytes()[:80])
        return copy

    def test_its_use(self) -> None:
        """It is one of clients only."""
        self.assertUnfit("of erp is not one of a server", self.ca.sign("g", for_clients=True))


class Revoked(SynchronousTestCase):
    """Lists of revoked certificates."""

    def setUp(self) -> None:
        self.ca = Authority(Path.cwd())

    def assertUnfit(self, reason: str, path: Path, authorities: Sequence[Authority]) -> None:
        with self.assertRaises(LinesideError) as caught:
            read_revoked(path, [each.certificate for each in authorities], NOW)
        self.assertIn(reason, str(caught.exception))

    def test_one_that_is_right(self) -> None:
        """Or several in one file, of several CAs."""
        other = Authority(Path.cwd(), "Other CA")
        path, second = self.ca.revoke(self.ca.sign("a")), other.revoke()
        path.write_bytes(path.read_bytes() + second.read_bytes())
        found = read_revoked(path, [self.ca.certificate, other.certificate], NOW)
        self.assertEqual([1, 0], [len(each) for each in found])
        self.assertUnfit("is not signed by the CA: Plant CA", path, [self.ca])

    def test_wrong_ones(self) -> None:
        """Out of date, of nobody, or no list at all."""
        self.assertUnfit(f"was good until {day(-1)}", self.ca.revoke(ends=-1), [self.ca])
        self.assertUnfit("holds no list of revoked certificates", self.ca.path, [self.ca])
        self.assertUnfit("cannot read", Path("missing"), [self.ca])
        Path("bad").write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        self.assertUnfit("cannot be read", Path("bad"), [self.ca])


class Names(SynchronousTestCase):
    """Who a device is, by its certificate."""

    def setUp(self) -> None:
        self.ca = Authority(Path.cwd())

    def of(self, *hosts: str, name: str = "scanner-3") -> str:
        certificate = read_key_pair(*self.signed(*hosts, name=name)).certificate
        refused = admission("gate")(certificate)
        try:
            found = device_name(certificate, "gate")
        except NoEntry as no_entry:
            self.assertEqual(str(no_entry), refused)
            raise
        self.assertIsNone(refused)
        return found

    def signed(self, *hosts: str, name: str) -> tuple[Path, Path]:
        identity = self.ca.sign(*hosts, name=name, for_clients=True)
        return identity.certificate, identity.key

    def test_the_common_name(self) -> None:
        """Of another CA's certificates, or the first host where there is none."""
        self.assertEqual("scanner-3", self.of())
        self.assertEqual("scanner-3", self.of("https://elsewhere/x"))
        self.assertEqual("press.plant", self.of("press.plant", name="\u0085"))

    def test_bound_to_sources(self) -> None:
        """It is good for those that it names, under the name that it has there, and for no other."""
        self.assertEqual("a/b ü", self.of(address("gate", "a/b ü")))
        self.assertEqual("3", self.of(address("shelf", "4"), address("gate", "3")))
        with self.assertRaises(NoEntry) as caught:
            self.of(address("shelf", "4"))
        self.assertEqual("the certificate of scanner-3 is for the source shelf", str(caught.exception))

    def test_nobody(self) -> None:
        """A certificate that names nobody opens nothing."""
        with self.assertRaises(NoEntry):
            self.of(name="\u0085")
