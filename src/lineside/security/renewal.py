"""Certificates that are renewed while the gateway runs: their files are watched, and their ends foretold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cryptography import x509
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.errors import LinesideError
from lineside.security.certificates import check_key_file, check_shown, expires, in_days, subject
from lineside.security.keypairs import KeyPair, read_key_pair
from lineside.security.revocations import read_revoked
from lineside.security.tls import Guests, ServerSide, Setting, try_out

log = Logger()

T = TypeVar("T")

LOOK = 5.0
"""Seconds from one look at the files to the next."""
DAILY = 86_400.0
"""Seconds after which an end that is near is told again."""
NEAR = timedelta(days=30)
"""What is left when the end is told; a third of the whole life where that is shorter."""
VERY_NEAR = timedelta(days=7)
"""What is left when that becomes urgent; a tenth where that is shorter."""

Fingerprint = tuple[tuple[int, int, int] | None, ...]


class KeyFiles(Struct, frozen=True):
    """Where a certificate and its key are; it may be one file."""

    certificate: Path
    key: Path


class GuestFiles(Struct, frozen=True):
    """Whose certificates open a door, see `lineside.security.tls.Guests`."""

    where: str
    """What listens: ``sources.gate``."""
    authorities: tuple[x509.Certificate, ...]
    revoked: Path | None
    admits: Callable[[x509.Certificate], str | None]


class Threads(Protocol):
    """Runs what may wait for a disk."""

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work`` in a thread."""
        ...


def read_shown(files: KeyFiles, now: datetime) -> KeyPair:
    """Return what a server is to show, when all of it is right.

    Raises:
        LinesideError: one line that names the file.

    """
    check_key_file(files.key)
    pair = read_key_pair(files.certificate, files.key)
    check_shown(pair, files.certificate, now)
    try_out(pair)
    return pair


class Certificates:
    """The `Part` that watches over the certificates of all listeners.

    A file that changed is read anew. What is right is shown to whoever connects from then on; where it is not, what
    was there before stays, and there is an alarm. Two files are not replaced at once: only what is wrong at two
    looks counts as wrong.

    Args:
        files: by the name of a certificate. They are read here.
        clock: for the looks; must follow a monotonic clock.
        now: the wall clock, with a time zone.
        in_thread: reads the files from then on.

    Raises:
        LinesideError: a file is not right.

    """

    name = "certificates"

    def __init__(
        self,
        files: Mapping[str, KeyFiles],
        clock: IReactorTime,
        in_thread: Threads,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._clock = clock
        self._in_thread = in_thread
        self._shown = {name: _Watched(f"tls.{name}", _shown(each, now)) for name, each in files.items()}
        self._revoked: dict[str, _Watched] = {}
        self._authorities: list[_Watched] = []
        self._listeners: list[tuple[ServerSide, Callable[[], Setting], str]] = []
        self._looking = LoopingCall(self._begin)
        self._looking.clock = clock
        self._background = Background(self.name)
        self._told_ends = float("-inf")

    def listener(
        self, names: Sequence[str], protocols: tuple[bytes, ...] = (), guests: GuestFiles | None = None
    ) -> ServerSide:
        """Return the server's side of a listener that shows these certificates, the first one by default.

        Raises:
            LinesideError: the list of revoked certificates is not right.

        """
        if guests is not None and guests.revoked is not None:
            source = _revoked(guests.revoked, guests.authorities, self._now)
            self._revoked[guests.where] = _Watched(f"{guests.where}.crl", source)
        if guests is not None:
            self._authorities.append(_Watched(f"{guests.where}.ca", _trusted(guests.authorities)))

        def setting() -> Setting:
            return Setting(tuple(self._shown[name].value for name in names), self._admitted(guests), protocols)

        side = ServerSide(setting())
        self._listeners.append((side, setting, "" if guests is None else guests.where))
        return side

    def left(self) -> dict[str, float]:
        """Return for how many seconds each certificate and each list of revoked ones is still good."""
        now = self._now()
        return {each.label: (each.ends - now).total_seconds() for each in self._watched()}

    async def start(self) -> None:
        """Watch."""
        self._looking.start(LOOK)

    async def stop(self) -> None:
        """Watch no more."""
        if self._looking.running:
            self._looking.stop()
        self._background.cancel()
        await self._background.finish()

    async def look(self) -> None:
        """Look at the files once, and show what is new and right."""
        watched = self._watched()
        changes = await self._in_thread(lambda: [(each, each.look()) for each in watched])
        renewed = [each for each, found in changes if found is not None and each.take(*found)]
        if renewed:
            for side, setting, where in self._listeners:
                side.set(setting())
                self._turn_out(side, where)
        for each in renewed:
            log.info("certificate.reloaded", certificate=each.label, expires=f"{each.ends:%Y-%m-%d %H:%M} UTC")
            self._tell_end(each)
        if self._clock.seconds() - self._told_ends >= DAILY:
            self._told_ends = self._clock.seconds()
            for each in watched:
                if each not in renewed:
                    self._tell_end(each)

    @staticmethod
    def _turn_out(side: ServerSide, where: str) -> None:
        for certificate, peer in side.turn_out_revoked():
            log.warn(
                "tls.turned_out",
                listener=where,
                certificate=subject(certificate),
                serial=f"{certificate.serial_number:x}",
                peer=peer,
                remedy="its certificate is on the list of revoked ones; issue another if the device is to go on",
            )

    def _begin(self) -> Deferred[None]:
        return self._background.run("look", self.look())

    def _watched(self) -> list[_Watched]:
        return [*self._shown.values(), *self._revoked.values(), *self._authorities]

    def _admitted(self, guests: GuestFiles | None) -> Guests | None:
        if guests is None:
            return None
        revoked = None if guests.revoked is None else self._revoked[guests.where].value
        return Guests(guests.authorities, revoked, guests.admits)

    def _tell_end(self, watched: _Watched) -> None:
        left = watched.ends - self._now()
        whole = watched.ends - watched.begins
        facts: dict[str, Any] = {
            "certificate": watched.label,
            "expires": f"{watched.ends:%Y-%m-%d %H:%M} UTC",
            "remedy": watched.source.remedy,
        }
        if left <= timedelta(0):
            log.error("certificate.expired", **facts)
        elif left <= min(VERY_NEAR, whole / 10):
            log.error("certificate.expires_soon", left=in_days(left), **facts)
        elif left <= min(NEAR, whole / 3):
            log.warn("certificate.expires", left=in_days(left), **facts)


class _Source(Struct, frozen=True):
    """How something is read from files, and when it is good."""

    paths: tuple[Path, ...]
    read: Callable[[], Any]
    begins: Callable[[Any], datetime]
    ends: Callable[[Any], datetime]
    remedy: str
    """What to do when its end is near."""


def _shown(files: KeyFiles, now: Callable[[], datetime]) -> _Source:
    return _Source(
        tuple(dict.fromkeys((files.certificate, files.key))),
        lambda: read_shown(files, now()),
        lambda pair: pair.certificate.not_valid_before_utc,
        expires,
        f"put a new one into {files.certificate}; it is taken up by itself",
    )


def _revoked(path: Path, authorities: Sequence[x509.Certificate], now: Callable[[], datetime]) -> _Source:
    return _Source(
        (path,),
        lambda: read_revoked(path, authorities, now()),
        lambda lists: max(each.last_update_utc for each in lists),
        lambda lists: min(each.next_update_utc for each in lists),
        f"put a new one into {path} (lineside pki renew); it is taken up by itself",
    )


def _trusted(authorities: Sequence[x509.Certificate]) -> _Source:
    # The last of them counts: an old one and its successor stand side by side for a while.
    last = max(authorities, key=lambda each: each.not_valid_after_utc)
    return _Source(
        (),
        lambda: last,
        lambda ca: ca.not_valid_before_utc,
        lambda ca: ca.not_valid_after_utc,
        "give the source's ca a file with the next CA as well, and restart; devices need certificates of the next",
    )


class _Watched:
    """What was read from files, and how they looked then."""

    def __init__(self, label: str, source: _Source) -> None:
        self.label = label
        self.source = source
        self._seen = self._fingerprint()
        self._doubted: Fingerprint | None = None
        self._told: Fingerprint | None = None
        self.value = source.read()

    @property
    def begins(self) -> datetime:
        return self.source.begins(self.value)

    @property
    def ends(self) -> datetime:
        return self.source.ends(self.value)

    def look(self) -> tuple[Fingerprint, Any, LinesideError | None] | None:
        """Read the files if they changed; for a thread."""
        seen = self._fingerprint()
        if seen == self._seen:
            return None
        try:
            return seen, self.source.read(), None
        except LinesideError as wrong:
            return seen, None, wrong

    def take(self, seen: Fingerprint, value: Any, wrong: LinesideError | None) -> bool:
        """Take what `look` found, if it is right; returns whether it is, and new."""
        if wrong is None:
            if seen == self._seen:
                return False
            self._seen, self.value = seen, value
            self._doubted = self._told = None
            return True
        if self._doubted == seen != self._told:
            self._told = seen
            log.error(
                "certificate.kept",
                certificate=self.label,
                reason=str(wrong),
                remedy="put it right; what was read before is shown until then",
            )
        self._doubted = seen
        return False

    def _fingerprint(self) -> Fingerprint:
        return tuple(_look_of(path) for path in self.source.paths)


def _look_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
