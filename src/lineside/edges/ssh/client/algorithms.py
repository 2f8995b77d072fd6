"""What the gateway agrees to as a client: modern algorithms, and those that old hosts need where it is said."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct

from lineside.edges.ssh.packets import BLOCK, CIPHERS, MACS, CounterMode, GaloisMode, Keys, MacKind


class Algorithms(Struct, frozen=True):
    """By their names in SSH, the preferred first."""

    exchanges: list[bytes]
    host_keys: list[bytes]
    ciphers: list[bytes]
    macs: list[bytes]
    rsa: list[bytes]
    """How an RSA key of ours signs."""


MODERN = Algorithms(
    [
        b"curve25519-sha256",
        b"curve25519-sha256@libssh.org",
        b"ecdh-sha2-nistp256",
        b"ecdh-sha2-nistp384",
        b"ecdh-sha2-nistp521",
    ],
    [
        b"ssh-ed25519",
        b"ecdsa-sha2-nistp256",
        b"ecdsa-sha2-nistp384",
        b"ecdsa-sha2-nistp521",
        b"rsa-sha2-512",
        b"rsa-sha2-256",
    ],
    list(CIPHERS),
    list(MACS),
    [b"rsa-sha2-512", b"rsa-sha2-256"],
)
"""NIST's curves are among them: partners' appliances have no other exchange without SHA-1."""
LEGACY = Algorithms(
    [*MODERN.exchanges, b"diffie-hellman-group14-sha1"],
    [*MODERN.host_keys, b"ssh-rsa"],
    [*MODERN.ciphers, b"aes256-cbc", b"aes128-cbc"],
    [b"hmac-sha2-256", b"hmac-sha2-512", b"hmac-sha1"],
    [*MODERN.rsa, b"ssh-rsa"],
)
"""None of MD5, DSS and RC4, and no MAC over cipher text, which CBC does not bear without strict key exchange."""
_CHAINED = {b"aes256-cbc": 32, b"aes128-cbc": 16}
_SHA1 = MacKind("sha1", 20, sealed=False)


class Chained(CounterMode):
    """AES in counter mode with a MAC, or what old hosts have in its place: CBC (RFC 4253, section 6.3), SHA-1."""

    def __init__(self, cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> None:
        mode = modes.CBC(iv[:BLOCK]) if cipher in _CHAINED else modes.CTR(iv[:BLOCK])
        aes = Cipher(algorithms.AES(key[: _CHAINED.get(cipher) or CIPHERS[cipher]]), mode)
        # The chain goes on from packet to packet in both alike.
        self._encrypt = aes.encryptor().update
        self._decrypt = aes.decryptor().update
        self._mac = _SHA1 if mac == b"hmac-sha1" else MACS[mac]
        self._key = integrity[: self._mac.size]
        self._head = None


class ClientKeys(Keys):
    """What was agreed on, until its keys are there."""

    encBlockSize = 0  # noqa: N815 (conch looks for it)

    def setKeys(
        self, outIV: bytes, outKey: bytes, inIV: bytes, inKey: bytes, outInteg: bytes, inInteg: bytes
    ) -> None:
        """Take the keys."""
        self.sealer = _direction(self.out_cipher, self.out_mac, outIV, outKey, outInteg)
        self.opener = _direction(self.in_cipher, self.in_mac, inIV, inKey, inInteg)
        self.encBlockSize = BLOCK


def _direction(cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> Chained | GaloisMode:
    return GaloisMode(cipher, iv, key) if b"gcm" in cipher else Chained(cipher, mac, iv, key, integrity)
