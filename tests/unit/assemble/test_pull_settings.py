"""What the configuration can say of files that are fetched from partners."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tests.rig.sshd import make_key
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.hosts import visit_of
from lineside.assemble.pulls import pulled_of
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

SOURCE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ code }}" }

[sources.acme]
type = "sftp-pull"
path = "acme"
"""
RIGHT = {
    "connect": '"tcp:sftp.acme.example:2222"',
    "user": '"windpower"',
    "key": '"client"',
    "known_hosts": '"known_hosts"',
    "folder": '"out/"',
}
WRONG = {
    "connect = 'sftp.acme.example:22'": 'did you mean "tcp:sftp.acme.example:22"?',
    "connect = 'tls:sftp.acme.example:22'": 'connect: expected "tcp:HOST:PORT"',
    "key = 'nothing'": "key: cannot read",
    "key = 'open'": "key: others can read",
    "key = 'empty'": "holds no private key without a passphrase",
    "key = 'sealed'": "set passphrase, or make one with ssh-keygen",
    "key = 'sealed'\npassphrase = 'other'": "holds no private key that the passphrase opens",
    "known_hosts = 'nothing'": "known_hosts: cannot read",
    "connect = 'tcp:other.example:22'": "has no key of other.example:22",
    "host_key = 'SHA256:abc'": "set one of them",
    "done = 'old'": 'done is only for then = "move"',
    "then = 'move'\ndone = 'out'": "done: it is the folder itself",
    "then = 'remove'": "then: ",
    "every = '2d'": "every: at least once a day",
    "patern = '*.csv'": 'unknown key; did you mean "pattern"?',
    "folder = ' '": "folder: expected the path of a folder there",
    "format = 'cvs'": 'did you mean "csv"?',
}


class PullSettings(SynchronousTestCase):
    """One source."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        for name in ("client", "open"):
            make_key(tmp_path / name)
        (tmp_path / "open").chmod(0o644)
        (tmp_path / "empty").touch(0o600)
        sealed = Ed25519PrivateKey.generate()
        sealing = BestAvailableEncryption(b"secret")
        (tmp_path / "sealed").write_bytes(sealed.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, sealing))
        (tmp_path / "sealed").chmod(0o600)
        (tmp_path / "known_hosts").write_text(f"[sftp.acme.example]:2222 {make_key(tmp_path / 'host')}\n")

    def load(self, changed: str = "", without: tuple[str, ...] = ()) -> Settings:
        keys = {line.partition(" = ")[0] for line in changed.splitlines()} | {*without}
        lines = [f"{key} = {value}" for key, value in RIGHT.items() if key not in keys]
        path = self.directory / "lineside.toml"
        path.write_text("\n".join([SOURCE, *lines, changed, ""]))
        return load(path, environ={"KEY": "key", "PHRASE": "secret"})

    def test_what_is_wrong_is_said_with_its_key(self) -> None:
        """All of it before anything starts."""
        for changed, told in WRONG.items():
            wrong = self.assertRaises(ConfigurationError, self.load, changed)
            self.assertTrue(any("sources.acme" in line and told in line for line in wrong.problems), wrong.problems)

    def test_somebody_has_to_be_known(self) -> None:
        """We by a key or a password, the host by its own key."""
        for without, told in (("key", "key is missing"), ("known_hosts", "known_hosts is missing")):
            wrong = self.assertRaises(ConfigurationError, self.load, "", (without,))
            self.assertIn(told, "".join(wrong.problems))

    def test_files_stay_at_the_partners_unless_it_is_said(self) -> None:
        """And are moved into a folder beside them."""
        pull = self.load().pulls["acme"]
        self.assertEqual("keep", pull.then)
        pull = self.load("then = 'move'").pulls["acme"]
        self.assertEqual((b"out", b"out/done"), (pulled_of(pull).folder, pulled_of(pull).done))
        visit = visit_of(pull)
        self.assertEqual("sftp.acme.example:2222", visit.host.name)
        self.assertEqual({b"ssh-ed25519"}, visit.host.kinds)

    def test_a_password_is_shown_to_nobody(self) -> None:
        """But the host."""
        pull = self.load("password = { env = 'KEY' }", ("key",)).pulls["acme"]
        self.assertNotIn("'key'", repr(pull.password))
        self.assertEqual("key", visit_of(pull).password)

    def test_a_passphrase_opens_the_key(self) -> None:
        """And is of no use without one."""
        pull = self.load("key = 'sealed'\npassphrase = { env = 'PHRASE' }").pulls["acme"]
        self.assertEqual("Ed25519", getattr(visit_of(pull).key, "type", lambda: None)())
        wrong = self.assertRaises(
            ConfigurationError, self.load, "password = 'x'\npassphrase = { env = 'PHRASE' }", ("key",)
        )
        self.assertIn("passphrase: there is no key that it could open", "".join(wrong.problems))
