"""A sender's key as 16 bytes that nobody can choose: what the journal keeps of it. Pure."""

from __future__ import annotations

from hashlib import blake2b

SIZE = 16
"""Bytes. Among 10^10 keys two share a digest with a probability of 10^-19."""
NOTHING = bytes(SIZE)
"""Stands where an event has no key."""


class KeyDigests:
    """Digests of one journal's keys.

    Args:
        salt: the journal's own 16 random bytes, so that no sender can look for keys whose digests crowd together.

    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._begun: dict[int, blake2b] = {}

    def of(self, source: int, keys: list[str | None]) -> list[bytes]:
        """Return a digest for each key of one source; `NOTHING` for None."""
        begun = self._begun.get(source)
        if begun is None:
            begun = blake2b(digest_size=SIZE, salt=self._salt, person=source.to_bytes(16, "big"))
            self._begun[source] = begun
        digests = []
        # A copy takes half as long as a new one with its parameters.
        copy = begun.copy
        for key in keys:
            if key is None:
                digests.append(NOTHING)
            else:
                digest = copy()
                digest.update(key.encode())
                digests.append(digest.digest())
        return digests
