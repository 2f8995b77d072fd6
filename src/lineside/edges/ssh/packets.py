"""How SSH packets are sealed and opened (RFC 4253, section 6): AES in counter mode with a MAC, and AES-GCM.

Conch has counter mode with a MAC over the plain text alone. Here are beside it the MACs over the cipher text
(``-etm@openssh.com``, OpenSSH's PROTOCOL, section 1.5) and AES-GCM (RFC 5647, by OpenSSH's names).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LONGEST = 69_632
"""Bytes of a packet that is taken. A channel's data come in 32 KiB at most; RFC 4253 asks for 35,000."""
BLOCK = 16
TAG = 16
SEQUENCES = 1 << 32
"""Sequence numbers wrap there."""


class BadPacket(Exception):
    """What came is no packet, or was altered on its way."""


class MacKind(NamedTuple):
    """How the MAC of a name is made."""

    digest: str
    size: int
    sealed: bool
    """It is over the cipher text, so that nothing altered is ever decrypted."""


CIPHERS: Mapping[bytes, int] = {
    b"aes256-gcm@openssh.com": 32,
    b"aes128-gcm@openssh.com": 16,
    b"aes256-ctr": 32,
    b"aes192-ctr": 24,
    b"aes128-ctr": 16,
}
"""Bytes of each cipher's key, the preferred first."""
MACS: Mapping[bytes, MacKind] = {
    b"hmac-sha2-256-etm@openssh.com": MacKind("sha256", 32, sealed=True),
    b"hmac-sha2-512-etm@openssh.com": MacKind("sha512", 64, sealed=True),
    b"hmac-sha2-256": MacKind("sha256", 32, sealed=False),
    b"hmac-sha2-512": MacKind("sha512", 64, sealed=False),
}


class Sealer(Protocol):
    """Makes packets of payloads."""

    def seal(self, sequence: int, payload: bytes) -> bytes:
        """Return the packet; call it with each sequence number in order."""
        ...


class Opener(Protocol):
    """Gets payloads out of what was received."""

    def open(self, sequence: int, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        """Return the payload of the packet at a place and where the next one begins; None while it is not whole.

        The payload is a view, for packets are 32 KiB and each copy of them counts.

        Raises:
            BadPacket: it is none.

        """
        ...


class Plain:
    """Packets before the first keys."""

    def seal(self, sequence: int, payload: bytes) -> bytes:
        """See `Sealer`."""
        return _padded(payload, 8, counted=4)

    def open(self, sequence: int, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        """See `Opener`."""
        if len(received) - at < 4:
            return None
        length = _length(received[at : at + 4], 8, counted=4)
        end = at + 4 + length
        return None if len(received) < end else (_payload(bytes(received[at + 4 : end]), 0), end)


class CounterMode:
    """AES in counter mode with a MAC, in one direction (RFC 4344, RFC 6668)."""

    def __init__(self, cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> None:
        aes = Cipher(algorithms.AES(key[: CIPHERS[cipher]]), modes.CTR(iv[:BLOCK]))
        # The counter goes on in both alike; a direction uses one of them.
        self._encrypt = aes.encryptor().update
        self._decrypt = aes.decryptor().update
        self._mac = MACS[mac]
        self._key = integrity[: self._mac.size]
        self._head: bytes | None = None

    def seal(self, sequence: int, payload: bytes) -> bytes:
        """See `Sealer`."""
        number = sequence.to_bytes(4, "big")
        if self._mac.sealed:
            packet = _padded(payload, BLOCK, counted=0)
            packet = packet[:4] + self._encrypt(packet[4:])
            return packet + hmac.digest(self._key, number + packet, self._mac.digest)
        packet = _padded(payload, BLOCK, counted=4)
        return self._encrypt(packet) + hmac.digest(self._key, number + packet, self._mac.digest)

    def open(self, sequence: int, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        """See `Opener`."""
        number = sequence.to_bytes(4, "big")
        return self._open_sealed(number, received, at) if self._mac.sealed else self._open(number, received, at)

    def _open_sealed(self, number: bytes, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        if len(received) - at < 4:
            return None
        end = at + 4 + _length(received[at : at + 4], BLOCK, counted=0)
        if len(received) < end + self._mac.size:
            return None
        self._check(number + received[at:end], received[end : end + self._mac.size])
        return _payload(self._decrypt(received[at + 4 : end]), 0), end + self._mac.size

    def _open(self, number: bytes, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        if len(received) - at < BLOCK:
            return None
        if self._head is None:
            self._head = self._decrypt(received[at : at + BLOCK])
        end = at + 4 + _length(self._head[:4], BLOCK, counted=4)
        if len(received) < end + self._mac.size:
            return None
        signed = b"".join((number, self._head, self._decrypt(received[at + BLOCK : end])))
        self._head = None
        self._check(signed, received[end : end + self._mac.size])
        return _payload(signed, 8), end + self._mac.size

    def _check(self, signed: bytes, mac: memoryview) -> None:
        if not hmac.compare_digest(hmac.digest(self._key, signed, self._mac.digest), mac):
            raise BadPacket("the MAC is not right")


class GaloisMode:
    """AES-GCM in one direction (RFC 5647, section 7)."""

    def __init__(self, cipher: bytes, iv: bytes, key: bytes) -> None:
        self._aes = AESGCM(key[: CIPHERS[cipher]])
        self._fixed = iv[:4]
        self._invocations = int.from_bytes(iv[4:12], "big")

    def seal(self, sequence: int, payload: bytes) -> bytes:
        """See `Sealer`."""
        packet = _padded(payload, BLOCK, counted=0)
        return packet[:4] + self._aes.encrypt(self._nonce(), packet[4:], packet[:4])

    def open(self, sequence: int, received: memoryview, at: int) -> tuple[memoryview, int] | None:
        """See `Opener`."""
        if len(received) - at < 4:
            return None
        head = bytes(received[at : at + 4])
        end = at + 4 + _length(head, BLOCK, counted=0) + TAG
        if len(received) < end:
            return None
        try:
            return _payload(self._aes.decrypt(self._nonce(), received[at + 4 : end], head), 0), end
        except InvalidTag as altered:
            raise BadPacket("the tag is not right") from altered

    def _nonce(self) -> bytes:
        count = self._invocations
        self._invocations = (count + 1) & 0xFFFF_FFFF_FFFF_FFFF
        return self._fixed + count.to_bytes(8, "big")


class Keys:
    """What two sides agreed on, until its keys are there; in the place of conch's ``SSHCiphers``."""

    sealer: Sealer | None = None
    opener: Opener | None = None

    def __init__(self, out_cipher: bytes, in_cipher: bytes, out_mac: bytes, in_mac: bytes) -> None:
        self.out_cipher, self.in_cipher = out_cipher, in_cipher
        self.out_mac, self.in_mac = out_mac, in_mac

    def setKeys(
        self, outIV: bytes, outKey: bytes, inIV: bytes, inKey: bytes, outInteg: bytes, inInteg: bytes
    ) -> None:
        """Take the keys."""
        self.sealer = _direction(self.out_cipher, self.out_mac, outIV, outKey, outInteg)
        self.opener = _direction(self.in_cipher, self.in_mac, inIV, inKey, inInteg)


def _direction(cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> CounterMode | GaloisMode:
    if b"gcm" in cipher:
        return GaloisMode(cipher, iv, key)
    return CounterMode(cipher, mac, iv, key, integrity)


def _padded(payload: bytes, block: int, *, counted: int) -> bytes:
    # Four bytes at least; the length's own are encrypted, and so counted, in some modes only.
    padding = block - (counted + 1 + len(payload)) % block
    if padding < 4:
        padding += block
    head = (1 + len(payload) + padding).to_bytes(4, "big")
    return head + bytes((padding,)) + payload + os.urandom(padding)


def _length(head: bytes | memoryview, block: int, *, counted: int) -> int:
    length = int.from_bytes(head, "big")
    if not 5 <= length <= LONGEST or (length + counted) % block:
        raise BadPacket(f"a packet of {length} bytes")
    return length


def _payload(content: bytes, at: int) -> memoryview:
    padding = content[at]
    if padding < 4 or at + 1 + padding >= len(content):
        raise BadPacket(f"{padding} bytes of padding in {len(content) - at}")
    return memoryview(content)[at + 1 : -padding]
