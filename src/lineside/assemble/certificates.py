"""From ``[tls.NAME]``, and what listeners say of it, to what watches the certificates and makes connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from lineside.assemble.httpsettings import HttpSettings
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.settings import Settings
from lineside.assemble.tlssettings import TlsSettings
from lineside.security.devicenames import admission
from lineside.security.renewal import Certificates, GuestFiles, KeyFiles
from lineside.security.tls import HTTP, ServerSide

T = TypeVar("T")


def certificates(reactor: Any, settings: Settings) -> Certificates:
    """Return what watches over the certificates.

    Raises:
        LinesideError: one is no longer right.

    """

    def in_thread(work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return Certificates({name: key_files(table) for name, table in settings.tls.items()}, reactor, in_thread)


def key_files(table: TlsSettings) -> KeyFiles:
    """Return where a certificate and its key are."""
    return KeyFiles(table.certificate, table.key or table.certificate)


def secured(certificates: Certificates, name: str, source: LinesSourceSettings) -> ServerSide | None:
    """Return the server's side of a source's connections; None where it has no TLS."""
    if source.tls is None:
        return None
    guests = None
    if source.ca is not None:
        guests = GuestFiles(f"sources.{name}", source.ca, source.crl, admission(name))
    return certificates.listener(source.tls, guests=guests)


def secured_http(certificates: Certificates, settings: HttpSettings) -> ServerSide | None:
    """Return the server's side of HTTP's connections; None where it has no TLS."""
    if settings.tls is None:
        return None
    return certificates.listener(settings.tls, HTTP)
