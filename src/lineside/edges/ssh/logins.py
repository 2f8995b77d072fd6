"""Who may log in by SSH, and how those who may not are slowed down."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from lineside.security.identity import Identity

NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$bGluZXNpZGUtbm9ib2R5IQ$zl/r1x6JsfIHRoR2UzV2dfozwnGQ7LjO/DJZ5VO+qHg"
"""What the password of somebody who has none is compared to, so that it takes as long."""
LONGEST_PASSWORD = 1024
REMEMBERED = 4_096
"""Addresses whose failures are remembered."""
FORGOTTEN_AFTER = 900.0
"""Seconds after its last failure when an address begins anew."""
FREE = 6
"""Failures that cost nothing: a client tries each key that it has."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
"""Seconds that the answer to the failure after those takes; each doubles it."""


class User(Struct, frozen=True):
    """Somebody who may log in."""

    name: str
    identity: Identity
    keys: frozenset[bytes] = frozenset()
    """Public keys, in the form of RFC 4253, section 6.6."""
    password: str | None = None
    """As an argon2id string in PHC form."""
    source: str | None = None
    """The source whose drop box they have; None for who operates the gateway."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """The only ones from which they may come; none for all."""

    def welcome(self, host: str) -> bool:
        """Tell whether they may come from an address."""
        if not self.networks:
            return True
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.networks)


class Visitor(Struct, frozen=True):
    """A user who has logged in."""

    user: User
    host: str
    """The address that they come from."""
    where: str
    """The door and that address, for the record."""


class Logins:
    """The users, by their names.

    Args:
        users: who may log in.
        aside: carries out the look at a password, tens of milliseconds.

    """

    def __init__(self, users: Mapping[str, User], aside: Callable[[Callable[[], bool]], Deferred[bool]]) -> None:
        self._users = users
        self._aside = aside
        self.methods = [b"publickey"]
        """By which somebody can log in; the same ones are told to everybody."""
        if any(user.password is not None for user in users.values()):
            self.methods.append(b"password")

    def by_key(self, name: str, key: bytes, host: str) -> User | None:
        """Return whose key it is, if they may come from there; they still have to prove that they have it."""
        user = self._users.get(name)
        return user if user is not None and key in user.keys and user.welcome(host) else None

    async def by_password(self, name: str, password: bytes, host: str) -> User | None:
        """Return whose password it is, if they may come from there. It takes as long where it is nobody's."""
        user = self._users.get(name)
        known = None if user is None or not user.welcome(host) else user.password
        right = await self._aside(lambda: verified(known or NOBODYS, password))
        return user if right and known is not None else None


def hashed(password: bytes) -> str:
    """Return the argon2id string of a password (RFC 9106; 19 MiB, two passes); takes tens of milliseconds."""
    return Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19_456).derive_phc_encoded(
        password
    )


def verified(phc: str, password: bytes) -> bool:
    """Tell whether a password is that of an argon2id string; takes tens of milliseconds."""
    try:
        Argon2id.verify_phc_encoded(password[:LONGEST_PASSWORD], phc)
    except InvalidKey:
        return False
    return len(password) <= LONGEST_PASSWORD


class Failures:
    """Log-ins that failed lately, by address; bounded."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self.total = 0

    def delay(self, host: str) -> float:
        """Count a failure, and return after how many seconds it is to be told."""
        now = self._clock.seconds()
        count, last = self._counts.pop(host, (0, now))
        count = 1 if now - last > FORGOTTEN_AFTER else count + 1
        self._counts[host] = (count, now)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        self.total += 1
        return 0.0 if count <= FREE else min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(count - FREE - 1, 16))

    def forget(self, host: str) -> None:
        """Begin anew with who has logged in."""
        self._counts.pop(host, None)
