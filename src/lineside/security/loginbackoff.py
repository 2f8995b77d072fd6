"""Who gave a wrong password waits before the next try: the longer, the more often. Pure."""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from lineside.security.limits import caller_of

LONGEST = 900.0
"""Seconds that anybody waits at most."""
FORGOTTEN = 3_600.0
"""Seconds after the last failure, from which on it counts no more."""
MOST = 10_000
"""Accounts and addresses that are known at a time; those that failed longest ago are forgotten first."""


class Allowance(Struct, frozen=True):
    """How often something may fail before there is a wait, and what the first one is."""

    free: int
    first: float
    longest: float = LONGEST


ALLOWANCES = {
    "pair": Allowance(3, 1.0),
    # Whoever knows a name could shut its owner out; so this wait is short.
    "account": Allowance(20, 1.0, 30.0),
    # Many people may come from one address, behind a router.
    "address": Allowance(20, 1.0),
}
"""Of an account at one address, of an account, and of an address."""


class _Failures(Struct):
    number: int
    last: float


class LogInBackoff:
    """Counts tries that failed.

    Args:
        seconds: a monotonic clock.
        addresses: they tell people apart, as `caller_of` counts them. Behind a proxy all have its address, and one
            could shut out everybody.

    """

    def __init__(self, seconds: Callable[[], float], *, addresses: bool = True) -> None:
        self._seconds = seconds
        self._addresses = addresses
        self._known: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def wait(self, account: str, address: str) -> float:
        """Return for how many seconds nobody may try this account from this address; 0 where they may."""
        now = self._seconds()
        return max(self._wait(key, now) for key in self._keys(account, address))

    def begin(self, account: str, address: str) -> None:
        """Count a try as failed before its end is known, so that many at a time are counted too."""
        now = self._seconds()
        for key in self._keys(account, address):
            before = self._known.pop(key, None)
            number = 0 if before is None or now - before.last > FORGOTTEN else before.number
            self._known[key] = _Failures(number + 1, now)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget what was counted of the account, and this try of the address."""
        for key in self._keys(account, address):
            if key[0] != "address":
                self._known.pop(key, None)
        self.undecided(account, address, of=("address",))

    def undecided(
        self, account: str, address: str, *, of: tuple[str, ...] = ("pair", "account", "address")
    ) -> None:
        """Take one try back: nobody said whether the password was right."""
        for key in self._keys(account, address):
            failures = self._known.get(key)
            if key[0] in of and failures is not None and failures.number:
                failures.number -= 1

    def _wait(self, key: tuple[str, str], now: float) -> float:
        failures = self._known.get(key)
        allowed = ALLOWANCES[key[0]]
        if failures is None or failures.number < allowed.free or now - failures.last > FORGOTTEN:
            return 0.0
        doubled = allowed.first * 2.0 ** min(failures.number - allowed.free, 32)
        return max(0.0, failures.last + min(doubled, allowed.longest) - now)

    def _keys(self, account: str, address: str) -> list[tuple[str, str]]:
        name = _folded(account)
        if not self._addresses:
            return [("account", name)]
        caller = caller_of(address)
        return [("pair", f"{name} {caller}"), ("account", name), ("address", caller)]


def _folded(account: str) -> str:
    # The ERP's database compares names without case and accents, and without what has no weight or stands around
    # them. A name that is written in ever new ways is one account there.
    decomposed = unicodedata.normalize("NFKD", account.casefold())
    return "".join(each for each in decomposed.casefold() if unicodedata.category(each)[0] not in "CMZ")
