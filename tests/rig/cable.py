"""A network of one's own, with a cable that loses packets, or all of them: nobody is told."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.rig.daemon import lacking
from twisted.trial.unittest import SkipTest

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCSIFMTU = 0x8922
IFF_UP = 1
ETHERNET = 1500
"""Bytes of a packet, at most."""


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


def as_between_machines(buffers: int = 262_144) -> None:
    """Make this thread's network one with Ethernet's packets, and with buffers of so many bytes at most.

    Loopback's packets are of 64 KiB, ten of which may be on their way from the start, and a large machine lets a
    connection's buffers grow to tens of MiB: with those, it takes much until anybody notices that nobody reads.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFMTU, struct.pack("16si20x", b"lo", ETHERNET))
    # tcp(7): smallest, initial and greatest, of each network.
    for name, initial in (("tcp_rmem", 131_072), ("tcp_wmem", 16_384)):
        Path(f"/proc/sys/net/ipv4/{name}").write_text(f"4096 {initial} {buffers}", encoding="ascii")


def lose(share: float, port: int) -> None:
    """Let this thread's network lose so much of all packets from and to a TCP port, at random; 1.0 is all of them.

    Skips the test where there is no tc(8).
    """
    tc = shutil.which("tc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tc is None:
        lacking("there is no tc (apt-get install iproute2)")

    def do(*arguments: str) -> None:
        subprocess.run([str(tc), *arguments], check=True, capture_output=True, text=True)

    do("qdisc", "replace", "dev", "lo", "clsact")
    if not share:
        do("filter", "del", "dev", "lo", "ingress")
        return
    # The kernel's packet filter (linux/filter.h): code, jumps if true and if not, operand. A frame of Ethernet that
    # holds IPv4 without options has its ports at 34 and 36; what is no greater than a number by chance is dropped.
    program = (
        (0x28, 0, 0, 34),  # the source's port
        (0x15, 2, 0, port),
        (0x28, 0, 0, 36),  # the destination's
        (0x15, 0, 3, port),
        (0x20, 0, 0, 0xFFFF_F038),  # chance
        (0x25, 1, 0, round(share * 2**32) - 1),
        (0x06, 0, 0, 2),  # dropped
        (0x06, 0, 0, 0xFFFF_FFFF),  # as if there were no filter
    )
    text = ",".join([str(len(program)), *(" ".join(map(str, each)) for each in program)])
    # In place of what there was, without a moment in which nothing is lost.
    do("filter", "replace", "dev", "lo", "ingress", "protocol", "all", "prio", "1", "handle", "1", "bpf", "da",
       "bytecode", text)  # fmt: skip


def sent_again() -> int:
    """Return how many segments of TCP were sent once more in this thread's network (RFC 4022, tcpRetransSegs)."""
    names, values = (
        line.split()[1:]
        for line in Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
        if line.startswith("Tcp:")
    )
    return int(values[names.index("RetransSegs")])
