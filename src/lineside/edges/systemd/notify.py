"""What a service tells systemd: sd_notify(3), as datagrams to the socket that ``NOTIFY_SOCKET`` names."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

log = Logger()

AGAIN = 0.1
"""Seconds until what a full queue did not take is sent again."""
LONGEST_STATUS = 400
"""Characters of a status line; ``systemctl status`` shows it on one line."""

Send = Callable[[bytes], None]
"""Sends one datagram without waiting; raises `OSError`, of which `BlockingIOError` passes."""


class Supervision(Struct, frozen=True):
    """What the environment says of the one that supervises this process."""

    address: str | None
    """The socket's path, or ``@name`` for one in the abstract namespace; None where nobody listens."""
    watchdog: float | None
    """Seconds within which it wants a sign of life, again and again; None where it wants none."""


UNSUPERVISED = Supervision(None, None)


def supervision(environ: Mapping[str, str], pid: int) -> Supervision:
    """Read ``NOTIFY_SOCKET`` (sd_notify(3)), ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` (sd_watchdog_enabled(3))."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return UNSUPERVISED
    if address[0] not in "/@" or len(address) == 1:
        log.warn("supervisor.unreachable", address=address, reason="it is no Unix socket")
        return UNSUPERVISED
    wanted = environ.get("WATCHDOG_USEC", "")
    # Meant for another process of this service where it names one.
    ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    microseconds = int(wanted) if ours and wanted.isdecimal() else 0
    return Supervision(address, microseconds / 1_000_000 or None)


def sender(address: str) -> Send:
    """Return what sends datagrams to a supervisor's address."""
    # A NUL in front is Linux's abstract namespace (unix(7)).
    path = "\0" + address[1:] if address.startswith("@") else address

    def send(datagram: bytes) -> None:
        # A socket each time, as libsystemd does it: datagrams are rare, and nothing is left to close at the end.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as one:
            one.sendto(datagram, os.fsencode(path))

    return send


class Supervisor:
    """The one that started this process and listens to what becomes of it.

    What its queue has no room for is kept, a later value in place of an earlier one, and sent soon. A supervisor
    that cannot be reached at all is logged once, and hinders nothing.
    """

    def __init__(self, send: Send, clock: IReactorTime) -> None:
        self._send = send
        self._clock = clock
        self._unsent: dict[str, str] = {}
        self._later = False
        self._reached = True

    def tell(self, **fields: str) -> None:
        """Send assignments such as ``READY="1"``; those of one call arrive together."""
        self._unsent |= fields
        if not self._later:
            self._flush()

    def _flush(self) -> None:
        self._later = False
        datagram = "".join(f"{name}={_line(value)}\n" for name, value in self._unsent.items())
        try:
            self._send(datagram.encode())
        except BlockingIOError:
            self._later = True
            self._clock.callLater(AGAIN, self._flush)
            return
        except OSError as failed:
            if self._reached:
                log.warn("supervisor.unreachable", reason=failed.strerror)
            self._reached = False
        else:
            self._reached = True
        self._unsent.clear()


def _line(text: str) -> str:
    # Others' words may be in it; a line end would begin an assignment of their own.
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= LONGEST_STATUS else f"{plain[: LONGEST_STATUS - 1]}…"
