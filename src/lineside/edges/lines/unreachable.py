"""Why a device cannot be reached, and what to do about it."""

from __future__ import annotations

import errno
import os

from msgspec import Struct
from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.defer import TimeoutError as WaitedTooLong

from lineside.model.errors import Unreached
from lineside.security.handshakes import HandshakeFailed


class Unreachable(Struct, frozen=True):
    """What is said of a device that is not there."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


class PortUnusable(Exception):
    """A serial port cannot be opened."""

    def __init__(self, why: Unreachable) -> None:
        super().__init__(str(why))
        self.why = why


_SILENT = Unreachable("it does not answer", "is it switched on, and can this machine reach it?")
_NO_WAY = Unreachable("there is no way to its address", "is it switched on? Check cables and routes")
_NO_HOST = Unreachable("there is no host of this name", "check the name, or give its IP address")
_REFUSED = Unreachable("it refuses the connection", "is this its port, and is nobody else connected to it?")
_REASONS: tuple[tuple[type[Exception], Unreachable], ...] = (
    (error.ConnectionRefusedError, _REFUSED),
    (error.DNSLookupError, _NO_HOST),
    (error.UnknownHostError, _NO_HOST),
    (WaitedTooLong, _SILENT),
    (error.TimeoutError, _SILENT),
    (error.TCPTimedOutError, _SILENT),
    (error.NoRouteError, _NO_WAY),
    (error.ConnectBindError, Unreachable("bindAddress is no address of this machine", "give one that it has")),
)


def why_unreachable(failed: BaseException) -> Unreachable:
    """Return why connecting failed, and what to do about it."""
    match failed:
        case PortUnusable():
            return failed.why
        case Unreached():
            return Unreachable(str(failed), failed.remedy)
        case HandshakeFailed():
            return Unreachable(failed.reason, failed.remedy or "it is dialled again")
    known = next((why for kind, why in _REASONS if isinstance(failed, kind)), None)
    return known or _by_number(failed)


def _by_number(failed: BaseException) -> Unreachable:
    number = getattr(failed, "osError", None)
    if number == errno.EHOSTUNREACH:
        return _NO_WAY
    told = os.strerror(number) if isinstance(number, int) and number else _plain(failed)
    return Unreachable(told, "check the address and the way to it")


def why_lost(failed: BaseException | None) -> str:
    """Return how a connection ended."""
    match failed:
        case error.ConnectionDone():
            return "the device closed the connection"
        case error.ConnectionAborted():
            return "it was cut off"
        case error.ConnectionLost():
            return "the connection broke"
        case SSL.Error():
            return f"TLS failed: {_tls_words(failed)}"
    return "the connection ended" if failed is None else _plain(failed)


def _tls_words(failed: SSL.Error) -> str:
    # OpenSSL's errors are a list of (library, function, reason).
    stack = failed.args[0] if failed.args else ()
    words = [entry[-1] for entry in stack if isinstance(entry, tuple)] if isinstance(stack, list) else []
    return words[-1] if words else _plain(failed)


def _plain(failed: BaseException) -> str:
    return str(failed).strip().rstrip(".") or type(failed).__name__
