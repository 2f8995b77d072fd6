"""By which keys a host is known: ``known_hosts`` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), or one that is pinned."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error
from collections.abc import Iterable
from fnmatch import fnmatchcase
from hashlib import sha1

from msgspec import Struct
from twisted.conch.ssh.common import getNS

from lineside.edges.ssh.client.failures import HostNotKnown
from lineside.edges.ssh.hostkeys import fingerprint

LEARN = "ask its owner for its fingerprint by another way, compare, and put the key into known_hosts (ssh-keyscan)"


class KnownHost(Struct, frozen=True):
    """What a host is known by."""

    name: str
    """As people see it: host and port."""
    blobs: frozenset[bytes] = frozenset()
    """Public keys in the form of RFC 4253, section 6.6."""
    pinned: str = ""
    """A fingerprint ``SHA256:...``; empty where there are keys."""
    revoked: frozenset[bytes] = frozenset()

    @property
    def kinds(self) -> frozenset[bytes]:
        """The types of the keys, so that the host is asked for one of them; empty for any."""
        return frozenset(getNS(blob)[0] for blob in self.blobs)

    def check(self, blob: bytes) -> None:
        """Compare the key that the host shows.

        Raises:
            HostNotKnown: it is not one of those.

        """
        shown = fingerprint(blob)
        if blob in self.revoked:
            raise HostNotKnown(f"{self.name} shows a revoked key, {shown}", "speak with its owner")
        if blob in self.blobs or (self.pinned and hmac.compare_digest(self.pinned, shown)):
            return
        if not self.blobs and not self.pinned:
            raise HostNotKnown(f"nobody knows {self.name}, which shows the key {shown}", LEARN)
        raise HostNotKnown(
            f"{self.name} shows another key than the one it is known by: {shown}",
            "somebody may stand in between: ask its owner by another way whether the key was changed, and replace "
            "it only then; nothing was sent",
        )


def pinned(name: str, text: str) -> KnownHost:
    """Return a host known by ``SHA256:...`` or by a public key such as ``ssh-ed25519 AAAA...``.

    Raises:
        ValueError: it is neither.

    """
    if text.startswith("SHA256:"):
        try:
            whole = len(b64decode(text[7:] + "=", validate=True)) == 32
        except (Error, ValueError):
            whole = False
        if not whole:
            raise ValueError("expected SHA256: and 43 characters, as ssh-keygen -l shows it")
        return KnownHost(name, pinned=text)
    kind, _, rest = text.partition(" ")
    return KnownHost(name, frozenset({_blob(kind, rest.split(" ")[0])}))


def known_host(text: str, host: str, port: int) -> KnownHost:
    """Return what lines of a ``known_hosts`` file say of one host; lines that are none are passed over."""
    name = host if port == 22 else f"[{host}]:{port}"
    blobs: set[bytes] = set()
    revoked: set[bytes] = set()
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        # A CA's key is none that a host shows.
        if len(words) < 3 or marker not in {"", "@revoked"} or not _is_meant(words[0], name.lower()):
            continue
        try:
            (revoked if marker else blobs).add(_blob(words[1], words[2]))
        except ValueError:
            continue
    return KnownHost(f"{host}:{port}", frozenset(blobs), revoked=frozenset(revoked))


def _is_meant(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hashed(patterns, name)
    meant = False
    for pattern in patterns.lower().split(","):
        # Brackets are of the port there, not of a set of characters.
        if fnmatchcase(name, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            meant = True
    return meant


def _is_hashed(hashed: str, name: str) -> bool:
    _, _, salt, digest = [*hashed.split("|"), "", ""][:4]
    try:
        return hmac.compare_digest(hmac.digest(b64decode(salt), name.encode(), sha1), b64decode(digest))
    except (Error, ValueError):
        return False


def _blob(kind: str, encoded: str) -> bytes:
    try:
        blob = b64decode(encoded, validate=True)
        named = getNS(blob)[0]
    except Exception as wrong:
        raise ValueError("it is no public key such as ssh-ed25519 AAAA...") from wrong
    if named != kind.encode() or not named:
        raise ValueError("it is no public key such as ssh-ed25519 AAAA...")
    return blob


def offered(kinds: frozenset[bytes], algorithms: Iterable[bytes]) -> list[bytes]:
    """Return those of the host key algorithms whose keys are known; all where none are."""
    wanted = [each for each in algorithms if _kind(each) in kinds]
    return wanted if kinds else list(algorithms)


def _kind(algorithm: bytes) -> bytes:
    return b"ssh-rsa" if algorithm.startswith(b"rsa-") else algorithm
