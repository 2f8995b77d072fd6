"""Many datagrams in one call of the kernel: ``sendmmsg`` and ``recvmmsg``, which Python's socket module lacks."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any

ROOM = 512
"""Bytes for one datagram."""
_libc = ctypes.CDLL(None, use_errno=True)
DONTWAIT = 0x40


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("head", _Head), ("length", ctypes.c_uint32))


class Packets:
    """Room for so many datagrams, with the address each came from where they have one.

    Args:
        count: so many.
        addressed: they have addresses.
        shared: has the memory and the addresses, where they are not its own.
        length: of each, where all have one.

    """

    memory: ctypes.Array[ctypes.c_char]
    _addresses: ctypes.Array[ctypes.c_char]

    def __init__(
        self, count: int, *, addressed: bool = False, shared: Packets | None = None, length: int = ROOM
    ) -> None:
        self.count = count
        self.memory = ctypes.create_string_buffer(ROOM * count) if shared is None else shared.memory
        self.view = memoryview(self.memory).cast("B")
        self._addresses = ctypes.create_string_buffer(16 * count) if shared is None else shared._addresses
        self._pieces = (_Piece * count)()
        self._messages = (_Message * count)()
        base, names = ctypes.addressof(self.memory), ctypes.addressof(self._addresses)
        for index in range(count):
            self._pieces[index].base = base + ROOM * index
            self._pieces[index].length = length
            head = self._messages[index].head
            head.pieces = ctypes.addressof(self._pieces[index])
            head.piece_count = 1
            if addressed:
                head.name = names + 16 * index
                head.name_length = 16

    def fill(self, datagrams: list[bytes]) -> None:
        """Put datagrams in."""
        for index, datagram in enumerate(datagrams):
            self.view[ROOM * index : ROOM * index + len(datagram)] = datagram
            self._pieces[index].length = len(datagram)

    def receive(self, handle: socket.socket) -> int:
        """Receive what is there; 0 for nothing."""
        return _counted(_libc.recvmmsg(handle.fileno(), self._messages, self.count, DONTWAIT, None))

    def send(self, handle: socket.socket, count: int, begin: int = 0) -> int:
        """Send ``count`` datagrams from ``begin`` on; return how many the kernel took."""
        size = ctypes.sizeof(_Message)
        return _counted(_libc.sendmmsg(handle.fileno(), ctypes.byref(self._messages, size * begin), count, 0))


def _counted(result: Any) -> int:
    if result >= 0:
        return int(result)
    number = ctypes.get_errno()
    if number in {11, 111}:
        return 0
    raise OSError(number, os.strerror(number))
