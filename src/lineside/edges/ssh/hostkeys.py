"""The keys by which clients know this server: made at the first start, kept, never overwritten."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from msgspec import Struct
from twisted.conch.ssh.keys import Key

from lineside.model.errors import LinesideError

FILES = {"ssh_host_ed25519_key": "Ed25519", "ssh_host_rsa_key": "RSA"}
"""The files in the folder, named as OpenSSH names them, and the kind of key in each."""
RSA_BITS = 3072
ALGORITHMS = {"Ed25519": (b"ssh-ed25519",), "RSA": (b"rsa-sha2-512", b"rsa-sha2-256")}


class HostKeys(Struct, frozen=True):
    """The keys, by the names of conch's factories, and what is offered of them."""

    private: dict[bytes, Key]
    algorithms: list[bytes]

    @property
    def public(self) -> dict[bytes, Key]:
        """The public halves."""
        return {name: key.public() for name, key in self.private.items()}

    @property
    def fingerprints(self) -> list[tuple[str, str]]:
        """Each key's kind and fingerprint, as OpenSSH shows it."""
        return [(key.sshType().decode(), fingerprint(key.public().blob())) for key in self.private.values()]


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint as OpenSSH writes it: ``SHA256:`` and Base64 without padding."""
    return f"SHA256:{b64encode(sha256(blob).digest()).decode().rstrip('=')}"


def host_keys(folder: Path, *, make: bool = True) -> HostKeys:
    """Return the keys in a folder; with ``make`` those that are missing are made, which takes a moment.

    Raises:
        LinesideError: one is not readable, is none, is too short, or can be read by others.

    """
    private: dict[bytes, Key] = {}
    algorithms: list[bytes] = []
    for name, kind in FILES.items():
        path = folder / name
        if not os.path.lexists(path):
            if not make:
                raise LinesideError(f"there is no host key {path} yet; `lineside run` makes it at its first start")
            _make(path, kind)
        key = _read(path, kind)
        private[key.sshType()] = key
        algorithms += ALGORITHMS[kind]
    return HostKeys(private, algorithms)


def own_key(path: Path) -> Key:
    """Return the Ed25519 key in a file; where there is none it is made.

    Raises:
        LinesideError: it is not readable, is none, or can be read by others.

    """
    if not os.path.lexists(path):
        _make(path, "Ed25519")
    return _read(path, "Ed25519")


def _make(path: Path, kind: str) -> None:
    made = Ed25519PrivateKey.generate() if kind == "Ed25519" else generate_private_key(65_537, RSA_BITS)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            # A link fails where there is a key already; a rename would take its place.
            os.link(new, path)
        except FileExistsError:
            return
        finally:
            new.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as failed:
        raise LinesideError(f"cannot make the host key {path}: {failed.strerror}") from failed


def _read(path: Path, kind: str) -> Key:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as failed:
        raise LinesideError(f"cannot read the host key {path}: {failed.strerror}") from failed
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise LinesideError(f"others can read the host key {path}; chmod 600 {path}")
    try:
        loaded = load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        raise LinesideError(f"{path} holds no private key in OpenSSH's form without a passphrase") from wrong
    if isinstance(loaded, RSAPrivateKey) and loaded.key_size < RSA_BITS:
        raise LinesideError(f"the host key {path} has {loaded.key_size} bits; {RSA_BITS} is the least")
    key = Key(loaded)
    if key.type() != kind:
        raise LinesideError(f"{path} holds a key of another kind than {kind}")
    return key
