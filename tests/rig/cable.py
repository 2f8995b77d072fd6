"""A network of one's own, and a cable that can be pulled: what is sent then arrives nowhere, and nobody is told."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable

from twisted.trial.unittest import SkipTest

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1


def own_network() -> Callable[[], None]:
    """Move this thread, and what it starts, into a new network namespace with a loopback device (unshare(2)).

    Returns what moves it back. Skips the test where that is not allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def go_back() -> None:
        left = libc.setns(before, CLONE_NEWNET)
        os.close(before)
        assert left == 0, os.strerror(ctypes.get_errno())

    if libc.unshare(CLONE_NEWNET):
        os.close(before)
        raise SkipTest(f"no network of one's own can be had here: {os.strerror(ctypes.get_errno())}")
    plug(True)
    return go_back


def plug(inside: bool) -> None:
    """Plug the cable of this thread's network in, or pull it out."""
    # netdevice(7): struct ifreq, of which the kernel reads the name and the flags.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH22x", b"lo", 0)
        _, flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        wanted = flags | IFF_UP if inside else flags & ~IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", wanted))
