"""By which keys a host is known."""

from __future__ import annotations

from base64 import b64decode, b64encode

from twisted.conch.ssh.common import NS
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.client.algorithms import LEGACY, MODERN
from lineside.edges.ssh.client.failures import HostNotKnown
from lineside.edges.ssh.client.hosts import known_host, offered, pinned
from lineside.edges.ssh.hostkeys import fingerprint


def line_of(kind: str, number: int) -> tuple[str, bytes]:
    blob = NS(kind.encode()) + NS(bytes((number,)) * 32)
    return f"{kind} {b64encode(blob).decode()}", blob


ONE, ONE_BLOB = line_of("ssh-ed25519", 1)
TWO, TWO_BLOB = line_of("ssh-rsa", 2)
HASHED = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg="
"""192.168.1.61, as in sshd(8)'s tests."""


class KnownHosts(SynchronousTestCase):
    """Lines of the file, and one host."""

    def blobs(self, text: str, host: str = "sftp.acme.example", port: int = 22) -> set[bytes]:
        return set(known_host(text, host, port).blobs)

    def test_a_host_is_found_by_its_name(self) -> None:
        """Or by a pattern, in either case; with a port other than 22 it is another host."""
        for names in ("sftp.acme.example", "a,SFTP.acme.example,b", "*.acme.example", "sftp.acme.exampl?"):
            self.assertEqual({ONE_BLOB}, self.blobs(f"# a comment\n\n{names} {ONE} somebody\n"), names)
        for names in ("acme.example", "[sftp.acme.example]:2222", "*.acme.example,!sftp.acme.example", "s[f]tp*"):
            self.assertEqual(set(), self.blobs(f"{names} {ONE}\n"), names)
        self.assertEqual({ONE_BLOB}, self.blobs(f"[sftp.acme.example]:2222 {ONE}\n", port=2222))
        self.assertEqual(set(), self.blobs(f"sftp.acme.example {ONE}\n", port=2222))

    def test_a_host_is_found_by_its_hashed_name(self) -> None:
        """As `HashKnownHosts` writes it."""
        import hmac  # noqa: PLC0415

        salt = b"s" * 20
        digest = b64encode(hmac.digest(salt, b"10.0.0.9", "sha1")).decode()
        text = f"|1|{b64encode(salt).decode()}|{digest} {ONE}\n{HASHED} {TWO}\n|1|x|y {TWO}\n"
        self.assertEqual({ONE_BLOB}, self.blobs(text, "10.0.0.9"))
        self.assertEqual(set(), self.blobs(text, "10.0.0.8"))

    def test_another_key_is_refused(self) -> None:
        """So are one that is revoked, one of an unknown host, and a CA's."""
        known = known_host(f"h {ONE}\n@revoked h {TWO}\n", "h", 22)
        known.check(ONE_BLOB)
        self.assertIn("revoked", str(self.assertRaises(HostNotKnown, known.check, TWO_BLOB)))
        other = known_host(f"h {TWO}\n", "h", 22)
        told = str(self.assertRaises(HostNotKnown, other.check, ONE_BLOB))
        self.assertEqual(f"h:22 shows another key than the one it is known by: {fingerprint(ONE_BLOB)}", told)
        for text in (
            "",
            f"@cert-authority h {ONE}\n",
            f"h {ONE[:-8]}\n",
            "h ssh-ed25519\n",
            f"h ssh-rsa {ONE[12:]}\n",
        ):
            self.assertRaises(HostNotKnown, known_host(text, "h", 22).check, ONE_BLOB)

    def test_one_key_may_be_pinned(self) -> None:
        """By its fingerprint or as it is; what is neither is refused at once."""
        for text in (fingerprint(ONE_BLOB), ONE):
            pinned("h:22", text).check(ONE_BLOB)
            self.assertRaises(HostNotKnown, pinned("h:22", text).check, TWO_BLOB)
        for text in (
            "SHA256:",
            "SHA256:abc",
            "MD5:00:11",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            ONE.replace("-ed", "-xx"),
        ):
            self.assertRaises(ValueError, pinned, "h:22", text)
        self.assertEqual(32, len(b64decode(fingerprint(ONE_BLOB)[7:] + "=")))

    def test_a_host_is_asked_for_keys_that_are_known(self) -> None:
        """Of an RSA key with SHA-1 only where that is said; of any kind where a fingerprint is pinned."""
        rsa = known_host(f"h {TWO}\n", "h", 22).kinds
        self.assertEqual([b"rsa-sha2-512", b"rsa-sha2-256"], offered(rsa, MODERN.host_keys))
        self.assertEqual([b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"], offered(rsa, LEGACY.host_keys))
        self.assertEqual(MODERN.host_keys, offered(pinned("h", fingerprint(ONE_BLOB)).kinds, MODERN.host_keys))
        spoken = {*LEGACY.exchanges, *LEGACY.host_keys, *LEGACY.ciphers, *LEGACY.macs}
        self.assertEqual([], [name for name in spoken if b"md5" in name or b"dss" in name or b"arcfour" in name])
        modern = {*MODERN.exchanges, *MODERN.host_keys, *MODERN.ciphers, *MODERN.macs}
        self.assertEqual([], [name for name in modern if b"sha1" in name or b"cbc" in name or name == b"ssh-rsa"])
