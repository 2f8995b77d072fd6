"""A certificate authority of the plant's own, in a folder: what `lineside pki` does.

The folder holds ``ca.pem``, ``ca.key`` and ``crl.pem``; ``NAME.pem`` and ``NAME.key`` of each server and device;
and in ``issued`` every certificate that was ever signed. There is no other record. Nothing is lost by a command:
what is replaced stays in ``issued``, its key as well.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.security.certificates import common_name
from lineside.security.x509forms import Purpose, Signer, authority, new_key, revocations, signed

CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=397)
"""A year and a month: who renews once a year is in time."""
LIST_LIFE = timedelta(days=397)
SOON = timedelta(days=30)
"""What is left when a certificate is renewed without being named."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(
    r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)
_SOURCE = re.compile("[a-z0-9][a-z0-9_-]*")
_SERIAL = re.compile("[0-9a-f]{8,40}")
_OTHERS = 0o077

State = Literal["good", "replaced", "revoked", "expired"]


class Paper(Struct, frozen=True):
    """One certificate, as ``lineside pki list --json`` prints it."""

    name: str
    kind: Literal["server", "device"]
    state: State
    """``replaced``: there is a newer one of this name, and this one is good all the same until it expires."""
    serial: str
    """The serial number, in hexadecimal."""
    issued: str
    expires: str
    """Both in UTC."""
    hosts: list[str]
    sources: list[str]
    certificate: str
    """The path of its file."""
    key: str | None
    """That of its key, as far as it is in the folder."""


class Pki:
    """The authority in a folder.

    Args:
        folder: where it is, or is to be.
        now: the time, with a time zone.

    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.crl = folder / "crl.pem"
        self._key = folder / "ca.key"
        self._issued = folder / "issued"
        self._now = now

    def init(self, name: str = "Lineside CA", life: timedelta = CA_LIFE) -> x509.Certificate:
        """Make the authority, with an empty list of revoked certificates; the folder may be there, and empty.

        Raises:
            LinesideError: there is something in the folder, or it cannot be written.

        """
        if not name.strip() or not name.isprintable() or len(name) > 64:
            raise LinesideError("the CA's name has 1 to 64 characters that can be printed")
        with _told(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise LinesideError(f"{self.folder} is not empty; nothing in it is overwritten")
            self.folder.chmod(0o700)
            self._issued.mkdir(mode=0o700)
            signer = authority(name, self._now(), life)
            _create(self._key, _private(signer.key), 0o600)
            self._list(signer, None, ())
            # The last one: with it the authority is there.
            _create(self.ca, signer.certificate.public_bytes(Encoding.PEM), 0o644)
        return signer.certificate

    def issue(self, name: str, purpose: Purpose, life: timedelta = LIFE) -> Paper:
        """Sign a certificate for a new key.

        Raises:
            LinesideError: there is one of this name, the name or the purpose is none, or it cannot be written.

        """
        _check(name, purpose)
        with self._open() as signer:
            if self._current(name).exists() or self._key_of(name).exists():
                raise LinesideError(f"there is a certificate {self._current(name)}; renew it, or revoke it first")
            key, certificate = self._sign(signer, name, purpose, life)
            _create(self._key_of(name), _private(key), 0o600)
            _create(self._current(name), certificate.public_bytes(Encoding.PEM), 0o644)
            return self._paper(certificate, self._current(name), self._revoked())

    def renew(self, names: Sequence[str] = (), life: timedelta = LIFE) -> Iterator[Paper]:
        """Sign a new certificate for a new key under each name, for what the one before was for; yield each.

        The one before is good until it expires. Without names, those are renewed that end within `SOON`. In any
        case there is a new list of revoked certificates.

        Raises:
            LinesideError: there is none of a name, or it cannot be written.

        """
        with self._open() as signer:
            chosen = list(dict.fromkeys(names)) or [
                common_name(each)
                for each in map(_read, self._all_current())
                if each.not_valid_after_utc - self._now() <= SOON
            ]
            for name in chosen:
                if not _NAME.fullmatch(name) or not self._current(name).exists():
                    raise LinesideError(
                        f"there is no certificate {name} in {self.folder}; lineside pki list shows all"
                    )
            self._list(signer, self._crl(), ())
            for name in chosen:
                old = _read(self._current(name))
                key, certificate = self._sign(signer, name, Purpose.of(old), life)
                self._put_aside(name, old)
                _replace(self._key_of(name), _private(key), 0o600)
                _replace(self._current(name), certificate.public_bytes(Encoding.PEM), 0o644)
                yield self._paper(certificate, self._current(name), self._revoked())

    def revoke(self, which: str) -> list[Paper]:
        """Put certificates on the list of revoked ones: all of a name, or the one of a serial number.

        After that the name is free for a new certificate.

        Raises:
            LinesideError: there is none, or it is on the list already.

        """
        with self._open() as signer:
            issued = [(path, _read(path)) for path in sorted(self._issued.glob("*.pem"))]
            chosen = [(path, each) for path, each in issued if common_name(each) == which]
            if not chosen and _SERIAL.fullmatch(which.lower()):
                chosen = [(path, each) for path, each in issued if f"{each.serial_number:x}" == which.lower()]
            if not chosen:
                raise LinesideError(
                    f"there is no certificate {which} in {self.folder}; lineside pki list shows all"
                )
            before = self._revoked()
            new = [each.serial_number for _, each in chosen if each.serial_number not in before]
            if not new:
                raise LinesideError(f"{which} is revoked already")
            self._list(signer, self._crl(), new)
            for _, each in chosen:
                name = common_name(each)
                current = self._current(name)
                if current.exists() and _read(current).serial_number == each.serial_number:
                    self._put_aside(name, each)
                    self._key_of(name).unlink(missing_ok=True)
                    current.unlink()
            revoked = self._revoked()
            return [self._paper(each, path, revoked) for path, each in chosen]

    def papers(self) -> list[Paper]:
        """Return every certificate that was signed, by name, the newest last.

        Raises:
            LinesideError: there is no authority, or something in the folder cannot be read.

        """
        with self._open():
            revoked = self._revoked()
            found = [self._paper(_read(path), path, revoked) for path in sorted(self._issued.glob("*.pem"))]
            return sorted(found, key=lambda paper: (paper.name, paper.issued, paper.state == "good"))

    @contextmanager
    def _open(self) -> Iterator[Signer]:
        """Have the authority for oneself."""
        if not self.ca.exists():
            raise LinesideError(f"there is no CA in {self.folder}; lineside pki init makes one")
        with _told(self.folder), self._key.open("rb") as file:
            for path in (self.folder, self._key):
                if path.stat().st_mode & _OTHERS:
                    mode = "700" if path is self.folder else "600"
                    raise LinesideError(f"{path} is open to other users; chmod {mode} {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                key = load_pem_private_key(file.read(), password=None)
            except (ValueError, TypeError) as wrong:
                raise LinesideError(f"{self._key} holds no private key") from wrong
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise LinesideError(f"{self._key} holds no EC key")
            certificate = _read(self.ca)
            if certificate.public_key() != key.public_key():
                raise LinesideError(f"the key in {self._key} is not that of {self.ca}")
            if certificate.not_valid_after_utc <= self._now():
                raise LinesideError(
                    f"the CA in {self.ca} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; make another one"
                )
            yield Signer(certificate, key)

    def _sign(
        self, signer: Signer, name: str, purpose: Purpose, life: timedelta
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = new_key()
        certificate = signed(signer, name, key.public_key(), purpose, self._now(), life)
        _create(self._record(certificate), certificate.public_bytes(Encoding.PEM), 0o644)
        return key, certificate

    def _put_aside(self, name: str, certificate: x509.Certificate) -> None:
        """Keep the key that is about to be replaced. The certificate is kept already."""
        with suppress(FileExistsError, FileNotFoundError):
            os.link(self._key_of(name), self._record(certificate).with_suffix(".key"))

    def _list(self, signer: Signer, before: x509.CertificateRevocationList | None, serials: Sequence[int]) -> None:
        made = revocations(signer, before, serials, self._now(), LIST_LIFE)
        _replace(self.crl, made.public_bytes(Encoding.PEM), 0o644)

    def _crl(self) -> x509.CertificateRevocationList:
        try:
            return x509.load_pem_x509_crl(self.crl.read_bytes())
        except ValueError as wrong:
            raise LinesideError(f"{self.crl} holds no list of revoked certificates") from wrong

    def _revoked(self) -> frozenset[int]:
        return frozenset(each.serial_number for each in self._crl())

    def _current(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _key_of(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def _record(self, certificate: x509.Certificate) -> Path:
        return self._issued / f"{common_name(certificate)}-{certificate.serial_number:x}.pem"

    def _all_current(self) -> list[Path]:
        return sorted(set(self.folder.glob("*.pem")) - {self.ca, self.crl})

    def _paper(self, certificate: x509.Certificate, path: Path, revoked: frozenset[int]) -> Paper:
        name = common_name(certificate)
        purpose = Purpose.of(certificate)
        current = self._current(name)
        is_current = current.exists() and _read(current).serial_number == certificate.serial_number
        state: State = "good" if is_current else "replaced"
        if certificate.not_valid_after_utc <= self._now():
            state = "expired"
        if certificate.serial_number in revoked:
            state = "revoked"
        path = current if is_current else path
        key = path.with_suffix(".key")
        return Paper(
            name,
            "server" if purpose.hosts else "device",
            state,
            f"{certificate.serial_number:x}",
            _moment(certificate.not_valid_before_utc),
            _moment(certificate.not_valid_after_utc),
            list(purpose.hosts),
            list(purpose.sources),
            str(path),
            str(key) if key.exists() else None,
        )


def _check(name: str, purpose: Purpose) -> None:
    if not _NAME.fullmatch(name) or name in {"ca", "crl", "issued"}:
        raise LinesideError(
            f'"{name}" is no name for a certificate: letters, digits, dots, - and _, 64 at most, and not ca or crl'
        )
    if purpose.hosts and purpose.sources:
        raise LinesideError("a certificate is a server's, with hosts, or a device's, with sources")
    for host in purpose.hosts:
        if not _is_host(host):
            raise LinesideError(f'"{host}" is neither a host\'s name nor an IP address')
    for source in purpose.sources:
        if not _SOURCE.fullmatch(source):
            raise LinesideError(f'"{source}" is no name of a source')


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return len(host) <= 253 and _HOST.fullmatch(host) is not None
    return True


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as wrong:
        raise LinesideError(f"{path} holds no certificate") from wrong


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create(path: Path, contents: bytes, mode: int) -> None:
    """Write a file that is not there yet, whole or not at all, synced to disk."""
    new = _written(path, contents, mode)
    try:
        os.link(new, path)
    except FileExistsError:
        raise LinesideError(f"{path} is there already; nothing is overwritten") from None
    finally:
        new.unlink()
    _sync(path.parent)


def _replace(path: Path, contents: bytes, mode: int) -> None:
    """Put a file in the place of one that may be there, in one step, synced to disk."""
    _written(path, contents, mode).replace(path)
    _sync(path.parent)


def _written(path: Path, contents: bytes, mode: int) -> Path:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    # What it is for is decided before anything stands in it.
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    return new


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as wrong:
        raise LinesideError(f"{wrong.filename or folder}: {wrong.strerror}") from wrong
