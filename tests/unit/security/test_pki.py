"""The plant's own certificate authority, in a folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError
from lineside.security.devicenames import NoEntry, device_name
from lineside.security.pki import Paper, Pki
from lineside.security.renewal import KeyFiles, read_shown
from lineside.security.revocations import read_revoked
from lineside.security.x509forms import Purpose

SERVER = Purpose(hosts=("gateway.plant", "*.shop.plant", "10.0.0.2"))
DEVICE = Purpose(sources=("gate",))


class Authority(SynchronousTestCase):
    """One folder, and a clock that is set by hand."""

    def setUp(self) -> None:
        self.now = datetime.now(UTC)
        self.pki = Pki(Path("pki"), lambda: self.now)
        self.pki.init("Plant North")

    def read(self, paper: Paper) -> x509.Certificate:
        return x509.load_pem_x509_certificate(Path(paper.certificate).read_bytes())

    def verdict(self, paper: Paper) -> str:
        """Return what OpenSSL, at its strictest, says of a certificate."""
        store = X509Store()
        store.add_cert(X509.from_cryptography(x509.load_pem_x509_certificate(self.pki.ca.read_bytes())))
        store.add_crl(x509.load_pem_x509_crl(self.pki.crl.read_bytes()))
        store.set_flags(X509StoreFlags.X509_STRICT | X509StoreFlags.CRL_CHECK)
        try:
            X509StoreContext(store, X509.from_cryptography(self.read(paper))).verify_certificate()
        except X509StoreContextError as wrong:
            return str(wrong)
        return "right"

    def refused(self, text: str, *arguments: object) -> None:
        with self.assertRaises(LinesideError) as caught:
            name, purpose = arguments
            self.pki.issue(str(name), purpose)  # type: ignore[arg-type]
        self.assertIn(text, str(caught.exception))

    def states(self) -> list[tuple[str, str]]:
        return [(paper.name, paper.state) for paper in self.pki.papers()]

    def test_for_its_owner_alone(self) -> None:
        """The folder and each key; what others need to have is no secret, and the folder is still in between."""
        self.pki.issue("gateway", SERVER)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (self.pki.folder, *self.pki.folder.iterdir())}
        self.assertEqual((0o700, 0o700), (modes["pki"], modes["issued"]))
        self.assertEqual({0o600}, {mode for name, mode in modes.items() if name.endswith(".key")})
        for path, mode in ((self.pki.folder, 0o750), (Path("pki/ca.key"), 0o640)):
            before = path.stat().st_mode
            path.chmod(mode)
            self.refused("is open to other users; chmod", "another", DEVICE)
            path.chmod(before)
        self.assertEqual([], list(self.pki.folder.glob(".*")))

    def test_a_server(self) -> None:
        """Its certificate is one that a listener may show, and OpenSSL finds it right."""
        paper = self.pki.issue("gateway", SERVER)
        assert paper.key is not None
        read_shown(KeyFiles(Path(paper.certificate), Path(paper.key)), self.now)
        self.assertEqual("right", self.verdict(paper))
        self.assertEqual(("server", "good", list(SERVER.hosts)), (paper.kind, paper.state, paper.hosts))
        self.assertEqual(self.pki.papers(), [paper])

    def test_a_device(self) -> None:
        """It is known by its name, at the sources that it is for."""
        paper = self.pki.issue("scanner-3", DEVICE)
        self.assertEqual("right", self.verdict(paper))
        self.assertEqual("scanner-3", device_name(self.read(paper), "gate"))
        self.assertRaises(NoEntry, device_name, self.read(paper), "shelf")
        everywhere = self.pki.issue("scanner-4", Purpose())
        self.assertEqual("scanner-4", device_name(self.read(everywhere), "shelf"))

    def test_nothing_is_overwritten(self) -> None:
        """Neither an authority nor a certificate, nor a file that is nobody's."""
        before = {path: path.read_bytes() for path in self.pki.folder.glob("*.*")}
        self.assertRaises(LinesideError, self.pki.init)
        Path("other").mkdir()
        Path("other/letter.txt").write_text("mine")
        self.assertRaises(LinesideError, Pki(Path("other")).init)
        self.pki.issue("scanner-3", DEVICE)
        self.refused("renew it, or revoke it first", "scanner-3", DEVICE)
        Path("pki/scanner-4.key").write_text("mine")
        self.refused("renew it, or revoke it first", "scanner-4", DEVICE)
        for path, contents in before.items():
            self.assertEqual(contents, path.read_bytes())

    def test_renewing(self) -> None:
        """Another key and another number for the same purpose; the old one is kept, and good until it expires."""
        old = self.pki.issue("gateway", SERVER)
        assert old.key is not None
        key, certificate = Path(old.key).read_bytes(), Path(old.certificate).read_bytes()
        self.now += timedelta(days=300)
        [new] = self.pki.renew(["gateway"])
        self.assertEqual((old.certificate, old.key, old.hosts), (new.certificate, new.key, new.hosts))
        self.assertNotEqual(old.serial, new.serial)
        self.assertNotEqual(key, Path(old.key).read_bytes())
        replaced, current = self.pki.papers()
        self.assertEqual((old.serial, "replaced"), (replaced.serial, replaced.state))
        self.assertEqual(new, current)
        assert replaced.key is not None
        self.assertEqual(
            (key, certificate), (Path(replaced.key).read_bytes(), Path(replaced.certificate).read_bytes())
        )
        with self.assertRaises(LinesideError):
            list(self.pki.renew(["gateway", "nobody"]))
        self.assertEqual(2, len(self.pki.papers()))

    def test_renewing_what_ends(self) -> None:
        """Without a name: what has less than 30 days, and the list in any case."""
        self.pki.issue("gateway", SERVER, timedelta(days=100))
        self.pki.issue("scanner-3", DEVICE, timedelta(days=300))
        self.now += timedelta(days=69)
        self.assertEqual([], list(self.pki.renew()))
        self.now += timedelta(days=2)
        self.assertEqual(["gateway"], [paper.name for paper in self.pki.renew()])
        [revoked] = read_revoked(self.pki.crl, [x509.load_pem_x509_certificate(self.pki.ca.read_bytes())], self.now)
        assert revoked.next_update_utc is not None
        self.assertEqual(397, (revoked.next_update_utc - self.now + timedelta(hours=1)).days)

    def test_revoking_a_name(self) -> None:
        """All that it ever had is worthless, for ever, and the name is free again."""
        first = self.pki.issue("scanner-3", DEVICE)
        [second] = self.pki.renew(["scanner-3"])
        self.assertEqual({first.serial, second.serial}, {paper.serial for paper in self.pki.revoke("scanner-3")})
        self.assertFalse(Path(second.certificate).exists())
        third = self.pki.issue("scanner-3", DEVICE)
        self.assertEqual("right", self.verdict(third))
        self.assertEqual(["revoked", "revoked", "good"], sorted((s for _, s in self.states()), reverse=True))
        for paper in self.pki.papers()[:2]:
            if paper.state == "revoked":
                self.assertEqual("certificate revoked", self.verdict(paper))
        self.pki.revoke("scanner-3")
        with self.assertRaises(LinesideError) as caught:
            self.pki.revoke("scanner-3")
        self.assertEqual("scanner-3 is revoked already", str(caught.exception))
        self.assertEqual(3, len(x509.load_pem_x509_crl(self.pki.crl.read_bytes())))

    def test_revoking_one(self) -> None:
        """By its number: the other of the same name stays good."""
        first = self.pki.issue("scanner-3", DEVICE)
        [second] = self.pki.renew(["scanner-3"])
        self.pki.revoke(first.serial.upper())
        self.assertEqual("right", self.verdict(second))
        self.assertEqual({"revoked", "good"}, {state for _, state in self.states()})
        self.assertRaises(LinesideError, self.pki.revoke, "nobody")
        self.assertRaises(LinesideError, self.pki.revoke, "ffffffffffff")

    def test_names_that_are_none(self) -> None:
        """They would be files elsewhere, or the authority's own, or break what is written with them."""
        for name in ("", "../x", "a/b", "ca", "crl", ".hidden", "a b", "x" * 65, "-c", "ü"):
            self.refused("is no name for a certificate", name, DEVICE)
        for host in ("a b", "", "-x", "x" * 64, "http://x", "*.*.x"):
            self.refused("is neither a host's name nor an IP address", "gateway", Purpose(hosts=(host,)))
        self.refused("is no name of a source", "scanner-3", Purpose(sources=("a/b",)))
        self.refused("a server's, with hosts, or a device's", "both", Purpose(("h",), ("gate",)))

    def test_its_end(self) -> None:
        """No certificate is good for longer than its authority, which signs nothing any more then."""
        pki = Pki(Path("short"), lambda: self.now)
        pki.init("Short", timedelta(days=10))
        paper = pki.issue("scanner-3", DEVICE)
        self.assertEqual(f"{self.now + timedelta(days=10):%Y-%m-%dT%H:%M:%SZ}", paper.expires)
        self.now += timedelta(days=11)
        with self.assertRaises(LinesideError) as caught:
            pki.issue("scanner-4", DEVICE)
        self.assertIn("expired on", str(caught.exception))

    def test_a_folder_without_one(self) -> None:
        """It is told how to make one; so is who has the wrong key."""
        with self.assertRaises(LinesideError) as caught:
            Pki(Path("nowhere")).papers()
        self.assertEqual("there is no CA in nowhere; lineside pki init makes one", str(caught.exception))
        other = Pki(Path("other"))
        other.init()
        Path("pki/ca.key").write_bytes(Path("other/ca.key").read_bytes())
        with self.assertRaises(LinesideError) as caught:
            self.pki.papers()
        self.assertIn("is not that of", str(caught.exception))
