"""``[ssh]``: who may log in, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.posture import posture
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

REST = """
[journal]
control = "/tmp/none.sock"
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }
[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""


def line(key: object) -> str:
    """Return a key's public half as OpenSSH writes it."""
    public = key.public_key()  # type: ignore[attr-defined]
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


KEY = line(Ed25519PrivateKey.generate())


class SshTable(SynchronousTestCase):
    """`lineside.assemble.sshsettings`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "lineside.toml"
        self.path.parent.mkdir()

    def load(self, text: str) -> Settings:
        self.path.write_text(f"{REST}\n{text}")
        return load(self.path, {"KEY": "x"})

    def wrong(self, text: str) -> str:
        return str(self.assertRaises(ConfigurationError, self.load, f"[ssh]\n[ssh.users.ops]\n{text}"))

    def test_keys_stand_in_the_file_or_in_one_of_their_own(self) -> None:
        """With comments and empty lines between them, as in authorized_keys."""
        (self.path.parent / "ops.pub").write_text(
            f"# the office\n\n{KEY} ops@office\n{line(rsa_key(65_537, 2048))}\n"
        )
        settings = self.load(
            f'[ssh.users.a]\nrole = "viewer"\nkeys = ["{KEY} a"]\n'
            '[ssh.users.b]\nrole = "admin"\nkeys = { file = "ops.pub" }'
        )
        assert settings.ssh is not None
        self.assertEqual(len(settings.ssh.users["b"].keys), 2)
        self.assertEqual(settings.ssh.users["a"].keys[0], settings.ssh.users["b"].keys[0])
        self.assertEqual(settings.ssh.host_keys, self.path.parent.absolute() / "ssh")
        (door,) = (door for door in posture(settings).doors if door.what == "ssh")
        self.assertEqual((door.public, door.known_by), (False, "public keys"))

    def test_what_is_wrong_is_told(self) -> None:
        """With its place, and what to do."""
        role = 'role = "viewer"\n'
        for text, told in {
            f'{role}keys = ["from=\\"10.0.0.1\\" {KEY}"]': "ssh.users.ops.keys: line 1: options such as from=",
            f'{role}keys = ["{line(rsa_key(65_537, 1024))}"]': "an RSA key of 1024 bits; 2048 is the least",
            f'{role}keys = ["{line(ec_key(SECP256R1()))}"]': "expected a key of ssh-ed25519 or ssh-rsa",
            f'{role}keys = ["{KEY[:-9]}"]': "it is no whole public key",
            f'{role}keys = {{ file = "none.pub" }}': "none.pub: No such file",
            f"{role}keys = []": "ssh.users.ops.keys: is missing; nobody could log in",
            f'keys = ["{KEY}"]': "a user has either a role, to operate the gateway, or a source",
            f'role = "root"\nkeys = ["{KEY}"]': 'unknown role "root"',
            f'{role}key = ["{KEY}"]': 'unknown key; did you mean "keys"?',
            f'{role}keys = ["{KEY}"]\npassword = "x"': "operators log in by keys alone",
            'source = "gate"\npassword = "plain"': "ssh.users.ops.password: it is no argon2id",
            f'{role}keys = ["{KEY}"]\nnetworks = ["10.1/99"]': '"10.1/99" is no network',
            f'source = "gat"\nkeys = ["{KEY}"]': 'there is no source "gat"; did you mean "gate"?',
            f'source = "gate"\nkeys = ["{KEY}"]': '"gate" is of type lines; a drop box is of type sftp',
        }.items():
            self.assertIn(told, self.wrong(text))
        wrong = self.assertRaises(ConfigurationError, self.load, '[ssh]\nlisten = "udp:22"')
        self.assertIn("SSH needs connections", str(wrong))
